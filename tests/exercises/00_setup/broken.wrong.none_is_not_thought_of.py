# says: why_waiting raised TypeError
def why_waiting(pod):
    for status in pod.status.container_statuses:
        if status.state.waiting:
            return status.state.waiting.reason


fixed_manifest = broken_manifest.replace("busybocks", "busybox").replace("name: broken", "name: fixed")
