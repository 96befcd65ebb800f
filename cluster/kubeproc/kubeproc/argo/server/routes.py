"""The Argo Server's REST API: the routes of the `argo-workflows` client, besides Kubernetes' own.

Mechanism. Each route reads or writes the store with the permissions of the calling user; actions on workflows are in
`actions`, validation is in `validate`, which the controller uses as well. Responses and errors have the form of the Go
server's gRPC gateway (`grpc.py`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kubeproc import embedder, selectors, timestamps
from kubeproc.api.rest import auth
from kubeproc.api.wire import body as bodies
from kubeproc.argo.executor.task import PREFIX
from kubeproc.argo.server import (
    answer_fields,
    artifact_routes,
    grpc,
    normal_form,
    submit,
    template_routes,
    workflow_logs,
    workflow_watches,
)
from kubeproc.argo.server.grpc import INTERNAL, INVALID, NOT_FOUND, UNIMPLEMENTED, UNKNOWN, Refusal, call, streaming
from kubeproc.argo.templates import field_types
from kubeproc.argo.validation import validate
from kubeproc.argo.workflow import actions
from kubeproc.resources import EVENTS, PODS, WORKFLOWS
from kubeproc.store import Store

Object = dict[str, Any]

VERSION = "v3.7.9"  # the version of Argo Workflows that this server follows
LATEST = "@latest"
MISSING = re.compile(r'(cluster)?workflowtemplates\.argoproj\.io ".*" not found')  # Kubernetes' own message


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def read(request: Request) -> Object:
    """The body of a call, an object."""
    found = await bodies.read(request)
    if not isinstance(found, dict):
        raise Refusal(INVALID, f"json: cannot unmarshal {type(found).__name__} into Go value of type object")
    return found


def find(request: Request, verb: str = "get") -> Object:
    """The workflow that the path names; `@latest` is the newest of the namespace."""
    namespace, name = request.path_params["namespace"], request.path_params["name"]
    grpc.allow(request, verb, WORKFLOWS, namespace, name)
    if name != LATEST:
        return _store(request).get(WORKFLOWS, namespace, name)
    found = _store(request).list(WORKFLOWS, namespace)
    if not found:
        raise Refusal(NOT_FOUND, "no workflows found")
    return max(found, key=lambda w: w["metadata"]["creationTimestamp"])


def label_creator(request: Request, obj: Object) -> None:
    """Label the object with its creator."""
    labels = obj.setdefault("metadata", {}).setdefault("labels", {}) or {}
    labels[PREFIX + "creator"] = grpc.friendly(request.state.user.name)
    obj["metadata"]["labels"] = labels


# -- workflows -------------------------------------------------------------------------------------------------------


def given(body: Object, namespace: str) -> Object:
    """The workflow in a body, in its namespace and with the fields that Go's structs always have."""
    workflow = body.get("workflow")
    if not isinstance(workflow, dict):
        raise Refusal(INVALID, "workflow body not specified")
    workflow = normal_form.workflow(workflow)
    workflow["metadata"]["namespace"] = workflow["metadata"].get("namespace") or namespace
    return workflow


@call
async def create(request: Request) -> Response:
    body, namespace = await read(request), request.path_params["namespace"]
    workflow = given(body, namespace)
    grpc.allow(request, "create", WORKFLOWS, namespace)
    label_creator(request, workflow)
    check(_store(request), workflow)
    if (body.get("createOptions") or {}).get("dryRun"):
        return grpc.respond(workflow)
    if workflow["metadata"]["namespace"] != namespace:
        raise Refusal(INVALID, "the namespace of the provided object does not match the namespace sent on the request")
    made = _store(request).create(WORKFLOWS, workflow, dry_run=bool(body.get("serverDryRun")))
    return grpc.respond(grpc.shown(made))


def check(store: Store, workflow: Object, code: int = INVALID, *, submitted: bool = False) -> None:
    """Refusal with that code if the workflow is invalid."""
    try:
        validate.validate(workflow, store, submit=submitted)
    except validate.Invalid as error:
        raise Refusal(NOT_FOUND if MISSING.fullmatch(str(error)) else code, str(error)) from error


