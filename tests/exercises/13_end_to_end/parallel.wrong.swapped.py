# says: one_after_another is 65.0, which is too little
def training_times(nodes):
    trainings = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    each = [show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in trainings]
    starts, ends = [n["startedAt"] for n in trainings], [n["finishedAt"] for n in trainings]
    return show.plotting.duration(min(starts), max(ends)), sum(each)
