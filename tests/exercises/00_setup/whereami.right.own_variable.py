whereami = """
apiVersion: v1
kind: Pod
metadata:
  name: whereami
  labels: {anything: else}
spec:
  restartPolicy: Never
  containers:
  - name: teller
    image: alpine
    env: [{name: MACHINE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
    command: [sh, -c, 'printf "I run on %s\\n" "$MACHINE"; exit 3']
"""
