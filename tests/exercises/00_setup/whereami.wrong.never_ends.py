# says: it has been running for
whereami = """
apiVersion: v1
kind: Pod
metadata:
  name: whereami
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "echo I run on $NODE; sleep 600; exit 3"]
    env:
    - name: NODE
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
"""
