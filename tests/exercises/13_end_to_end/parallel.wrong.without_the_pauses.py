# says: for training runs that take turns, with a pause
def training_times(nodes):
    trainings = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    each = [show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in trainings]
    seconds = set()
    for n in trainings:
        start = int(show.plotting.duration(min(m["startedAt"] for m in trainings), n["startedAt"]))
        seconds |= set(range(start, start + int(show.plotting.duration(n["startedAt"], n["finishedAt"]))))
    return sum(each), len(seconds)
