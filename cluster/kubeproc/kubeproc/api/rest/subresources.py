"""Subresources that the server handles itself: scale, eviction, binding, token and finalize.

A scale is a view of an object (autoscaling/v1 Scale) through which `kubectl scale` changes its replicas; the others are
actions. Logs, exec and port-forward go to the kubelet, see `streams`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from kubeproc import timestamps
from kubeproc.admission.causes import Causes
from kubeproc.api.rest import answer, auth, options, patch
from kubeproc.api.rest.targets import Target
from kubeproc.api.schema import validation
from kubeproc.api.wire import body
from kubeproc.api_errors import ApiError, bad_request, cause, conflict, invalid, unsupported
from kubeproc.folder import ClusterFolder
from kubeproc.resources import DEPLOYMENTS, NAMESPACES, PODS, REPLICASETS, SERVICEACCOUNTS, TFJOBS, Resource
from kubeproc.store import Object, Store

Handler = Callable[[Request, Target], Awaitable[ASGIApp]]

SCALE = Resource("autoscaling", "v1", "scales", "Scale")
EVICTION = Resource("policy", "v1", "evictions", "Eviction")
BINDING = Resource("", "v1", "bindings", "Binding")
TOKEN_REQUEST = Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest")


@dataclass(frozen=True)
class ScalePaths:
    """The paths of a Scale's fields within a kind."""

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
    """Whether this module serves the subresource (or `objects` does: the status)."""
    if target.subresource == "status":
        return target.resource.status
    if target.subresource == "scale":
        return target.resource in SCALES
    return (target.resource, target.subresource) in ACTIONS


def handler(method: str, target: Target) -> Handler | None:
    """The function that serves it; None if the method is not allowed or `objects` serves it."""
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
    return {"kind": "Scale", "apiVersion": SCALE.api_version, "metadata": kept, "spec": spec, "status": status}


def selector_text(selector: Any) -> str:
    """A LabelSelector as a query string."""
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
    sent, warnings = await validation.read(request, SCALE, chosen.validation)
    return _rescale(request, target, sent, chosen.dry_run, warnings)


async def patch_scale(request: Request, target: Target) -> Response:
    chosen = options.write(request.query_params, "PatchOptions")
    media, data = body.media_type(request), await body.read_bytes(request)
    if media == patch.STRATEGIC:
        media = patch.MERGE  # a Scale has no lists: both merges are the same
    if media == patch.APPLY:
        raise body.unsupported((patch.JSON_PATCH, patch.MERGE, patch.STRATEGIC))
    change = patch.parse(media, data, target, chosen, request)
    obj = request.app.state.store.get(target.resource, target.namespace, target.name)
    scale, warnings = validation.patched(SCALE, change.apply(scale_of(target.resource, obj)), chosen.validation)
    return _rescale(request, target, scale, chosen.dry_run, warnings)


def _rescale(request: Request, target: Target, scale: Object, dry_run: bool, warnings: list[str]) -> Response:
    store: Store = request.app.state.store
    resource, meta = target.resource, scale["metadata"]
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if meta.get("name", target.name) != target.name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})")
    if replicas < 0:
        words = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise invalid(SCALE, target.name, [cause("FieldValueInvalid", "spec.replicas", words)])
    obj = store.get(resource, target.namespace, target.name)
    if meta.get("resourceVersion") and meta["resourceVersion"] != obj["metadata"]["resourceVersion"]:
        raise conflict(resource, target.name)
    where = _at(obj, SCALES[resource].replicas[:-1])
    if not isinstance(where, dict):
        raise ApiError(500, "InternalError", f"{'.'.join(SCALES[resource].replicas)} does not exist, can't scale it")
    where["replicas"] = replicas
    shown = scale_of(resource, store.update(resource, obj, dry_run=dry_run))
    return answer.plain(request, shown, warnings=warnings)


SCALE_METHODS: dict[str, Handler] = {"GET": get_scale, "PUT": put_scale, "PATCH": patch_scale}


# -- actions ---------------------------------------------------------------------------------------------------------


def _success(request: Request, warnings: list[str]) -> Response:
    return answer.plain(request, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                                  "code": 201}, 201, warnings)  # fmt: skip


async def _sent(request: Request, target: Target, kind: Resource) -> tuple[Object, options.WriteOptions, list[str]]:
    """The body of an action on the object, the query's options, and the warnings. ApiError if the body has another
    kind, or names an object of another name or namespace."""
    chosen = options.write(request.query_params, "CreateOptions")
    sent, warnings = await validation.read(request, kind, chosen.validation)
    if sent["metadata"].get("namespace", target.namespace) != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    return sent, chosen, warnings


def _same_name(sent: Object, target: Target, kind: Resource) -> None:
    if sent["metadata"].get("name", target.name) != target.name:
        raise bad_request(f"name in URL does not match name in {kind.kind} object")


async def evict(request: Request, target: Target) -> Response:
    """Delete a pod, as `kubectl drain` does; this cluster has no disruption budgets to check."""
    sent, written, warnings = await _sent(request, target, EVICTION)
    _same_name(sent, target, EVICTION)
    chosen = options.delete({}, sent.get("deleteOptions"))
    request.app.state.store.delete(
        PODS, target.namespace, target.name, grace=chosen.grace, uid=chosen.uid, version=chosen.version,
        dry_run=written.dry_run or chosen.dry_run,
    )  # fmt: skip
    return _success(request, warnings)


