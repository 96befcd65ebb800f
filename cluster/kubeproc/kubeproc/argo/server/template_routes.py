"""The Argo Server's routes for WorkflowTemplates and ClusterWorkflowTemplates: create, read, list, replace, delete, lint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kubeproc import selectors
from kubeproc.api.wire import body as bodies
from kubeproc.argo.executor.task import PREFIX
from kubeproc.argo.server import grpc, normal_form
from kubeproc.argo.server.grpc import INVALID, Refusal, call
from kubeproc.argo.validation.validate import Invalid, validate_template
from kubeproc.resources import CLUSTERWORKFLOWTEMPLATES, WORKFLOWTEMPLATES, Resource
from kubeproc.store import Store

Object = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]


def _checked(store: Store, template: Object) -> None:
    try:
        validate_template(template, store)
    except Invalid as error:
        raise Refusal(INVALID, str(error)) from error


def _shown(obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k not in ("kind", "apiVersion", "status")}


class Templates:
    """The handlers for one of the two kinds."""

    def __init__(self, resource: Resource, missing: str) -> None:
        self.resource, self.missing = resource, missing

    def routes(self, root: str) -> list[Route]:
        return [
            Route(f"{root}/lint", call(self.lint), methods=["POST"]),
            Route(root, call(self.create), methods=["POST"]),
            Route(root, call(self.list), methods=["GET"]),
            Route(f"{root}/{{name}}", call(self.get), methods=["GET"]),
            Route(f"{root}/{{name}}", call(self.update), methods=["PUT"]),
            Route(f"{root}/{{name}}", call(self.delete), methods=["DELETE"]),
        ]

    def _where(self, request: Request, verb: str) -> tuple[Store, str, str]:
        namespace, name = request.path_params.get("namespace", ""), request.path_params.get("name", "")
        grpc.allow(request, verb, self.resource, namespace, name)
        return request.app.state.store, namespace, name

    async def _given(self, request: Request) -> Object:
        body = await bodies.read(request)
        template = body.get("template") if isinstance(body, dict) else None
        if not isinstance(template, dict):
            raise Refusal(INVALID, self.missing)
        template = normal_form.workflow(template, "template")
        template["apiVersion"], template["kind"] = self.resource.api_version, self.resource.kind
        if namespace := request.path_params.get("namespace"):
            template["metadata"].setdefault("namespace", namespace)
        return template

    async def create(self, request: Request) -> Response:
        store, namespace, _ = self._where(request, "create")
        template = await self._given(request)
        _label(request, template, "creator")
        _checked(store, template)
        if namespace and template["metadata"]["namespace"] != namespace:
            raise Refusal(
                INVALID, "the namespace of the provided object does not match the namespace sent on the request"
            )
        return grpc.respond(_shown(store.create(self.resource, template)))

    async def lint(self, request: Request) -> Response:
        store, _, _ = self._where(request, "get")
        template = await self._given(request)
        _label(request, template, "creator")
        _checked(store, template)
        return grpc.respond(template)

    async def get(self, request: Request) -> Response:
        store, namespace, name = self._where(request, "get")
        return grpc.respond(_shown(store.get(self.resource, namespace, name)))

    async def list(self, request: Request) -> Response:
        store, namespace, _ = self._where(request, "list")
        query = request.query_params
        pattern = query.get("namePattern", "")
        found = store.list(self.resource, namespace, selectors.labels(query.get("listOptions.labelSelector")))
        items = [_shown(t) for t in found if pattern in t["metadata"]["name"]]
        return grpc.respond({"metadata": {"resourceVersion": str(store.version)}, "items": items or None})

    async def update(self, request: Request) -> Response:
        store, namespace, name = self._where(request, "update")
        template = await self._given(request)
        template["metadata"].setdefault("name", name)
        if namespace:
            template["metadata"]["namespace"] = namespace
        _label(request, template, "actor")
        template["metadata"]["labels"][PREFIX + "action"] = "Update"
        _checked(store, template)
        return grpc.respond(_shown(store.update(self.resource, template)))

    async def delete(self, request: Request) -> Response:
        store, namespace, name = self._where(request, "delete")
        store.delete(self.resource, namespace, name)
        return grpc.respond({})


def _label(request: Request, obj: Object, role: str) -> None:
    labels = obj["metadata"]["labels"] = dict(obj["metadata"].get("labels") or {})
    labels[PREFIX + role] = grpc.friendly(request.state.user.name)


routes = [
    *Templates(WORKFLOWTEMPLATES, "workflow template was not found in the request body").routes(
        "/api/v1/workflow-templates/{namespace}"
    ),
    *Templates(CLUSTERWORKFLOWTEMPLATES, "cluster workflow template was not found in the request body").routes(
        "/api/v1/cluster-workflow-templates"
    ),
]
