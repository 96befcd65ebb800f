"""Create, read, list, update, patch and delete, in the same way for every kind of the table.

`Objects` is a route that matches every path that `targets.parse` accepts, so that no kind needs routes of its own.
Handlers are short and never wait between reading an object and writing it: one event loop runs them all.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from kubeproc.api.rest import answer, apply, escalation, listing, options, patch, subresources, watch, watch_socket
from kubeproc.api.rest.targets import Target, parse
from kubeproc.api.schema import typos, validation
from kubeproc.api.wire import body
from kubeproc.api_errors import ApiError, bad_request, cause, invalid, not_found
from kubeproc.resources import CLAIMS, ENDPOINTS, JOBS, NAMESPACES, PODS, SERVICEACCOUNTS, SERVICES, Resource
from kubeproc.store import Object, Store

Handler = Callable[[Request, Target], Awaitable[ASGIApp]]

RETURNED = (PODS, SERVICES, SERVICEACCOUNTS, CLAIMS)  # deleting these returns the object, others a Status

JOB_ORPHANS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)


ENDPOINTS_OLD = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"


class Objects(BaseRoute):
    """All paths below `/api` and `/apis` that name a kind of this cluster, except subresources served elsewhere."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "lifespan":
            return Match.NONE, {}
        target = parse(scope["path"])
        if target is None or (target.subresource and not subresources.served(target)):
            return Match.NONE, {}
        return Match.FULL, {"target": target, "endpoint": handle}

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        raise NotImplementedError

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await watch_socket.serve(scope, receive, send, functools.partial(_watched, target=scope["target"]))
            return
        response = await handle(Request(scope, receive, send), scope["target"])
        await response(scope, receive, send)


def not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


async def handle(request: Request, target: Target) -> ASGIApp:
    """Find the verb's handler and run it; the gate has already authorized the request."""
    response = await _handler(request, target)(request, target)
    if target.resource is ENDPOINTS and isinstance(response, Response):
        for name, value in answer.warning([ENDPOINTS_OLD]):
            response.headers.append(name, value)
    return response


async def _watched(request: Request, target: Target) -> ASGIApp:
    if target.subresource or not options.flag(request.query_params, "watch"):
        raise bad_request("a websocket serves only watches of objects: add watch=true, or send a plain request")
    return await handle(request, target)


def _handler(request: Request, target: Target) -> Handler:
    method = request.method
    if target.subresource:
        found = subresources.handler(method, target)
        if found is None:
            if target.subresource == "status" and method in STATUS:
                return STATUS[method]
            raise not_allowed()
        return found
    table = ITEM if target.name else COLLECTION
    everything = method == "DELETE" and not target.name and target.resource is NAMESPACES
    if method not in table or (target.everywhere and method != "GET") or everything:
        raise not_allowed()
    return table[method]


def _store(request: Request) -> Store:
    return request.app.state.store


# -- reading -------------------------------------------------------------------------------------------------------


async def get(request: Request, target: Target) -> ASGIApp:
    if options.flag(request.query_params, "watch"):  # the deprecated way to watch one object
        return await get_many(request, target)
    raw = _store(request).raw(target.resource, target.namespace, target.name)
    if raw is None:
        raise not_found(target.resource, target.name)
    return answer.one(request, target.resource, raw)


async def get_many(request: Request, target: Target) -> ASGIApp:
    chosen = options.listing(request.query_params)
    state = request.app.state
    if chosen.watch:
        return watch.Watcher(request, state.store, state.hub, target, chosen)
    return listing.respond(request, state.store, state.pages, target, chosen)


# -- writing -------------------------------------------------------------------------------------------------------


async def create(request: Request, target: Target) -> Response:
    resource = target.resource
    chosen = options.write(request.query_params, "CreateOptions", request.headers.get("user-agent", ""))
    answer.form(request)
    obj, warnings = await validation.read(request, resource, chosen.validation)
    warnings += typos.warnings(request, resource, obj)
    meta = obj["metadata"]
    if meta.get("resourceVersion"):
        raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
    _same_namespace(meta, target)
    meta.pop("managedFields", None)
    escalation.check(request, resource, target.namespace, obj, None)
    stored = _store(request).create(resource, obj, dry_run=chosen.dry_run)
    return answer.one(request, resource, stored, 201, warnings)


async def replace(request: Request, target: Target) -> Response:
    return await _put(request, target, _store(request).update)


async def replace_status(request: Request, target: Target) -> Response:
    return await _put(request, target, _store(request).update_status)


async def _put(request: Request, target: Target, save: Callable[..., Object]) -> Response:
    resource, store = target.resource, _store(request)
    chosen = options.write(request.query_params, "UpdateOptions", request.headers.get("user-agent", ""))
    answer.form(request)
    obj, warnings = await validation.read(request, resource, chosen.validation)
    warnings += typos.warnings(request, resource, obj)
    meta = obj["metadata"]
    if meta.setdefault("name", target.name) != target.name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})")
    _same_namespace(meta, target)
    old = store.get(resource, target.namespace, target.name)
    if resource.custom and not meta.get("resourceVersion"):
        words = "Invalid value: 0: must be specified for an update"
        raise invalid(resource, target.name, [cause("FieldValueInvalid", "metadata.resourceVersion", words)])
    apply.track(resource, old, obj, chosen.manager, target.subresource)
    escalation.check(request, resource, target.namespace, obj, old)
    saved = save(resource, obj, dry_run=chosen.dry_run)
    return answer.one(request, resource, saved, 200, warnings)


