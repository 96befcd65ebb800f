"""How a Deployment moves pods from old ReplicaSets to the new one, never below its bound of available pods.

Source: pkg/controller/deployment/{rolling,recreate,sync}.go of Kubernetes 1.34.
"""

from __future__ import annotations

from kubeproc.controllers.deployment.replicasets import MAXIMUM, available, bounds, replicas, scale
from kubeproc.store import Object, Store


def new_size(deployment: Object, everyone: list[Object], current: int) -> int:
    """The number of replicas to which the new ReplicaSet can grow."""
    wanted = deployment["spec"]["replicas"]
    if deployment["spec"]["strategy"]["type"] != "RollingUpdate":
        return wanted
    total = sum(replicas(rs) for rs in everyone)
    room = wanted + bounds(deployment)[0] - total
    return current if room <= 0 else current + min(room, wanted - current)


def roll(deployment: Object, new: Object, old: list[Object], store: Store) -> None:
    """One step of a rolling update: scale up the new ReplicaSet, or else scale down old ones."""
    wanted = deployment["spec"]["replicas"]
    size = wanted if replicas(new) > wanted else new_size(deployment, [*old, new], replicas(new))
    if scale(deployment, new, size, store):
        return
    _shrink(deployment, new, [rs for rs in old if replicas(rs)], store)


def _shrink(deployment: Object, new: Object, old: list[Object], store: Store) -> None:
    if not old:
        return
    floor = deployment["spec"]["replicas"] - bounds(deployment)[1]
    total = sum(replicas(rs) for rs in [*old, new])
    spare = total - floor - (replicas(new) - available(new))
    if spare <= 0:
        return
    for rs in old:  # pods that aren't available are removed first: they serve no traffic
        gone = min(spare, replicas(rs) - available(rs))
        if gone > 0:
            scale(deployment, rs, replicas(rs) - gone, store)
            spare -= gone
    surplus = sum(available(rs) for rs in [*old, new]) - floor
    for rs in old:
        gone = min(surplus, replicas(rs))
        if gone > 0:
            scale(deployment, rs, replicas(rs) - gone, store)
            surplus -= gone


def resize(deployment: Object, new: Object | None, old: list[Object], store: Store) -> None:
    """Scale proportionally after a change of `replicas`, even during a rollout: every ReplicaSet gets its share."""
    wanted = deployment["spec"]["replicas"]
    everyone = [*old, *([new] if new else [])]
    active = [rs for rs in everyone if replicas(rs)]
    if len(active) <= 1:
        latest = active[0] if active else (new or (old[-1] if old else None))
        if latest is not None:
            scale(deployment, latest, wanted, store)
        return
    if new is not None and replicas(new) == wanted and available(new) == wanted:
        for rs in old:
            if replicas(rs):
                scale(deployment, rs, 0, store)
        return
    if deployment["spec"]["strategy"]["type"] == "RollingUpdate":
        _share_out(deployment, active, store)


def _share_out(deployment: Object, active: list[Object], store: Store) -> None:
    wanted = deployment["spec"]["replicas"]
    limit = wanted + bounds(deployment)[0] if wanted else 0
    change = limit - sum(replicas(rs) for rs in active)
    newest_first = change > 0
    age = {rs["metadata"]["uid"]: i for i, rs in enumerate(active)}
    active.sort(
        key=lambda rs: (-replicas(rs), -age[rs["metadata"]["uid"]] if newest_first else age[rs["metadata"]["uid"]])
    )
    sizes, given = [], 0
    for rs in active:
        part = _share(rs, limit, wanted, change - given) if change else 0
        sizes.append(replicas(rs) + part)
        given += part
    if change:
        sizes[0] = max(0, sizes[0] + change - given)
    for rs, size in zip(active, sizes, strict=True):
        scale(deployment, rs, size, store)


def _share(rs: Object, limit: int, wanted: int, left: int) -> int:
    """The ReplicaSet's part of a change of size, of which `left` remains."""
    if not wanted:
        return max(-replicas(rs), left)
    noted = (rs["metadata"].get("annotations") or {}).get(MAXIMUM, "")
    before = int(noted) if noted.isdigit() and int(noted) else max(1, replicas(rs))
    part = int(replicas(rs) * limit / before + 0.5) - replicas(rs)
    return min(part, left) if left > 0 else max(part, left)
