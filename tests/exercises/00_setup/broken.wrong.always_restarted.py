# says: restartPolicy is Always
def why_waiting(pod):
    for status in pod.status.container_statuses or []:
        if status.state.waiting:
            return status.state.waiting.reason


fixed_manifest = broken_manifest.replace("busybocks", "busybox").replace("name: broken", "name: fixed")
fixed_manifest = fixed_manifest.replace("restartPolicy: Never", "restartPolicy: Always")
