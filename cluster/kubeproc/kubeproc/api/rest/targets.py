"""What a path of the API names: `/api/v1/namespaces/NS/pods/NAME/SUBRESOURCE` and its variants, parsed."""

from __future__ import annotations

from dataclasses import dataclass

from kubeproc.resources import RESOURCES, Resource, by_path

GROUPS = frozenset((r.group, r.version) for r in RESOURCES.values())


@dataclass(frozen=True)
class Target:
    """A collection (`name` empty), an object, or a subresource of it; `namespace` is empty for all namespaces."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def everywhere(self) -> bool:
        """A namespaced collection across all namespaces: it can only be listed and watched."""
        return self.resource.namespaced and not self.namespace


def parse(path: str) -> Target | None:
    """The target of a path; a trailing slash is allowed. None if the path names no kind of this cluster."""
    group, version, rest = split(path)
    if not rest or "" in rest:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        inner = by_path(group, version, rest[2])
        if inner and inner.namespaced:
            namespace, rest = rest[1], rest[2:]
    resource = by_path(group, version, rest[0])
    if resource is None or len(rest) > 3 or (resource.namespaced and not namespace and len(rest) > 1):
        return None
    return Target(resource, namespace, *rest[1:])


def split(path: str) -> tuple[str, str, list[str]]:
    """Group, version and the rest; three empty values for a path outside `/api` and `/apis`."""
    parts = path[1:].removesuffix("/").split("/")
    if parts[0] == "api" and len(parts) > 1:
        return "", parts[1], parts[2:]
    if parts[0] == "apis" and len(parts) > 2:
        return parts[1], parts[2], parts[3:]
    return "", "", []