@call
async def lint(request: Request) -> Response:
    body = await read(request)
    if not isinstance(body.get("workflow"), dict):
        raise Refusal(UNKNOWN, "unable to get a workflow")
    workflow = given(body, request.path_params["namespace"])
    label_creator(request, workflow)
    check(_store(request), workflow, UNKNOWN)
    return grpc.respond(workflow)


@call
async def send(request: Request) -> Response:
    """Submit: create a workflow from a template."""
    body, namespace = await read(request), request.path_params["namespace"]
    grpc.allow(request, "create", WORKFLOWS, namespace)
    about = {"resourceKind": str, "resourceName": str, "submitOptions": field_types.SUBMIT}
    body = normal_form.fitted(body, about, "WorkflowSubmitRequest")
    options = body.get("submitOptions") or {}
    workflow = submit.from_template(body.get("resourceKind") or "", body.get("resourceName") or "")
    label_creator(request, workflow)
    submit.apply(workflow, options)
    workflow["metadata"]["namespace"] = namespace
    check(_store(request), workflow, submitted=True)
    if options.get("dryRun"):
        return grpc.respond(grpc.shown(workflow))
    made = _store(request).create(WORKFLOWS, workflow, dry_run=bool(options.get("serverDryRun")))
    return grpc.respond(grpc.shown(made))


@call
async def get(request: Request) -> Response:
    workflow = answer_fields.clean(grpc.shown(find(request)), request.query_params.get("fields", ""))
    return grpc.respond(normal_form.refilled(workflow))


@call
async def delete(request: Request) -> Response:
    workflow = find(request, "delete")
    namespace, name = workflow["metadata"]["namespace"], workflow["metadata"]["name"]
    if request.query_params.get("force", "").lower() == "true":
        _store(request).modify(WORKFLOWS, namespace, name, lambda w: w["metadata"].pop("finalizers", None) and None)
    if _store(request).find(WORKFLOWS, namespace, name):
        _store(request).delete(WORKFLOWS, namespace, name)
    return grpc.respond({})


def _order(workflow: Object) -> tuple[int, float]:
    """Running workflows first, the newest first; then the others, the last to finish first."""
    finished = (workflow.get("status") or {}).get("finishedAt")
    when = finished or workflow["metadata"]["creationTimestamp"]
    return (1 if finished else 0, -timestamps.seconds(when))


NAMES: dict[str, Callable[[str, str], bool]] = {
    "Contains": lambda name, wanted: wanted in name,
    "Prefix": lambda name, wanted: name.startswith(wanted),
    "Exact": lambda name, wanted: name == wanted,
    "NotEquals": lambda name, wanted: name != wanted,
    "NotContains": lambda name, wanted: wanted not in name,
}


def _selection(request: Request) -> tuple[selectors.Match | None, str]:
    """The selection by `listOptions` and `nameFilter`, and the namespace."""
    query, namespace = request.query_params, request.path_params.get("namespace", "")
    needs = [selectors.labels(query.get("listOptions.labelSelector"))]
    for part in filter(None, query.get("listOptions.fieldSelector", "").split(",")):
        field, _, value = part.partition("=")
        if field == "metadata.name":
            test = NAMES.get(query.get("nameFilter") or "Exact", NAMES["Exact"])
            needs.append(lambda o, test=test, value=value: test(o["metadata"]["name"], value))  # type: ignore[misc]
        elif field == "metadata.namespace":
            if namespace and namespace != value:
                raise Refusal(
                    INVALID,
                    f"'namespace' query param ({namespace!r}) and fieldselector 'metadata.namespace' ({value!r}) are both "
                    "specified and contradict each other",
                )
            namespace = value
        elif field != "ext.showRemainingItemCount":
            raise Refusal(INVALID, f"unsupported requirement {part}")
    return functools.reduce(selectors.both, needs), namespace


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(f"listOptions.{name}") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Refusal(INVALID, f"listOptions.{name} must be int")
    return int(text)


