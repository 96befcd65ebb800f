import numpy as np


def training_times(nodes):
    mine = [n for n in nodes if n["type"] == "Pod" and n["templateName"] == "train"]
    start, end = (np.array([n[key].rstrip("Z") for n in mine], "datetime64[s]") for key in ("startedAt", "finishedAt"))
    return (end - start).sum().astype(int), np.float64((end.max() - start.min()).astype(int))
