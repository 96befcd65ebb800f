# says: busybox has no tag 'newest'
def why_waiting(pod):
    for status in pod.status.container_statuses or []:
        if status.state.waiting:
            return status.state.waiting.reason


fixed_manifest = broken_manifest.replace("busybocks:1.36", "busybox:newest").replace("name: broken", "name: fixed")
