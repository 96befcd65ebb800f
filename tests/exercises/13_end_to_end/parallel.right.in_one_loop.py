def training_times(nodes):
    total, first, last = 0, None, None
    for node in reversed(nodes):
        if node["type"] != "Pod" or node["templateName"] != "train":
            continue
        total += show.plotting.duration(node["startedAt"], node["finishedAt"])
        first = min(filter(None, [first, node["startedAt"]]))
        last = max(filter(None, [last, node["finishedAt"]]))
    return total, show.plotting.duration(first, last)
