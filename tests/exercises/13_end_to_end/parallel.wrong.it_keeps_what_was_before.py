# says: one_after_another is 149.0, which is too much
seen = []


def training_times(nodes):
    seen.extend(n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train")
    added = sum(show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in seen)
    return added, show.plotting.duration(min(n["startedAt"] for n in seen), max(n["finishedAt"] for n in seen))
