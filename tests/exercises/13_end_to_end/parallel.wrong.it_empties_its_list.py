# says: training_times changes what it is given
def training_times(nodes):
    runs = []
    while nodes:
        node = nodes.pop()
        if node["type"] == "Pod" and node["templateName"] == "train":
            runs.append(node)
    starts, ends = [n["startedAt"] for n in runs], [n["finishedAt"] for n in runs]
    return sum(map(show.plotting.duration, starts, ends)), show.plotting.duration(min(starts), max(ends))
