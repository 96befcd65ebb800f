# says: for a training run of two attempts
def training_times(nodes):
    trainings = {n["displayName"]: n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"}.values()
    each = [show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in trainings]
    starts, ends = [n["startedAt"] for n in trainings], [n["finishedAt"] for n in trainings]
    return sum(each), show.plotting.duration(min(starts), max(ends))
