from datetime import datetime


def training_times(nodes):
    spans = [
        (datetime.fromisoformat(node["startedAt"]), datetime.fromisoformat(node["finishedAt"]))
        for node in nodes
        if (node["type"], node["templateName"]) == ("Pod", "train")
    ]
    each = [(end - start).total_seconds() for start, end in spans]
    return [sum(each), (max(end for _, end in spans) - min(start for start, _ in spans)).total_seconds()]
