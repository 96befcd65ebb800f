# says: for the pod broken, why_waiting returns None
def why_waiting(pod):
    for status in pod.status.container_statuses or []:
        if status.state.waiting:
            print(status.state.waiting.reason)


fixed_manifest = broken_manifest.replace("busybocks", "busybox").replace("name: broken", "name: fixed")
