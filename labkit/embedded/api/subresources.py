"""Subresources that are the server's own business: scale, eviction, binding, token and finalize.

A scale is a view of an object (autoscaling/v1 Scale) through which `kubectl scale` changes its replicas; the others are
actions. Logs, exec and port-forward go to the kubelet, see `streams`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from labkit.embedded.api import answer, auth, body, options, patch
from labkit.embedded.api.targets import Target
from labkit.embedded.resources import DEPLOYMENTS, NAMESPACES, PODS, REPLICASETS, SERVICEACCOUNTS, TFJOBS, Resource
from labkit.embedded.status import ApiError, bad_request, cause, conflict, invalid, not_found, unsupported
from labkit.embedded.store import Object, Store
from labkit.paths import ClusterFolder

Handler = Callable[[Request, Target], Awaitable[ASGIApp]]

SCALE_VERSION = "autoscaling/v1"


@dataclass(frozen=True)
class ScalePaths:
    """Where a kind keeps what a Scale shows."""

    replicas: tuple[str, ...]
    status: tuple[str, ...]
    selector: tuple[str, ...]


_USUAL = ScalePaths(("spec", "replicas"), ("status", "replicas"), ("spec", "selector"))
_WORKERS = ("status", "replicaStatuses", "Worker")
SCALES: dict[Resource, ScalePaths] = {
    DEPLOYMENTS: _USUAL,
    REPLICASETS: _USUAL,
    TFJOBS: ScalePaths(
        ("spec", "tfReplicaSpecs", "Worker", "replicas"), (*_WORKERS, "active"), (*_WORKERS, "selector")
    ),
}


def served(target: Target) -> bool:
    """Whether the subresource is one of this module (or the status, of `objects`)."""
    if target.subresource == "status":
        return target.resource.status
    if target.subresource == "scale":
        return target.resource in SCALES
    return (target.resource, target.subresource) in ACTIONS


def handler(method: str, target: Target) -> Handler | None:
    """The function that serves it; None where the method is not allowed or `objects` serves it."""
    if target.subresource == "scale":
        return SCALE_METHODS.get(method)
    found = ACTIONS.get((target.resource, target.subresource))
    return found[1] if found and method in found[0] else None


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


# -- scale -----------------------------------------------------------------------------------------------------------


def scale_of(resource: Resource, obj: Object) -> Object:
    """The object as a Scale."""
    paths, meta = SCALES[resource], obj["metadata"]
    kept = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta}
    status: Object = {"replicas": _at(obj, paths.status) or 0}
    selector = _at(obj, paths.selector)
    if text := selector if isinstance(selector, str) else selector_text(selector):
        status["selector"] = text
    replicas = _at(obj, paths.replicas)
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": SCALE_VERSION, "metadata": kept, "spec": spec, "status": status}


def selector_text(selector: Any) -> str:
    """A LabelSelector in the form of a query."""
    parts = [f"{k}={v}" for k, v in sorted(((selector or {}).get("matchLabels") or {}).items())]
    words = {"In": "{} in ({})", "NotIn": "{} notin ({})", "Exists": "{}", "DoesNotExist": "!{}"}
    for e in (selector or {}).get("matchExpressions") or []:
        parts.append(words[e["operator"]].format(e["key"], ",".join(sorted(e.get("values") or []))))
    return ",".join(parts)


async def get_scale(request: Request, target: Target) -> Response:
    obj = request.app.state.store.get(target.resource, target.namespace, target.name)
    return answer.plain(request, scale_of(target.resource, obj))


async def put_scale(request: Request, target: Target) -> Response:
    chosen = options.write(request.query_params, "UpdateOptions")
    sent = await body.read(request)
    return _rescale(request, target, sent, chosen.dry_run)


async def patch_scale(request: Request, target: Target) -> Response:
    chosen = options.write(request.query_params, "PatchOptions")
    media, data = body.media_type(request), await body.read_bytes(request)
    if media == patch.STRATEGIC:
        media = patch.MERGE  # a Scale has no lists: they are the same
    if media == patch.APPLY:
        raise body.unsupported((patch.JSON_PATCH, patch.MERGE, patch.STRATEGIC))
    change = patch.parse(media, data, target, chosen, request)
    obj = request.app.state.store.get(target.resource, target.namespace, target.name)
    return _rescale(request, target, change.apply(scale_of(target.resource, obj)), chosen.dry_run)


def _rescale(request: Request, target: Target, scale: Any, dry_run: bool) -> Response:
    store: Store = request.app.state.store
    resource = target.resource
    if not isinstance(scale, dict) or scale.get("kind", "Scale") != "Scale":
        raise bad_request("the object provided is unrecognized (must be of type Scale)")
    meta, spec = scale.get("metadata") or {}, scale.get("spec") or {}
    if not isinstance(meta, dict) or not isinstance(spec, dict):
        raise bad_request("the object provided is unrecognized (must be of type Scale)")
    replicas = spec.get("replicas", 0)
    if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas >= 2**31:
        raise bad_request("json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32")
    if meta.get("name", target.name) != target.name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})")
    if replicas < 0:
        words = f"Invalid value: {replicas}: must be greater than or equal to 0"
        about = Resource("autoscaling", "v1", "scales", "Scale")
        raise invalid(about, target.name, [cause("FieldValueInvalid", "spec.replicas", words)])
    obj = store.get(resource, target.namespace, target.name)
    if meta.get("resourceVersion") and meta["resourceVersion"] != obj["metadata"]["resourceVersion"]:
        raise conflict(resource, target.name)
    where = _at(obj, SCALES[resource].replicas[:-1])
    if not isinstance(where, dict):
        raise ApiError(500, "InternalError", f"{'.'.join(SCALES[resource].replicas)} is not there to be scaled")
    where["replicas"] = replicas
    return answer.plain(request, scale_of(resource, store.update(resource, obj, dry_run=dry_run)))


SCALE_METHODS: dict[str, Handler] = {"GET": get_scale, "PUT": put_scale, "PATCH": patch_scale}


# -- actions ---------------------------------------------------------------------------------------------------------


def _success(request: Request, code: int = 201) -> Response:
    return answer.plain(request, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                                  "code": code}, code)  # fmt: skip


async def evict(request: Request, target: Target) -> Response:
    """Delete a pod as a drain does; there are no disruption budgets here to ask."""
    sent = await body.read(request)
    if not isinstance(sent, dict) or sent.get("kind", "Eviction") != "Eviction":
        raise bad_request("the object provided is unrecognized (must be of type Eviction)")
    name = (sent.get("metadata") or {}).get("name", target.name)
    if name != target.name:
        raise bad_request("name in URL does not match name in Eviction object")
    dry = options.write(request.query_params, "CreateOptions").dry_run
    chosen = options.delete({}, sent.get("deleteOptions"))
    request.app.state.store.delete(
        PODS, target.namespace, target.name, grace=chosen.grace, uid=chosen.uid, version=chosen.version,
        dry_run=dry or chosen.dry_run,
    )  # fmt: skip
    return _success(request)


async def bind(request: Request, target: Target) -> Response:
    """Assign a pod to a node, as a scheduler does."""
    sent = await body.read(request)
    node = _at(sent, ("target", "name"))
    if not isinstance(node, str) or not node:
        about = Resource("", "v1", "bindings", "Binding")
        raise invalid(about, target.name, [cause("FieldValueRequired", "target.name", "Required value")])
    store: Store = request.app.state.store
    pod = store.get(PODS, target.namespace, target.name)
    if pod["spec"].get("nodeName"):
        raise conflict(PODS, target.name, f'pod {target.name} is already assigned to node "{pod["spec"]["nodeName"]}"')

    def assign(found: Object) -> None:
        found["spec"]["nodeName"] = node

    if not options.write(request.query_params, "CreateOptions").dry_run:
        store.modify(PODS, target.namespace, target.name, assign)
    return _success(request)


async def issue_token(request: Request, target: Target) -> Response:
    """TokenRequest: a token for the service account. One for a pod's volume (3607 s) is good for a year, as upstream."""
    sent = await body.read(request)
    spec = sent.get("spec") if isinstance(sent, dict) else None
    seconds = (spec or {}).get("expirationSeconds", 3600) if isinstance(spec, dict | None) else 3600
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 600 <= seconds <= 2**32:
        about = Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest")
        words = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        raise invalid(about, "", [cause("FieldValueInvalid", "spec.expirationSeconds", words)])
    account = request.app.state.store.get(SERVICEACCOUNTS, target.namespace, target.name)
    valid = 365 * 24 * 3600 if seconds == 3607 else seconds
    folder = ClusterFolder(request.app.state.home)
    bound = auth.Account(target.namespace, target.name, account["metadata"]["uid"])
    token = auth.issue(folder, bound, seconds=valid)
    expires = datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {"audiences": [auth.ISSUER], **(spec or {}), "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": expires},
    }
    return answer.plain(request, made, 201)


