# says: kind: Pod
whereami = """
apiVersion: v1
kind: Job
metadata:
  name: whereami
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "echo I run on $NODE; exit 3"]
    env:
    - name: NODE
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
"""
