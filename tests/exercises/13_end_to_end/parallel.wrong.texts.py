# says: expected a number
def training_times(nodes):
    trainings = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    each = [show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in trainings]
    return f"{sum(each)} s", f"{max(each)} s"
