# says: together is 61.0, which is too little
def training_times(nodes):
    trainings = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    each = [show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in trainings]
    return sum(each), max(each)