async def modify(request: Request, target: Target) -> Response:
    """PATCH, of the object or of its status."""
    resource, store = target.resource, _store(request)
    chosen = options.write(request.query_params, "PatchOptions", request.headers.get("user-agent", ""))
    answer.form(request)
    data = await body.read_bytes(request)
    change = patch.parse(body.media_type(request), data, target, chosen, request)
    old = store.find(resource, target.namespace, target.name)
    if old is None:
        if not change.creates or target.subresource:
            raise not_found(resource, target.name)
        return _apply_new(request, target, change, chosen)
    new = change.apply(json.loads(json.dumps(old)))  # a patch may work in place
    new, warnings = validation.patched(resource, new, chosen.validation)
    warnings += typos.warnings(request, resource, new)
    meta = new["metadata"]
    _same_identity(resource, meta, old["metadata"])
    if not change.creates:
        apply.track(resource, old, new, chosen.manager, target.subresource)
    escalation.check(request, resource, target.namespace, new, old)
    save = store.update_status if target.subresource else store.update
    saved = save(resource, new, dry_run=chosen.dry_run)
    return answer.one(request, resource, saved, 200, warnings)


def _same_identity(resource: Resource, meta: Object, old: Object) -> None:
    """A patch can't change the object's identity."""
    if meta.get("name") != old["name"]:
        raise bad_request(
            f"the name of the object ({meta.get('name')}) does not match the name on the URL ({old['name']})"
        )
    if meta.get("namespace") != old.get("namespace"):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if meta.get("uid") not in (None, old["uid"]):
        raise validation.immutable(resource, old["name"], "metadata.uid", meta["uid"])


def _apply_new(request: Request, target: Target, change: patch.Patch, chosen: options.WriteOptions) -> Response:
    """Server-side apply creates an object that does not exist."""
    resource = target.resource
    obj, warnings = validation.patched(resource, change.apply(None), chosen.validation)
    warnings += typos.warnings(request, resource, obj)
    meta = obj["metadata"]
    meta.setdefault("name", target.name)
    if meta["name"] != target.name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})")
    _same_namespace(meta, target)
    escalation.check(request, resource, target.namespace, obj, None)
    stored = _store(request).create(resource, obj, dry_run=chosen.dry_run)
    return answer.one(request, resource, stored, 201, warnings)


def _same_namespace(meta: Object, target: Target) -> None:
    if not target.resource.namespaced:
        meta.pop("namespace", None)
    elif meta.setdefault("namespace", target.namespace) != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


# -- deleting ------------------------------------------------------------------------------------------------------


async def _delete_options(request: Request) -> options.DeleteOptions:
    data = await body.read_bytes(request)
    sent = body.decode(data, body.media_type(request), "DeleteOptions")[0] if data.strip() else None
    return options.delete(request.query_params, sent)


def _policy(resource: Resource, chosen: options.DeleteOptions) -> tuple[str, list[str]]:
    if not chosen.policy and resource is JOBS:
        return "Orphan", [JOB_ORPHANS]
    return chosen.policy or "Background", []


async def delete(request: Request, target: Target) -> Response:
    resource, store = target.resource, _store(request)
    chosen = await _delete_options(request)
    answer.form(request)
    policy, warnings = _policy(resource, chosen)
    last = store.delete(
        resource,
        target.namespace,
        target.name,
        policy=policy,
        grace=chosen.grace,
        uid=chosen.uid,
        version=chosen.version,
        dry_run=chosen.dry_run,
    )
    waits = last["metadata"].get("deletionTimestamp") and store.raw(resource, target.namespace, target.name)
    if resource in RETURNED or waits:
        return answer.one(request, resource, last, 200, warnings)
    details = {"name": target.name, "group": resource.group, "kind": resource.plural, "uid": last["metadata"]["uid"]}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return answer.plain(request, status | {"details": {k: v for k, v in details.items() if v}}, 200, warnings)


async def delete_many(request: Request, target: Target) -> Response:
    resource, store = target.resource, _store(request)
    listed = options.listing(request.query_params)
    chosen = await _delete_options(request)
    policy, warnings = _policy(resource, chosen)
    raws, version = store.list_raw(resource, target.namespace or None, listing.selection(target, listed))
    for raw in raws:
        meta = json.loads(raw)["metadata"]
        store.delete(
            resource, meta.get("namespace", ""), meta["name"], policy=policy, grace=chosen.grace, dry_run=chosen.dry_run
        )
    response = answer.many(request, resource, raws, {"resourceVersion": str(version)})
    for name, value in answer.warning(warnings):
        response.headers.append(name, value)
    return response


COLLECTION: dict[str, Handler] = {"GET": get_many, "POST": create, "DELETE": delete_many}
ITEM: dict[str, Handler] = {"GET": get, "PUT": replace, "PATCH": modify, "DELETE": delete}
STATUS: dict[str, Handler] = {"GET": get, "PUT": replace_status, "PATCH": modify}

routes: list[BaseRoute] = [Objects()]
