# says: earliest start to the latest end
def training_times(nodes):
    trainings = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    each = [show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in trainings]
    return sum(each), show.plotting.duration(trainings[0]["startedAt"], trainings[-1]["finishedAt"])
