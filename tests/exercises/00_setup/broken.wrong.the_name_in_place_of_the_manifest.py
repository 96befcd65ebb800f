# says: give fixed_manifest a text between triple quotes
def why_waiting(pod):
    for status in pod.status.container_statuses or []:
        if status.state.waiting:
            return status.state.waiting.reason


fixed_manifest = "fixed"