@call
async def list_(request: Request) -> Response:
    match, namespace = _selection(request)
    grpc.allow(request, "list", WORKFLOWS, namespace)
    limit, offset = _number(request, "limit"), _number(request, "continue")
    found = sorted(_store(request).list(WORKFLOWS, namespace, match), key=_order)
    page = found[offset : offset + limit if limit else None]
    left = max(len(found) - offset - len(page), 0)
    meta: Object = {"resourceVersion": str(_store(request).version)}
    if left:
        meta["continue"] = str(offset + len(page))
    if "ext.showRemainingItemCount=true" in request.query_params.get("listOptions.fieldSelector", ""):
        meta["remainingItemCount"] = left
    body = {"metadata": meta, "items": [grpc.shown(w) for w in page] or None}
    body = answer_fields.clean(body, request.query_params.get("fields", ""))
    body = {"metadata": {}, "items": None} | body
    return grpc.respond(body | {"items": [normal_form.refilled(w) for w in body["items"] or []] or None})


# -- actions ---------------------------------------------------------------------------------------------------------

PHASES = ("Succeeded", "Failed", "Error", "")  # that `set` can give a node
Act = Callable[[Store, Object, Object], Object]


def action(act: Act) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a PUT that calls `act(store, workflow, body) -> workflow`."""

    @call
    async def handler(request: Request) -> Response:
        body = normal_form.fitted(await read(request), field_types.ACTION, "WorkflowRequest")
        workflow = find(request, "update")
        body |= {"user": {"User": request.state.user.name}, "creator": grpc.friendly(request.state.user.name)}
        if act is not actions.resubmit:
            workflow["metadata"].setdefault("labels", {})[PREFIX + "actor"] = body["creator"]
        if body.get("phase") not in (*PHASES, None):
            raise Refusal(INVALID, f"{body['phase']} is an invalid phase to set to")
        try:
            done = act(_store(request), workflow, body)
        except actions.Refused as error:
            bad = act in (actions.retry, actions.resubmit) and not str(error).startswith("expected parameter")
            raise Refusal(INVALID if bad else INTERNAL, str(error)) from error
        return grpc.respond(grpc.shown(done))

    return handler


# -- streams ---------------------------------------------------------------------------------------------------------


@streaming
async def workflow_log(request: Request) -> Response:
    workflow = find(request)
    meta = workflow["metadata"]
    pod = request.path_params.get("pod") or request.query_params.get("podName", "")
    grpc.allow(request, "get", PODS, meta["namespace"])
    store, home = _store(request), request.app.state.home
    merger = workflow_logs.Merger(store, home, meta["namespace"], meta["name"], pod, request.query_params)
    return grpc.stream(request, merger.lines())


@streaming
async def workflow_events(request: Request) -> Response:
    match, namespace = _selection(request)
    grpc.allow(request, "watch", WORKFLOWS, namespace)
    wanted = request.query_params.get("fields", "")
    events = workflow_watches.Watch(request, WORKFLOWS, namespace, match)

    async def results() -> Any:
        async for kind, obj in events.changes():
            yield {"type": kind, "object": answer_fields.clean(grpc.shown(obj), wanted, "result.object.")}

    return grpc.stream(request, results())


@streaming
async def kubernetes_events(request: Request) -> Response:
    namespace, query = request.path_params.get("namespace", ""), request.query_params
    grpc.allow(request, "watch", EVENTS, namespace)
    labels = selectors.labels(query.get("listOptions.labelSelector"))
    match = selectors.both(labels, selectors.fields("events", query.get("listOptions.fieldSelector")))
    events = workflow_watches.Watch(request, EVENTS, namespace, match)

    async def results() -> Any:
        async for kind, obj in events.changes():
            if kind != "DELETED":
                yield {k: v for k, v in obj.items() if k not in ("kind", "apiVersion")}

    return grpc.stream(request, results())


# -- the server itself -----------------------------------------------------------------------------------------------


@call
async def info(request: Request) -> Response:
    return grpc.respond({"modals": {"feedback": False, "firstTimeUser": False, "newVersion": False}})


@call
async def version(request: Request) -> Response:
    about = {"version": VERSION, "gitTag": VERSION, "gitTreeState": "clean", "platform": "kubeproc"}
    unknown = {"buildDate": "1970-01-01T00:00:00Z", "gitCommit": "", "goVersion": "", "compiler": ""}
    return grpc.respond(about | unknown)


@call
async def userinfo(request: Request) -> Response:
    user = request.state.user
    about: Object = {"subject": user.name, "groups": list(user.groups)}
    if user.name.startswith("system:serviceaccount:"):
        *_, namespace, account = user.name.split(":")
        about |= {"issuer": auth.ISSUER, "serviceAccountName": account, "serviceAccountNamespace": namespace}
    return grpc.respond(about)


@call
async def archived(request: Request) -> Response:
    """An empty archive: Argo's needs a database of its own, and this server archives nothing."""
    return grpc.respond({"metadata": {}, "items": None})


