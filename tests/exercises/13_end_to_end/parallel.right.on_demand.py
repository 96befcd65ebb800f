def training_times(nodes):
    runs = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    yield sum(show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in runs)
    yield show.plotting.duration(min(n["startedAt"] for n in runs), max(n["finishedAt"] for n in runs))