async def bind(request: Request, target: Target) -> Response:
    """Assign a pod to a node, as a scheduler does."""
    sent, chosen, warnings = await _sent(request, target, BINDING)
    _same_name(sent, target, BINDING)
    node, causes = sent.get("target") or {}, Causes()
    if node.get("kind") not in (None, "", "Node"):
        causes.one_of("target.kind", node["kind"], ("Node", "<empty>"))
    if not node.get("name"):
        causes.required("target.name")
    else:
        causes.subdomain("target.name", node["name"])
    causes.settle(BINDING, target.name)
    store: Store = request.app.state.store
    pod = store.get(PODS, target.namespace, target.name)
    if pod["spec"].get("nodeName"):
        raise conflict(PODS, target.name, f'pod {target.name} is already assigned to node "{pod["spec"]["nodeName"]}"')

    def assign(found: Object) -> None:
        found["spec"]["nodeName"] = node["name"]

    if not chosen.dry_run:
        store.modify(PODS, target.namespace, target.name, assign)
    return _success(request, warnings)


LONGEST = 2**32  # the range of a token's expirationSeconds


async def issue_token(request: Request, target: Target) -> Response:
    """TokenRequest: a token of the service account. A token for a pod's volume (3607 s) is valid for a year, as
    upstream.

    Source: kubernetes' pkg/registry/core/serviceaccount/storage/token.go."""
    sent, _, warnings = await _sent(request, target, TOKEN_REQUEST)
    meta, spec = sent["metadata"], sent.get("spec") or {}
    if meta.get("name", target.name) != target.name:
        words = f'Invalid value: "{meta["name"]}": must match the service account name if specified'
        raise invalid(TOKEN_REQUEST, target.name, [cause("FieldValueInvalid", "metadata.name", words)])
    store: Store = request.app.state.store
    account = store.get(SERVICEACCOUNTS, target.namespace, target.name)["metadata"]
    if meta.get("uid", account["uid"]) != account["uid"]:
        words = "does not match the UID of the service account"
        why = f"the UID in the token request ({meta['uid']}) {words} ({account['uid']})"
        raise conflict(TOKEN_REQUEST, target.name, why)
    seconds = spec.get("expirationSeconds", 3600)
    if not 600 <= seconds <= LONGEST:
        much = "less than 10 minutes" if seconds < 600 else "larger than 2^32 seconds"
        words = f"Invalid value: {seconds}: may not specify a duration {much}"
        raise invalid(TOKEN_REQUEST, "", [cause("FieldValueInvalid", "spec.expirationSeconds", words)])
    audiences = spec.get("audiences") or [auth.ISSUER]
    bound = _bound(store, target, spec.get("boundObjectRef"))
    year = seconds == 3607 and bound is not None and bound[0] == "Pod" and auth.ISSUER in audiences
    whose = auth.Account(target.namespace, target.name, account["uid"], tuple(audiences), bound)
    token = auth.issue(ClusterFolder(request.app.state.home), whose, seconds=365 * 24 * 3600 if year else seconds)
    made = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace, "uid": account["uid"],
                     "creationTimestamp": timestamps.now()},
        "spec": spec | {"audiences": audiences, "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": timestamps.now(seconds)},
    }  # fmt: skip
    return answer.plain(request, made, 201, warnings)


def _bound(store: Store, target: Target, reference: Object | None) -> tuple[str, str, str] | None:
    """The (kind, name, uid) of the object to bind the token to."""
    if reference is None:
        return None
    kind, version, name = reference.get("kind", ""), reference.get("apiVersion", ""), reference.get("name", "")
    if kind not in auth.BOUND or "/" in version:
        group, _, number = version.rpartition("/")
        raise bad_request(f"cannot bind token to object of type {group}/{number}, Kind={kind}")
    resource = auth.BOUND[kind]
    obj = store.get(resource, target.namespace if resource.namespaced else "", name)
    if kind == "Pod" and obj["spec"].get("serviceAccountName", "default") != target.name:
        words = "to pod running with different serviceaccount name."
        raise bad_request(f'cannot bind token for serviceaccount "{target.name}" {words}')
    uid = obj["metadata"]["uid"]
    if reference.get("uid") not in (None, "", uid):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
        raise conflict(resource, name, why + "The object might have been deleted and then recreated")
    return kind, name, uid


async def finalize(request: Request, target: Target) -> Response:
    """Replace a namespace's spec.finalizers; without any left, a namespace that is being deleted is removed."""
    chosen = options.write(request.query_params, "UpdateOptions")
    sent, warnings = await validation.read(request, NAMESPACES, chosen.validation)
    finalizers = (sent.get("spec") or {}).get("finalizers") or []
    store: Store = request.app.state.store

    def replace(found: Object) -> None:
        found.setdefault("spec", {})["finalizers"] = finalizers

    made = store.get(NAMESPACES, "", target.name)
    if chosen.dry_run:
        replace(made)
    else:
        made = store.modify(NAMESPACES, "", target.name, replace) or made
    return answer.one(request, NAMESPACES, made, 200, warnings)


async def ephemeral(request: Request, target: Target) -> Response:
    raise unsupported("spec.ephemeralContainers")


ACTIONS: dict[tuple[Resource, str], tuple[tuple[str, ...], Handler]] = {
    (PODS, "eviction"): (("POST",), evict),
    (PODS, "binding"): (("POST",), bind),
    (PODS, "ephemeralcontainers"): (("GET", "PUT", "PATCH"), ephemeral),
    (SERVICEACCOUNTS, "token"): (("POST",), issue_token),
    (NAMESPACES, "finalize"): (("PUT",), finalize),
}
