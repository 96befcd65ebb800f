"""Server-side apply: field ownership and conflicts.

`metadata.managedFields` has an entry for each manager. Applying sets the fields of the configuration, makes the manager
their owner, and removes fields that the manager applied before and no longer does, unless another manager owns them.
Changing a field that another manager owns is a conflict (409), unless forced. An object that was never applied has no
managedFields: at its first apply everything in it goes to `before-first-apply`, which is how upstream treats objects
that predate it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kubeproc import timestamps
from kubeproc.api.rest import fieldsets
from kubeproc.api.rest.fieldsets import Fields, Path
from kubeproc.api.rest.options import WriteOptions
from kubeproc.api.schema import schemas
from kubeproc.api.schema.decoding import Decoder, Unreadable
from kubeproc.api_errors import ApiError, bad_request, conflict
from kubeproc.resources import Resource
from kubeproc.store import Object

BEFORE = "before-first-apply"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
META = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion",
        "deletionTimestamp", "deletionGracePeriodSeconds", "generateName")  # fmt: skip


@dataclass(frozen=True)
class Manager:
    name: str
    operation: str  # Apply or Update
    version: str
    subresource: str = ""


@dataclass
class Entry:
    fields: Fields
    time: str


Managers = dict[Manager, Entry]


def read(entries: Any) -> Managers:
    """`metadata.managedFields` as managers and their fields; entries that can't be parsed are left out."""
    found: Managers = {}
    for e in entries or []:
        if e.get("manager") is not None and e.get("operation"):
            who = Manager(e["manager"], e["operation"], e.get("apiVersion", ""), e.get("subresource", ""))
            found[who] = Entry(fieldsets.from_json(e.get("fieldsV1") or {}), e.get("time", ""))
    return found


def write(managers: Managers) -> list[Object]:
    """The reverse of `read`, in upstream's order: Apply entries first, then by time and name."""
    order = sorted(managers.items(), key=lambda m: (m[0].operation, m[1].time, m[0].name))
    return [
        {
            "manager": who.name,
            "operation": who.operation,
            "apiVersion": who.version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldsets.to_json(entry.fields),
        }
        | ({"subresource": who.subresource} if who.subresource else {})
        for who, entry in order
        if entry.fields
    ]


def _bare(resource: Resource, obj: Object, subresource: str = "") -> Object:
    """The fields of an object that can be owned: not its identity, and the status only if the write may change it."""
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k not in META}
    bare = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    if subresource == "status":
        return {k: v for k, v in bare.items() if k == "status"}
    if resource.status:
        bare.pop("status", None)
    return bare | ({"metadata": meta} if meta else {})


# -- applying ----------------------------------------------------------------------------------------------------------


def apply(resource: Resource, old: Object | None, config: Any, options: WriteOptions, subresource: str = "") -> Object:
    """The object after `options.manager` applies `config`. ApiError 400 or 500 for an invalid configuration, 409
    for conflicts."""
    config = _checked(resource, old, config)
    schema = schemas.of(resource)
    who = Manager(options.manager, "Apply", resource.api_version, subresource)
    wanted = _bare(resource, config, subresource)
    mine = set(fieldsets.leaves(schema, wanted))
    if old is None:
        config["metadata"]["managedFields"] = write({who: Entry(mine, timestamps.now())})
        return config
    managers = read(old["metadata"].get("managedFields"))
    live = _bare(resource, old, subresource)
    if not managers:
        everything = set(fieldsets.leaves(schema, _bare(resource, old)))
        managers[Manager(BEFORE, "Update", resource.api_version)] = Entry(everything, timestamps.now())
    last = managers.pop(who, Entry(set(), ""))
    new = _merged(schema, live, wanted, mine, last.fields, managers)
    removed, changed = fieldsets.compare(schema, live, new)
    conflicts = {other: found for other, e in managers.items() if (found := e.fields & changed)}
    if conflicts and not options.force:
        allowed = _client_side(schema, resource, old) if who.name == "kubectl" else set()
        conflicts = {other: left for other, found in conflicts.items() if (left := found - allowed)}
        if conflicts:
            raise _conflict(conflicts, managers)
    for entry in managers.values():
        entry.fields -= changed | removed
    managers[who] = Entry(mine, last.time if last.fields == mine and not (changed | removed) else timestamps.now())
    return _onto(old, new, config, write(managers), subresource)