async def finalize(request: Request, target: Target) -> Response:
    """Replace a namespace's spec.finalizers; the last one gone, a namespace that is being deleted goes."""
    sent = await body.read(request)
    finalizers = _at(sent, ("spec", "finalizers")) or []
    if not isinstance(finalizers, list) or not all(isinstance(f, str) for f in finalizers):
        raise bad_request("json: cannot unmarshal into Go struct field NamespaceSpec.spec.finalizers of type []string")
    store: Store = request.app.state.store

    def replace(found: Object) -> None:
        found.setdefault("spec", {})["finalizers"] = finalizers

    made = store.modify(NAMESPACES, "", target.name, replace)
    if made is None:
        raise not_found(NAMESPACES, target.name)
    return answer.one(request, NAMESPACES, made)


async def ephemeral(request: Request, target: Target) -> Response:
    raise unsupported("spec.ephemeralContainers")


ACTIONS: dict[tuple[Resource, str], tuple[tuple[str, ...], Handler]] = {
    (PODS, "eviction"): (("POST",), evict),
    (PODS, "binding"): (("POST",), bind),
    (PODS, "ephemeralcontainers"): (("GET", "PUT", "PATCH"), ephemeral),
    (SERVICEACCOUNTS, "token"): (("POST",), issue_token),
    (NAMESPACES, "finalize"): (("PUT",), finalize),
}
