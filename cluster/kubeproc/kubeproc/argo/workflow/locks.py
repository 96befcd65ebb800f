"""synchronization: mutexes and semaphores, held by a workflow or by one of its nodes.

Mechanism. There is no table of locks: who holds one stands in `status.synchronization` of the workflow that holds it,
and is counted when somebody asks. Who has to wait stands there too; the one of higher priority, then the older
workflow, goes first. A workflow that ends holds nothing. When a holder changes, those that wait are looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeproc.argo.language.builtins_numbers import parse_int
from kubeproc.argo.workflow.call import Call
from kubeproc.argo.workflow.nodes import fulfilled
from kubeproc.argo.workflow.operation import Object, Operation, OperationError
from kubeproc.resources import CONFIGMAPS, WORKFLOWS
from kubeproc.store import Event, Key, Store

_DONE = ("Succeeded", "Failed", "Error")


def wanted(synchronization: Object, namespace: str) -> list[tuple[str, str, Object]]:
    """The locks a `synchronization` names: (kind, name, reference); kind is mutex or semaphore."""
    found: list[tuple[str, str, Object]] = []
    singles = [("mutex", synchronization.get("mutex")), ("semaphore", synchronization.get("semaphore"))]
    many = [("mutex", m) for m in synchronization.get("mutexes") or ()]
    many += [("semaphore", s) for s in synchronization.get("semaphores") or ()]
    for kind, reference in [*singles, *many]:
        if not reference:
            continue
        home = reference.get("namespace") or namespace
        if kind == "mutex":
            found.append((kind, f"{home}/Mutex/{reference['name']}", reference))
        else:
            key = reference.get("configMapKeyRef")
            if not key:
                raise OperationError("semaphore.database: not supported by the embedded cluster")
            found.append((kind, f"{home}/ConfigMap/{key['name']}/{key['key']}", reference))
    return found


def _limit(kind: str, name: str, store: Store) -> int:
    if kind == "mutex":
        return 1
    home, _, configmap, key = name.split("/", 3)
    found = store.find(CONFIGMAPS, home, configmap)
    if found is None:
        raise OperationError(f'configmaps "{configmap}" not found')
    value = (found.get("data") or {}).get(key)
    if value is None:
        raise OperationError(f"semaphore configmap key '{key}' not found")
    size = parse_int(value.strip())
    if size is None:
        raise OperationError(f'strconv.Atoi: parsing "{value}": invalid syntax')
    return size


def _entries(workflow: Object, kind: str, part: str) -> Iterable[Object]:
    return (((workflow.get("status") or {}).get("synchronization") or {}).get(kind) or {}).get(part) or ()


def _holders(workflow: Object, kind: str, name: str) -> list[str]:
    found: list[str] = []
    for entry in _entries(workflow, kind, "holding"):
        if entry.get(kind) == name:
            found += entry["holders"] if kind == "semaphore" else [entry["holder"]]
    return found


def _waits(workflow: Object, kind: str, name: str) -> bool:
    return any(entry.get(kind) == name for entry in _entries(workflow, kind, "waiting"))


def _rank(workflow: Object) -> tuple[int, str, str]:
    meta = workflow["metadata"]
    return -int((workflow.get("spec") or {}).get("priority") or 0), meta["creationTimestamp"], meta["name"]


def _others(op: Operation) -> list[Object]:
    me = op.workflow["metadata"]["uid"]

    def concerned(workflow: Object) -> bool:
        status = workflow.get("status") or {}
        active = status.get("synchronization") and status.get("phase") not in _DONE
        return bool(active) and workflow["metadata"]["uid"] != me

    return op.store.peek(WORKFLOWS, None, concerned)  # type: ignore[arg-type]


def acquire(op: Operation, synchronization: Object, key: str) -> str:
    """Take all the locks for `key`, or none of them. "" where it holds them now, else why it has to wait."""
    asked = wanted(synchronization, op.namespace)
    others = _others(op)
    for kind, name, _ in asked:
        held = [holder for other in others for holder in _holders(other, kind, name)]
        mine = _holders(op.workflow, kind, name)
        if key in mine:
            continue
        limit = _limit(kind, name, op.store)
        free = limit - len(held) - len(mine)
        ahead = sum(1 for other in others if _waits(other, kind, name) and _rank(other) < _rank(op.workflow))
        if free <= ahead:
            _wait(op, kind, name, [*held, *mine])
            return f"Waiting for {name} lock. Lock status: {max(free, 0)}/{limit}"
    for kind, name, _ in asked:
        _hold(op, kind, name, key)
    return ""


def _table(op: Operation, kind: str) -> Object:
    found: Object = op.status.setdefault("synchronization", {}).setdefault(kind, {})
    return found


def _wait(op: Operation, kind: str, name: str, holders: list[str]) -> None:
    table = _table(op, kind)
    entry: Object = {kind: name}
    entry |= {"holders": holders} if kind == "semaphore" else {"holder": holders[0] if holders else ""}
    rest = [w for w in table.get("waiting") or () if w.get(kind) != name]
    if [*rest, entry] != table.get("waiting"):
        table["waiting"] = [*rest, entry]
        op.changed = True


def _hold(op: Operation, kind: str, name: str, key: str) -> None:
    table = _table(op, kind)
    table["waiting"] = [w for w in table.get("waiting") or () if w.get(kind) != name]
    if not table["waiting"]:
        del table["waiting"]
    holding = table.setdefault("holding", [])
    entry = next((h for h in holding if h.get(kind) == name), None)
    if kind == "mutex" and entry is None:
        holding.append({"mutex": name, "holder": key})
    elif kind == "semaphore" and entry is None:
        holding.append({"semaphore": name, "holders": [key]})
    elif kind == "semaphore" and entry is not None and key not in entry["holders"]:
        entry["holders"].append(key)
    op.changed = True


def release(op: Operation, key: str | None = None) -> None:
    """Give back what `key` holds, or all that the workflow holds and waits for."""
    synchronization = op.status.get("synchronization")
    if not synchronization:
        return
    if key is None:
        del op.status["synchronization"]
        op.changed = True
        return
    for kind, table in synchronization.items():
        kept = []
        for entry in table.get("holding") or ():
            if kind == "mutex" and entry["holder"] == key:
                op.changed = True
                continue
            if kind == "semaphore" and key in entry["holders"]:
                entry = entry | {"holders": [h for h in entry["holders"] if h != key]}
                op.changed = True
                if not entry["holders"]:
                    continue
            kept.append(entry)
        table["holding"] = kept


# -- nodes -----------------------------------------------------------------------------------------------------------


def _key(op: Operation, node_id: str) -> str:
    return f"{op.namespace}/{op.name}/{node_id}"


def waits(node: Object) -> bool:
    return bool((node.get("synchronizationStatus") or {}).get("waiting"))


def enter(op: Operation, call: Call, node: Object | None, template: Object) -> Object | None:
    """Take a template's locks; the node, which waits where they are not free. None where it has not begun."""
    id = op.tree.id(call.name)
    key = _key(op, id)
    why = acquire(op, template["synchronization"], key)
    if why:
        if node is None:
            node = op.tree.start(call.name, "Pod" if not (template.get("steps") or template.get("dag")) else
                            "Steps" if template.get("steps") else "DAG", call.holder, call.source.label, call.boundary,
                            "Pending", flag=call.flag, template=template)  # fmt: skip
        if node["phase"] == "Pending":
            op.tree.set(node, "synchronizationStatus", {"waiting": why.split()[2]})
            op.tree.mark(call.name, "Pending", why)
        return node
    if node is not None and waits(node):
        op.tree.set(node, "synchronizationStatus", None)
        op.tree.mark(call.name, node["phase"], "")
    return node