def _checked(resource: Resource, old: Object | None, config: Any) -> Object:
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: the configuration is not an object")
    given = (config.get("apiVersion"), config.get("kind"))
    if given != (resource.api_version, resource.kind):
        kind = f"{resource.api_version}, Kind={resource.kind}"
        if not given[1]:
            raise bad_request("invalid object type: /, Kind=")
        raise bad_request(f"invalid object type: {given[0] or ''}, Kind={given[1] or ''} is not {kind}")
    meta = config.get("metadata")
    if not isinstance(meta, dict):
        meta = config["metadata"] = {}
    if meta.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    group = f"{resource.group}/{resource.version}"
    where = f"({meta.get('namespace', '')}/{meta.get('name', '')}; {group}, Kind={resource.kind})"
    decoder = Decoder(custom=False)
    try:
        made = decoder.decode(schemas.of(resource), config)
    except Unreadable as error:
        raise ApiError(500, "", f"failed to create typed patch object {where}: {error}") from None
    if decoder.unknown:
        words = [f".{name}: field not declared in schema" for name in decoder.unknown]
        text = words[0] if len(words) == 1 else "errors:\n" + "\n".join(f"  {w}" for w in words)
        raise ApiError(500, "", f"failed to create typed patch object {where}: {text}")
    version = meta.get("resourceVersion")
    if old and version and version != old["metadata"]["resourceVersion"]:
        raise conflict(resource, old["metadata"]["name"])
    made["metadata"] = made.get("metadata") or {}
    return made


def _merged(
    schema: schemas.Schema, live: Object, wanted: Object, mine: Fields, last: Fields, managers: Managers
) -> Object:
    """The existing fields and the applied ones, without those that only the previous configuration had."""
    merged = fieldsets.merge(schema, live, wanted)
    kept = fieldsets.with_parents(mine.union(*(e.fields for e in managers.values())))
    gone = fieldsets.with_parents(last) - kept
    return fieldsets.prune(schema, merged, gone, kept)


def _onto(old: Object, new: Object, config: Object, entries: list[Object], subresource: str) -> Object:
    """The stored object with its ownable fields replaced by the new ones."""
    meta = {k: v for k, v in old["metadata"].items() if k in META} | new.get("metadata", {})
    identity = {k: v for k, v in config["metadata"].items() if k in ("name", "namespace", "uid")}
    meta = meta | identity | {"managedFields": entries}
    if subresource == "status":
        return old | {"metadata": old["metadata"] | {"managedFields": entries}, "status": new.get("status", {})}
    made = {"apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": meta}
    made |= {k: v for k, v in new.items() if k != "metadata"}
    return made | ({"status": old["status"]} if "status" in old and "status" not in made else {})


def _client_side(schema: schemas.Schema, resource: Resource, old: Object) -> Fields:
    """The fields that client-side `kubectl apply` set and that are unchanged since: kubectl may take them over."""
    try:
        last = json.loads((old["metadata"].get("annotations") or {})[LAST_APPLIED])
    except (KeyError, ValueError):
        return set()
    if not isinstance(last, dict) or last.get("apiVersion") != resource.api_version:
        return set()
    was, is_now = fieldsets.leaves(schema, _bare(resource, last)), fieldsets.leaves(schema, _bare(resource, old))
    return {p for p, v in was.items() if is_now.get(p, fieldsets.MEMBER) == v or v is fieldsets.MEMBER}


def _conflict(conflicts: dict[Manager, Fields], managers: Managers) -> ApiError:
    found: list[tuple[str, Path]] = []
    for who in sorted(conflicts, key=lambda m: (m.name, m.operation)):
        label = f'"{who.name}"' + (f' with subresource "{who.subresource}"' if who.subresource else "")
        if who.operation == "Update":
            label += f" using {who.version}"
        found += [(label, path) for path in sorted(conflicts[who])]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {label}", "field": fieldsets.text(path)}
        for label, path in found
    ]
    if len(found) == 1:
        words = f"1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines: list[str] = []
        for label in dict.fromkeys(label for label, _ in found):
            lines.append(f"conflicts with {label}:")
            lines += [f"- {fieldsets.text(p)}" for other, p in found if other == label]
        words = f"{len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", f"Apply failed with {words}", {"causes": causes})


# -- other writes ------------------------------------------------------------------------------------------------------


def track(resource: Resource, old: Object, new: Object, name: str, subresource: str = "") -> None:
    """Make the manager of an ordinary update the owner of the changed fields, in `new.metadata.managedFields`. Objects
    that were never applied are not tracked. `managedFields: [{}]` clears all entries, as upstream."""
    meta = new["metadata"]
    sent = meta.get("managedFields")
    had = old["metadata"].get("managedFields")
    if sent == [{}] or not had:
        meta.pop("managedFields", None)
        return
    managers = read(sent) or read(had)
    schema = schemas.of(resource)
    removed, changed = fieldsets.compare(schema, _bare(resource, old, subresource), _bare(resource, new, subresource))
    if removed or changed:
        who = Manager(name or "unknown", "Update", resource.api_version, subresource)
        own = managers.pop(who, Entry(set(), ""))
        for entry in managers.values():
            entry.fields -= changed | removed
        managers[who] = Entry((own.fields - removed) | changed, timestamps.now())
    meta["managedFields"] = write(managers)
