# says: there is no manifest yet
def why_waiting(pod):
    for status in pod.status.container_statuses or []:
        if status.state.waiting:
            return status.state.waiting.reason


fixed_manifest = None
