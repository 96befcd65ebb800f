"""Discovery: which groups, versions and kinds this server has, and which verbs each of them knows.

Everything is derived from the table in `resources`; the answers never change while the server runs, so each is made
once, as bytes, and carries an ETag. Clients that send `as=APIGroupDiscoveryList` get the aggregated form (two requests
for the whole cluster, k8s.io/api/apidiscovery), the others one document for each group version.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kubeproc.api_errors import ApiError
from kubeproc.resources import RESOURCES, Resource
from kubeproc.store import dump

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
EDIT = ["get", "patch", "update"]
CONNECT = ["create", "get"]


class Kind(NamedTuple):
    group: str
    version: str
    kind: str


# What a subresource takes and gives, where that isn't the object itself, and its verbs.
SUBRESOURCES: dict[str, tuple[Kind | None, list[str]]] = {
    "status": (None, EDIT),
    "scale": (Kind("autoscaling", "v1", "Scale"), EDIT),
    "log": (None, ["get"]),
    "exec": (Kind("", "v1", "PodExecOptions"), CONNECT),
    "attach": (Kind("", "v1", "PodAttachOptions"), CONNECT),
    "portforward": (Kind("", "v1", "PodPortForwardOptions"), CONNECT),
    "eviction": (Kind("policy", "v1", "Eviction"), ["create"]),
    "binding": (Kind("", "v1", "Binding"), ["create"]),
    "ephemeralcontainers": (None, EDIT),
    "token": (Kind("authentication.k8s.io", "v1", "TokenRequest"), ["create"]),
    "finalize": (None, ["update"]),
}
# Kinds that are questions: they can be created, and the answer is not kept.
REVIEWS = [
    Resource("authorization.k8s.io", "v1", plural, kind, namespaced=kind.startswith("Local"))
    for plural, kind in {
        "localsubjectaccessreviews": "LocalSubjectAccessReview",
        "selfsubjectaccessreviews": "SelfSubjectAccessReview",
        "selfsubjectrulesreviews": "SelfSubjectRulesReview",
        "subjectaccessreviews": "SubjectAccessReview",
    }.items()
] + [
    Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False),
    Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False),
]
METRICS = ("metrics.k8s.io", "v1beta1")  # announced without a kind, so that `reviews` can refuse it with a hint
AGGREGATED = {
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList": version
    for version in ("v2", "v2beta1")
}


def verbs(resource: Resource) -> list[str]:
    if resource in REVIEWS:
        return ["create"]
    return [v for v in VERBS if not (v == "deletecollection" and resource.plural == "namespaces")]


def subresources(resource: Resource) -> list[tuple[str, Kind, list[str]]]:
    """(name, kind, verbs) of each, the status first."""
    own = Kind(resource.group, resource.version, resource.kind)
    names = (("status",) if resource.status else ()) + resource.subresources
    return [(name, SUBRESOURCES[name][0] or own, SUBRESOURCES[name][1]) for name in names]


def groups() -> dict[tuple[str, str], list[Resource]]:
    """The resources of each (group, version), core first."""
    found: dict[tuple[str, str], list[Resource]] = {}
    for resource in sorted([*RESOURCES.values(), *REVIEWS], key=lambda r: r.custom):
        found.setdefault((resource.group, resource.version), []).append(resource)
    return found | {METRICS: []}


# -- one document for each group version -----------------------------------------------------------------------------


def resource_list(group: str, version: str) -> dict[str, Any]:
    """The APIResourceList of a group version; KeyError for an unknown one."""
    entries: list[dict[str, Any]] = []
    for r in sorted(groups()[group, version], key=lambda r: r.plural):
        about = {"name": r.plural, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.kind}
        more = {"shortNames": list(r.short), "categories": list(r.categories)}
        entries.append(about | {"verbs": verbs(r)} | {k: v for k, v in more.items() if v})
        for name, kind, can in subresources(r):
            of = {"group": kind.group, "version": kind.version} if kind.group != r.group else {}
            entry = {"name": f"{r.plural}/{name}", "singularName": "", "namespaced": r.namespaced}
            entries.append(entry | of | {"kind": kind.kind, "verbs": can})
    api_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": entries}


def group_entry(group: str) -> dict[str, Any]:
    """One group with its versions; KeyError for an unknown group."""
    found = [v for g, v in groups() if g == group]
    if not group or not found:
        raise KeyError(group)
    versions = [{"groupVersion": f"{group}/{v}", "version": v} for v in found]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def group_list() -> dict[str, Any]:
    names = dict.fromkeys(g for g, _ in groups() if g)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group_entry(g) for g in names]}


def versions(address: str) -> dict[str, Any]:
    """What `/api` says; `address` is this server's host and port."""
    here = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": here}


# -- the aggregated form ---------------------------------------------------------------------------------------------


def aggregated(core: bool, version: str) -> dict[str, Any]:
    """The APIGroupDiscoveryList of the core group or of all others."""
    items: dict[str, list[dict[str, Any]]] = {}
    for (group, v), found in groups().items():
        if core is not (group == ""):
            continue
        entry = {"version": v, "resources": [_discovered(r) for r in found], "freshness": "Current"}
        items.setdefault(group, []).append(entry)
    listed = [{"metadata": {"name": name} if name else {}, "versions": vs} for name, vs in items.items()]
    api_version = f"apidiscovery.k8s.io/{version}"
    return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": listed}


def _discovered(r: Resource) -> dict[str, Any]:
    about = {
        "resource": r.plural,
        "responseKind": {"group": r.group, "version": r.version, "kind": r.kind},
        "scope": "Namespaced" if r.namespaced else "Cluster",
        "singularResource": r.singular,
        "verbs": verbs(r),
    }
    inner = [{"subresource": n, "responseKind": k._asdict(), "verbs": v} for n, k, v in subresources(r)]
    more = {"shortNames": list(r.short), "categories": list(r.categories), "subresources": inner}
    return about | {k: v for k, v in more.items() if v}


# -- HTTP ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _document(path: str, form: str, address: str) -> bytes:
    parts = path.strip("/").split("/")
    if form:
        return dump(aggregated(parts == ["api"], form))
    if parts == ["api"]:
        return dump(versions(address))
    if parts == ["apis"]:
        return dump(group_list())
    if parts[0] == "api":
        return dump(resource_list("", parts[1]))
    if len(parts) == 2:
        return dump({"kind": "APIGroup", "apiVersion": "v1"} | group_entry(parts[1]))
    return dump(resource_list(parts[1], parts[2]))


def _form(request: Request) -> str:
    """The aggregated version that the client prefers over plain JSON, or empty."""
    for part in request.headers.get("accept", "").split(","):
        media = ";".join(p.strip() for p in part.split(";") if not p.strip().startswith("q="))
        if media in AGGREGATED:
            return media
        if media in ("application/json", "*/*", "application/*"):
            return ""
    return ""


async def discover(request: Request) -> Response:
    path = request.url.path
    form = _form(request) if path.strip("/") in ("api", "apis") else ""
    try:
        body = _document(path, AGGREGATED.get(form, ""), request.url.netloc if path.strip("/") == "api" else "")
    except KeyError:
        words = "the server could not find the requested resource"
        raise ApiError(404, "NotFound", words) from None
    tag = f'"{hashlib.sha256(body).hexdigest()[:32].upper()}"'
    headers = {"etag": tag, "vary": "Accept", "cache-control": "public"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=form or "application/json", headers=headers)


routes: list[Route] = [
    Route("/" + path + slash, discover)
    for path in ("api", "api/v1", "apis", "apis/{group}", "apis/{group}/{version}")
    for slash in ("", "/")
]
