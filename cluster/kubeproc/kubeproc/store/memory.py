"""The objects in memory, indexed by kind, namespace and name, and by their owners.

Each object is kept twice: as JSON, from which readers get copies, and parsed, for selectors and fast readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubeproc.resources import RESOURCES, Resource
from kubeproc.store.serialized import Object, key


@dataclass
class Entry:
    raw: bytes
    object: Object  # never handed out uncopied, never changed in place
    version: int


class Memory:
    def __init__(self) -> None:
        self._objects: dict[str, dict[str, dict[str, Entry]]] = {name: {} for name in RESOURCES}
        self._owned: dict[str, set[tuple[str, str, str]]] = {}  # owner's uid -> (resource, namespace, name)

    def put(self, resource: Resource, obj: Object, raw: bytes) -> None:
        namespace, name = key(obj)
        self.remove(resource, namespace, name)
        entry = Entry(raw, obj, int(obj["metadata"]["resourceVersion"]))
        self._objects[resource.qualified].setdefault(namespace, {})[name] = entry
        for owner in obj["metadata"].get("ownerReferences") or ():
            self._owned.setdefault(owner["uid"], set()).add((resource.qualified, namespace, name))

    def remove(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        entry = self._objects[resource.qualified].get(namespace, {}).pop(name, None)
        for owner in (entry.object["metadata"].get("ownerReferences") or ()) if entry else ():
            siblings = self._owned.get(owner["uid"], set())
            siblings.discard((resource.qualified, namespace, name))
            if not siblings:
                self._owned.pop(owner["uid"], None)
        return entry

    def entry(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        return self._objects[resource.qualified].get(namespace if resource.namespaced else "", {}).get(name)

    def entries(self, resource: Resource, namespace: str | None) -> Iterator[Entry]:
        """All objects of one namespace, or of all namespaces if it is None or empty."""
        spaces = self._objects[resource.qualified]
        for space in [spaces.get(namespace, {})] if namespace else list(spaces.values()):
            yield from list(space.values())

    def owned(self, uid: str, resource: Resource | None = None) -> Iterator[Entry]:
        """All objects with `uid` among their ownerReferences, of one resource or of all."""
        keys = sorted(k for k in self._owned.get(uid, ()) if resource is None or k[0] == resource.qualified)
        entries = (self.entry(RESOURCES[kind], namespace, name) for kind, namespace, name in keys)
        yield from (e for e in entries if e)

    def owns(self, uid: str) -> bool:
        return bool(self._owned.get(uid))