def leave(op: Operation, node: Object) -> None:
    """Give back what a node held."""
    if op.status.get("synchronization"):
        release(op, _key(op, node["id"]))


def release_ended(op: Operation) -> None:
    """Give back what nodes hold that have ended meanwhile."""
    prefix = f"{op.namespace}/{op.name}/"
    for kind in list(op.status.get("synchronization") or ()):
        for entry in list(_entries(op.workflow, kind, "holding")):
            for key in entry["holders"] if kind == "semaphore" else [entry["holder"]]:
                node = op.tree.nodes.get(key.removeprefix(prefix)) if key.startswith(prefix) else None
                if node is not None and fulfilled(node):
                    release(op, key)


def waiting(event: Event, store: Store) -> list[Key]:
    """The workflows that wait for a lock, when one that holds or held some has changed."""
    before = ((event.previous or {}).get("status") or {}).get("synchronization")
    if not before or (event.type != "DELETED" and before == (event.object.get("status") or {}).get("synchronization")):
        return []

    def waits_for_any(workflow: Object) -> bool:
        tables = ((workflow.get("status") or {}).get("synchronization") or {}).values()
        return any(table.get("waiting") for table in tables)

    found = store.peek(WORKFLOWS, None, waits_for_any)  # type: ignore[arg-type]
    return [(w["metadata"]["namespace"], w["metadata"]["name"]) for w in found]