@call
async def unknown(request: Request) -> Response:
    raise Refusal(UNIMPLEMENTED, "Not Implemented")


@call
async def absent(request: Request) -> Response:
    """Argo's calls that this server does not support: cron workflows, the archive, events."""
    what = request.url.path.split("/")[3]
    raise Refusal(UNIMPLEMENTED, embedder.unsupported(what))


ROOT = "/api/v1/workflows/{namespace}"
ACTIONS: dict[str, Act] = {
    "retry": actions.retry,
    "resubmit": actions.resubmit,
    "suspend": actions.suspend,
    "resume": actions.resume,
    "stop": actions.stop,
    "terminate": actions.terminate,
    "set": actions.set_,
}
EVERY = ["GET", "POST", "PUT", "PATCH", "DELETE"]
KINDS = ("workflows", "workflow-templates", "cluster-workflow-templates")
ABSENT = ("cron-workflows", "archived-workflows", "archived-workflows-label-keys", "archived-workflows-label-values",
          "workflow-event-bindings", "event-sources", "sensors", "tracking", "sync", "stream")  # fmt: skip
OWN = (*KINDS, *ABSENT, "workflow-events", "info", "version", "userinfo")  # the path segment after /api/v1/


def serves(path: str) -> bool:
    """Whether the path belongs to the Argo Server, not to Kubernetes."""
    if path.startswith("/api/v1/"):
        return path.split("/", 4)[3] in OWN
    return path.startswith(artifact_routes.ROOTS)


routes: list[BaseRoute] = [
    Route(ROOT + "/submit", send, methods=["POST"]),
    Route(ROOT + "/lint", lint, methods=["POST"]),
    Route(ROOT, create, methods=["POST"]),
    Route(ROOT, list_, methods=["GET"]),
    Route("/api/v1/workflows/", list_, methods=["GET"]),
    Route(ROOT + "/{name}", get, methods=["GET"]),
    Route(ROOT + "/{name}", delete, methods=["DELETE"]),
    *[Route(ROOT + "/{name}/" + name, action(act), methods=["PUT"]) for name, act in ACTIONS.items()],
    Route(ROOT + "/{name}/log", workflow_log, methods=["GET"]),
    Route(ROOT + "/{name}/{pod}/log", workflow_log, methods=["GET"]),
    Route("/api/v1/workflow-events/{namespace}", workflow_events, methods=["GET"]),
    Route("/api/v1/workflow-events/", workflow_events, methods=["GET"]),
    Route("/api/v1/stream/events/{namespace}", kubernetes_events, methods=["GET"]),
    Route("/api/v1/events/{namespace}/{discriminator}", absent, methods=["POST"]),
    *template_routes.routes,
    *artifact_routes.routes,
    Route("/api/v1/archived-workflows", archived, methods=["GET"]),
    Route("/api/v1/info", info, methods=["GET"]),
    Route("/api/v1/version", version, methods=["GET"]),
    Route("/api/v1/userinfo", userinfo, methods=["GET"]),
    *[Route(f"/api/v1/{name}/{{rest:path}}", unknown, methods=EVERY)
      for name in KINDS],
    *[Route(f"/api/v1/{name}{rest}", absent, methods=EVERY) for name in ABSENT for rest in ("", "/{rest:path}")],
]  # fmt: skip
