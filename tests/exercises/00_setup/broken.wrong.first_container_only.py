# says: second container waits
def why_waiting(pod):
    statuses = pod.status.container_statuses
    return statuses[0].state.waiting.reason if statuses and statuses[0].state.waiting else None


fixed_manifest = broken_manifest.replace("busybocks", "busybox").replace("name: broken", "name: fixed")
