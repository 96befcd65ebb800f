# says: for a training run of two attempts: the sum over training pods: each attempt once, also a failed one
def training_times(nodes):
    mine = [n for n in nodes if (n["type"], n["templateName"], n["phase"]) == ("Pod", "train", "Succeeded")]
    starts, ends = [n["startedAt"] for n in mine], [n["finishedAt"] for n in mine]
    return sum(map(show.plotting.duration, starts, ends)), show.plotting.duration(min(starts), max(ends))
