# says: has not run:
whereami = """
apiVersion: v1
kind: Pod
metadata:
  name: whereami
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybocks
    command: [sh, -c, "echo I run on $NODE; exit 3"]
    env:
    - name: NODE
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
"""
