# says: expected two numbers
def training_times(nodes):
    runs = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    each = [show.plotting.duration(n["startedAt"], n["finishedAt"]) for n in runs]
    starts, ends = [n["startedAt"] for n in runs], [n["finishedAt"] for n in runs]
    return {"one_after_another": sum(each), "together": show.plotting.duration(min(starts), max(ends))}
