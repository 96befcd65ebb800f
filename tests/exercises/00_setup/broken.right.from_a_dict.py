def why_waiting(pod):
    statuses = pod.to_dict()["status"]["container_statuses"] or []
    reasons = [status["state"]["waiting"]["reason"] for status in statuses if status["state"]["waiting"]]
    return reasons[0] if reasons else None


fixed_manifest = yaml.safe_load(broken_manifest)
fixed_manifest["metadata"]["name"] = "fixed"
fixed_manifest["spec"]["containers"][0]["image"] = "busybox"
