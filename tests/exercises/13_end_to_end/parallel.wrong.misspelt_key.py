# says: training_times raised KeyError: 'endedAt'
def training_times(nodes):
    trainings = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    return sum(show.plotting.duration(n["startedAt"], n["endedAt"]) for n in trainings), 0
