# says: pod fixed has not run:
def why_waiting(pod):
    for status in pod.status.container_statuses or []:
        if status.state.waiting:
            return status.state.waiting.reason


fixed_manifest = broken_manifest.replace("name: broken", "name: fixed")
