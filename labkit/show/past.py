"""A workflow's pods before the watch began: from the Pod objects that still exist, from the events of those that are
gone, and from the workflow's own nodes where the events have expired, too."""

from __future__ import annotations

import re
from typing import Any

from labkit.plotting import Pod, remembered
from labkit.plotting.labels import moment
from labkit.show.family import Family

Object = dict[str, Any]
CREATED = re.compile(r"Created pod: (\S+)")  # what controllers say of the pods they make
DELETED = re.compile(r"Deleted pod: (\S+)")
EXITED = re.compile(r"Pod: [^.\s]+\.(\S+) exited with code (\d+)")  # the training operator's: namespace.name
MEANS = {"Scheduled": "Pending", "Started": "Running", "Killing": "Removed"}


def when(event: Object) -> float:
    """When an event happened first, in seconds since the epoch."""
    said = event.get("firstTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return moment(said)


def gone(family: Family, listed: list[Object], known: dict[str, Pod]) -> dict[str, Pod]:
    """The workflow's pods that are known from events or nodes only, by uid."""
    owners = _owners(listed)
    found: dict[str, Pod] = {}
    for event in sorted(listed, key=when):
        about = event["involvedObject"]
        uid = about.get("uid") or about.get("name", "")
        phase = MEANS.get(event.get("reason", ""))
        if about.get("kind") != "Pod" or phase is None or uid in known:
            continue
        if uid not in found:
            owner = owners.get(about["name"])
            if not (family.node(about["name"]) or (owner and family.owned_by(owner, when(event)))):
                continue
            reference = (owner["kind"], owner["name"], "") if owner else ("", "", "")
            found[uid] = Pod(uid, about["name"], owner=reference)
        changes = found[uid].changes
        if not changes and phase != "Pending":
            changes.append((when(event), "Pending"))
        if phase == "Running" and changes[-1:] and changes[-1][1] == "Running":
            changes[-1] = (when(event), phase)  # it runs when all of its containers do
        elif all(p != phase for _, p in changes):
            changes.append((max(when(event), changes[-1][0] if changes else 0.0), phase))
    said = {uid: _said(pod, listed, known | found) for uid, pod in found.items()}
    for uid, pod in found.items():
        _end(pod, family, [event for event in listed if event["involvedObject"].get("uid") == uid], said[uid])
    return found | _nodes(family, known | found)


def _end(pod: Pod, family: Family, own: list[Object], said: list[Object]) -> None:
    """Enter how a pod ended that is gone: as the workflow's node says, or its controller; or removed at its last event."""
    node, begun = family.node(pod.name), pod.changes[-1][0]
    if node and node.get("finishedAt"):
        pod.changes = [c for c in pod.changes if c[1] != "Removed"]
        pod.changes.append((max(moment(node["finishedAt"]), pod.changes[-1][0]), _outcome(node)))
        return
    for event in said:
        if (exit := EXITED.match(event["message"])) and pod.phase != "Removed":
            pod.changes.append((max(when(event), begun), "Failed" if int(exit[2]) else "Succeeded"))
            pod.why = f"exit code {exit[2]}" if int(exit[2]) else ""
            return
    if pod.phase != "Removed":
        pod.changes.append((max([when(event) for event in own + said] + [begun]), "Removed"))


def _said(pod: Pod, listed: list[Object], known: dict[str, Pod]) -> list[Object]:
    """What controllers said of the pod's end. They name it, so of a name that was taken again it is what they said from
    one pod's beginning to the next one's; events have whole seconds, and the next one begins when the last one has ended."""
    begun = pod.changes[0][0]
    same = [each.changes[0][0] for each in known.values() if each.name == pod.name and each.changes and each is not pod]
    until = min((other for other in same if other > begun), default=float("inf"))
    first = all(other > begun for other in same)
    found = []
    for event in sorted(listed, key=when):
        message = event.get("message") or ""
        named = EXITED.match(message) or DELETED.match(message)
        if named and named[1] == pod.name and (begun < when(event) <= until or (first and when(event) == begun)):
            found.append(event)
    return found


def _outcome(node: Object) -> str:
    return "Succeeded" if node.get("phase") == "Succeeded" else "Failed"


def _owners(listed: list[Object]) -> dict[str, Object]:
    """The controller of each pod, by the pod's name."""
    found = {}
    for event in listed:
        said = CREATED.match(event.get("message") or "")
        if said and event["involvedObject"].get("kind") != "Pod":
            found[said[1]] = event["involvedObject"]
    return found


def _nodes(family: Family, known: dict[str, Pod]) -> dict[str, Pod]:
    """The pods of steps that have left nothing but the workflow's node."""
    there = {node["id"] for pod in known.values() if (node := family.node(pod.name))}
    found = {}
    for id, node in ((family.workflow.get("status") or {}).get("nodes") or {}).items():
        if node.get("type") != "Pod" or id in there or not node.get("finishedAt") or remembered(node):
            continue
        phase = _outcome(node)
        changes = [(moment(node["startedAt"]), "Running"), (moment(node["finishedAt"]), phase)]
        found[id] = Pod(id, id, changes, why="" if phase == "Succeeded" else str(node.get("message") or ""))
    return found
