# says: exit code 0, expected 3
whereami = """
apiVersion: v1
kind: Pod
metadata:
  name: whereami
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "echo I run on $NODE; exit 0"]
    env:
    - name: NODE
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
"""
