"""A Deployment's ReplicaSets: which one has the current template, revisions, annotations, scaling.

Source: pkg/controller/deployment/{sync.go,util/deployment_util.go} of Kubernetes 1.34. The hash in names is computed
over JSON, so its value differs from a real cluster's; it is as stable.
"""

from __future__ import annotations

import copy
import json

from kubeproc import names
from kubeproc.admission.deployment import scaled
from kubeproc.api_errors import ApiError
from kubeproc.controllers import events
from kubeproc.controllers.owners import controller_ref, deleting
from kubeproc.resources import REPLICASETS
from kubeproc.store import Object, Store

COMPONENT = "deployment-controller"
HASH = "pod-template-hash"
REVISION, HISTORY = "deployment.kubernetes.io/revision", "deployment.kubernetes.io/revision-history"
DESIRED, MAXIMUM = "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas"
_OWN = ("kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MAXIMUM)


def replicas(rs: Object) -> int:
    return rs["spec"]["replicas"]


def available(rs: Object) -> int:
    """The number of available pods; those that the ReplicaSet is about to delete don't count."""
    return min(replicas(rs), (rs.get("status") or {}).get("availableReplicas", 0))


def bounds(deployment: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) as numbers of pods; if both are 0, one pod may be unavailable."""
    spec = deployment["spec"]
    rolling = spec["strategy"].get("rollingUpdate")
    if spec["strategy"]["type"] != "RollingUpdate" or not spec["replicas"]:
        return (scaled(rolling["maxSurge"], spec["replicas"], up=True) if rolling else 0), 0
    surge = scaled(rolling["maxSurge"], spec["replicas"], up=True)
    lacking = scaled(rolling["maxUnavailable"], spec["replicas"])
    return surge, min(spec["replicas"], lacking if surge or lacking else 1)


def template_hash(template: Object, collisions: int) -> str:
    """FNV-1a over the template, in the alphabet of generated names."""
    value = 0x811C9DC5
    for byte in json.dumps([template, collisions], sort_keys=True).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return names.encoded(str(value))


def plain(template: Object) -> Object:
    """The template without the hash's label."""
    result = copy.deepcopy(template)
    labels = result.get("metadata", {}).get("labels") or {}
    labels.pop(HASH, None)
    return result


def revision(obj: Object) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def split(deployment: Object, found: list[Object]) -> tuple[Object | None, list[Object]]:
    """(the ReplicaSet of the current template, the others)."""
    template = plain(deployment["spec"]["template"])
    new = next((rs for rs in found if plain(rs["spec"]["template"]) == template), None)
    return new, [rs for rs in found if new is None or rs["metadata"]["uid"] != new["metadata"]["uid"]]


def create(deployment: Object, old: list[Object], count: int, store: Store) -> Object:
    """Create the ReplicaSet of the current template with `count` replicas; a name that another one has is a hash
    collision, and the next hash is tried."""
    meta, spec = deployment["metadata"], deployment["spec"]
    status = deployment.setdefault("status", {})
    while True:
        digest = template_hash(plain(spec["template"]), status.get("collisionCount", 0))
        template = copy.deepcopy(spec["template"])
        labels = {**(template["metadata"].get("labels") or {}), HASH: digest}
        template["metadata"]["labels"] = labels
        selector = copy.deepcopy(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: digest}
        rs: Object = {
            "metadata": {
                "name": f"{meta['name']}-{digest}",
                "namespace": meta["namespace"],
                "labels": dict(labels),
                "ownerReferences": [controller_ref(deployment)],
            },
            "spec": {"replicas": count, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            rs["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        annotate(deployment, rs, max([revision(o) for o in old], default=0) + 1)
        _note_size(deployment, rs)
        try:
            made = store.create(REPLICASETS, rs)
            break
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            status["collisionCount"] = status.get("collisionCount", 0) + 1
    if count:
        words = f"Scaled up replica set {made['metadata']['name']} from 0 to {count}"
        events.record(store, deployment, events.NORMAL, "ScalingReplicaSet", words, component=COMPONENT)
    return made


def annotate(deployment: Object, rs: Object, number: int) -> None:
    """Copy the Deployment's annotations and move the ReplicaSet to revision `number`, if that is newer."""
    own = dict(rs["metadata"].get("annotations") or {})
    own |= {k: v for k, v in (deployment["metadata"].get("annotations") or {}).items() if k not in _OWN}
    before = own.get(REVISION, "")
    if not before or (before.isdigit() and int(before) < number):
        own[REVISION] = str(number)
        if before:
            own[HISTORY] = ",".join([*filter(None, [own.get(HISTORY, "")]), before])
    rs["metadata"]["annotations"] = own


def _note_size(deployment: Object, rs: Object) -> bool:
    wanted = deployment["spec"]["replicas"]
    own = rs["metadata"].setdefault("annotations", {})
    new = {DESIRED: str(wanted), MAXIMUM: str(wanted + bounds(deployment)[0])}
    changed = not new.items() <= own.items()
    own |= new
    return changed


def refresh(deployment: Object, new: Object, old: list[Object], store: Store) -> Object:
    """Update the annotations and minReadySeconds of the current ReplicaSet."""
    annotate(deployment, new, max([revision(o) for o in old], default=0) + 1)
    seconds = deployment["spec"].get("minReadySeconds") or 0
    if seconds or new["spec"].get("minReadySeconds"):
        new["spec"]["minReadySeconds"] = seconds
    return store.update(REPLICASETS, new)


def scale(deployment: Object, rs: Object, count: int, store: Store) -> bool:
    """Set the ReplicaSet's size, in place and in the store; True if the size changed."""
    before = replicas(rs)
    noted = _note_size(deployment, rs)
    if before == count and not noted:
        return False
    rs["spec"]["replicas"] = count
    rs |= store.update(REPLICASETS, rs)
    if before == count:
        return False
    way = "up" if count > before else "down"
    words = f"Scaled {way} replica set {rs['metadata']['name']} from {before} to {count}"
    events.record(store, deployment, events.NORMAL, "ScalingReplicaSet", words, component=COMPONENT)
    return True


def clean_up(deployment: Object, old: list[Object], store: Store) -> None:
    """Delete the oldest empty ReplicaSets beyond the revision history's limit."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    alive = sorted((rs for rs in old if not deleting(rs)), key=revision)
    if limit is None:
        return
    for rs in alive[: max(0, len(alive) - limit)]:
        status, meta = rs.get("status") or {}, rs["metadata"]
        if status.get("replicas") or replicas(rs) or meta.get("generation", 0) > status.get("observedGeneration", 0):
            continue
        store.delete(REPLICASETS, meta["namespace"], meta["name"], uid=meta["uid"])
