# says: each attempt once, also a failed one, no other node
def training_times(nodes):
    trainings = [n for n in nodes if n["templateName"] == "train"]
    each = [show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in trainings]
    return sum(each), show.plotting.duration(
        min(n["startedAt"] for n in trainings), max(n["finishedAt"] for n in trainings)
    )
