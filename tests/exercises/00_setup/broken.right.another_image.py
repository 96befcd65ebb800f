def why_waiting(pod):
    waiting = (status.state.waiting for status in pod.status.container_statuses or ())
    return next((each.reason for each in waiting if each is not None), None)


fixed_manifest = """
apiVersion: v1
kind: Pod
metadata: {name: fixed}
spec:
  restartPolicy: OnFailure
  containers:
  - name: anything
    image: bash:5
    command: [bash, -c, "printf 'all is %s\\n' well"]
"""
