"""Resource templates: an action on one object through the API, then a wait for its conditions.

Mechanism. Where Argo's executor runs kubectl and then polls every five seconds, this one sends the request itself, with
the pod's account, and watches the object: a condition is checked on every change. When a watch ends, or after the
server was unavailable, the object is read again. A request whose response was lost is sent again; if the object exists
by then, the lost request created it.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx

from kubeproc import embedder, timestamps
from kubeproc.api_errors import ApiError
from kubeproc.argo.executor import api_calls, manifest, outputs, resource_conditions
from kubeproc.argo.executor.manifest import Flags
from kubeproc.argo.executor.task import MAIN, Task, TaskError
from kubeproc.argo.language import jsonpath_kubectl
from kubeproc.resources import Resource

Object = dict[str, Any]

RESYNC = 30.0  # seconds after which the object is read again, regardless of the watch
MERGE = {"json": "application/json-patch+json", "merge": "application/merge-patch+json",
         "strategic": "application/strategic-merge-patch+json"}  # fmt: skip


async def perform(task: Task) -> None:
    """Perform the template's action, wait for its conditions, report the outputs. TaskError with Argo's message."""
    template = task.template["resource"]
    action, asked = template["action"], task.template.get("outputs") or {}
    waits = template.get("successCondition") or template.get("failureCondition")
    if action == "delete" and (waits or asked.get("parameters")):
        raise TaskError("successCondition, failureCondition and outputs are not supported for delete action")
    success = resource_conditions.parse(template.get("successCondition") or "", "success")
    failure = resource_conditions.parse(template.get("failureCondition") or "", "fail")
    _check_parameters(asked.get("parameters") or [])
    done = await act(task, action)
    if done is None:
        if action == "get" and asked.get("parameters"):  # --ignore-not-found and no object
            empty = [p | {"value": str((p.get("valueFrom") or {}).get("default", ""))} for p in asked["parameters"]]
            await outputs.report(task, {"parameters": empty})
        return
    resource, obj = done
    meta = obj["metadata"]
    name = f"{resource.kind.lower()}.{resource.group}/{meta['name']}"
    path = resource.path(meta.get("namespace", ""), meta["name"])
    task.log(f"Resource: {meta.get('namespace', '')}/{name}. SelfLink: {path[1:]}")
    if success or failure:
        await wait(task, resource, obj, success, failure)
        task.log(f"Returning from successful wait for resource {name} in namespace {meta.get('namespace', '')}")
    await _report(task, path, asked)


# -- the action ------------------------------------------------------------------------------------------------------


def _manifest(task: Task) -> str:
    template = task.template["resource"]
    given = (template.get("manifestFrom") or {}).get("artifact")
    if not given:
        return template.get("manifest") or ""
    inputs = (task.template.get("inputs") or {}).get("artifacts") or []
    path = next((a["path"] for a in inputs if a["name"] == given["name"]), "")
    try:
        return task.files.path(MAIN, path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"manifestFrom.artifact {given['name']}: {error}") from error


async def act(task: Task, action: str) -> tuple[Resource, Object] | None:
    """Perform the action; returns the object from the server, or None if none is left."""
    template = task.template["resource"]
    text, flags = _manifest(task), manifest.flags(template.get("flags") or [])
    if not text.strip() and not template.get("flags"):
        raise TaskError("Must provide at least one of flags or manifest.")
    body = manifest.load(text)
    if isinstance(body, list) or flags.names:
        resource, name = manifest.by_name(flags.names)
        meta = {"name": name, "namespace": flags.namespace or task.namespace}
        obj: Object = {"metadata": meta}
    else:
        resource = manifest.resource_of(body)
        if flags.namespace:
            body.setdefault("metadata", {}).setdefault("namespace", flags.namespace)
        obj = body = manifest.prepare(task, body, resource, action)
    meta = obj["metadata"]
    if not meta.get("name"):
        raise TaskError("Kind and name are both required but at least one of them is missing from the manifest")
    words = [action, *(str(f) for f in template.get("flags") or []), "-f", manifest.SOURCE, "-o", "json"]
    task.log(f"kubectl {' '.join(words)}")
    try:
        found = await ACTIONS[action](task, resource, meta, body, flags)
    except KeyError:
        raise TaskError(f"resource.action: {action}: not one of {', '.join(ACTIONS)}") from None
    except ApiError as error:
        raise TaskError(f"no more retries {manifest.words(error, action)}") from error
    return (resource, found) if found else None


def _query(flags: Flags) -> dict[str, str]:
    query = {"fieldManager": "kubectl-create", "fieldValidation": flags.strict or "Strict"}
    return query | ({"dryRun": "All"} if flags.dry_run else {})


async def _create(task: Task, resource: Resource, meta: Object, body: Object, flags: Flags) -> Object | None:
    began = time.time()
    try:
        return await api_calls.call(
            task.files.api, "POST", resource.path(meta.get("namespace", "")), json=body, params=_query(flags)
        )
    except ApiError as error:
        if error.code != 409 or not error.details.get("repeated"):
            raise
        found = await api_calls.find(task.files.api, resource.path(meta.get("namespace", ""), meta["name"]))
        if not found or _created(found) < int(began):
            raise
        return found  # the response to the first attempt was lost


def _created(obj: Object) -> float:
    return timestamps.seconds(obj["metadata"]["creationTimestamp"])


async def _apply(task: Task, resource: Resource, meta: Object, body: Object, flags: Flags) -> Object | None:
    query = _query(flags) | {"fieldManager": flags.manager, "force": str(flags.force_conflicts).lower()}
    headers = {"Content-Type": "application/apply-patch+yaml"}
    path = resource.path(meta.get("namespace", ""), meta["name"])
    return await api_calls.call(task.files.api, "PATCH", path, content=json.dumps(body), headers=headers, params=query)


async def _patch(task: Task, resource: Resource, meta: Object, body: Object, flags: Flags) -> Object | None:
    strategy = task.template["resource"].get("mergeStrategy") or "strategic"
    if strategy not in MERGE:
        raise TaskError(f'error: --type must be one of [json merge strategic], not "{strategy}"')
    query = _query(flags) | {"fieldManager": "kubectl-patch"}
    headers = {"Content-Type": MERGE[strategy]}
    path = resource.path(meta.get("namespace", ""), meta["name"])
    return await api_calls.call(task.files.api, "PATCH", path, content=json.dumps(body), headers=headers, params=query)


async def _replace(task: Task, resource: Resource, meta: Object, body: Object, flags: Flags) -> Object | None:
    path = resource.path(meta.get("namespace", ""), meta["name"])
    if not meta.get("resourceVersion"):
        live = await api_calls.call(task.files.api, "GET", path)
        meta["resourceVersion"] = live["metadata"]["resourceVersion"]
    query = _query(flags) | {"fieldManager": "kubectl-replace"}
    try:
        return await api_calls.call(task.files.api, "PUT", path, json=body, params=query)
    except ApiError as error:
        if error.code != 409 or not error.details.get("repeated"):
            raise
        return await api_calls.call(task.files.api, "GET", path)


async def _get(task: Task, resource: Resource, meta: Object, body: Object, flags: Flags) -> Object | None:
    path = resource.path(meta.get("namespace", ""), meta["name"])
    found = await api_calls.find(task.files.api, path)
    if not found and not flags.ignore_missing:
        return await api_calls.call(task.files.api, "GET", path)  # for its error message
    return found


async def _delete(task: Task, resource: Resource, meta: Object, body: Object, flags: Flags) -> Object | None:
    path = resource.path(meta.get("namespace", ""), meta["name"])
    options: Object = {"propagationPolicy": flags.cascade.capitalize()}
    if flags.grace is not None:
        options["gracePeriodSeconds"] = flags.grace
    try:
        await api_calls.call(task.files.api, "DELETE", path, json=options)
    except ApiError as error:
        if error.code != 404:
            raise
        return None
    if flags.wait:
        await _gone(task, resource, meta)
    return None


ACTIONS = {
    "create": _create,
    "apply": _apply,
    "patch": _patch,
    "replace": _replace,
    "get": _get,
    "delete": _delete,
}


# -- waiting ---------------------------------------------------------------------------------------------------------


async def _changes(task: Task, resource: Resource, meta: Object, version: str) -> Any:
    """The object after each change that follows `version` (None once it is deleted), until the watch ends."""
    query = {"watch": "true", "fieldSelector": f"metadata.name={meta['name']}", "resourceVersion": version}
    limits = httpx.Timeout(10.0, read=RESYNC)
    path = resource.path(meta.get("namespace", ""))
    try:
        async with task.files.api.stream("GET", path, params=query, timeout=limits) as response:
            if not response.is_success:
                await asyncio.sleep(api_calls.FIRST)
                return
            async for line in response.aiter_lines():
                event = json.loads(line) if line.strip() else {}
                if event.get("type") in ("ADDED", "MODIFIED"):
                    yield event["object"]
                elif event.get("type") == "DELETED":
                    yield None
                elif event.get("type") == "ERROR":
                    return
    except (httpx.TransportError, ValueError):
        await asyncio.sleep(api_calls.FIRST)


async def _states(task: Task, resource: Resource, meta: Object) -> Any:
    """The object now and after each change, until cancelled; None if it does not exist."""
    while True:
        obj = await api_calls.find(task.files.api, resource.path(meta.get("namespace", ""), meta["name"]))
        yield obj
        if obj is not None:
            async for changed in _changes(task, resource, meta, obj["metadata"]["resourceVersion"]):
                yield changed


async def _gone(task: Task, resource: Resource, meta: Object) -> None:
    async for obj in _states(task, resource, meta):
        if obj is None:
            return


async def wait(
    task: Task,
    resource: Resource,
    obj: Object,
    success: list[resource_conditions.Requirement],
    failure: list[resource_conditions.Requirement],
) -> None:
    """Return once every success requirement is met. TaskError as soon as a failure requirement is met, or if the object
    is deleted."""
    meta = obj["metadata"]
    if success:
        task.log(f"Waiting for conditions: {','.join(str(r) for r in success)}")
    if failure:
        task.log(f"Failing for conditions: {','.join(str(r) for r in failure)}")
    async for state in _states(task, resource, meta):
        if state is None:
            why = f'{resource.qualified} "{meta["name"]}" not found'
            raise TaskError(
                f"The resource has been deleted while its status was still being checked. Will not be retried: {why}"
            )
        if _matched(task, state, success, failure):
            return


def _matched(
    task: Task,
    obj: Object,
    success: list[resource_conditions.Requirement],
    failure: list[resource_conditions.Requirement],
) -> bool:
    for requirement in failure:
        failed = resource_conditions.holds(requirement, obj)
        message = f"failure condition '{requirement}' evaluated {str(failed).lower()}"
        task.log(message)
        if failed:
            raise TaskError(message)
    matched = 0
    for requirement in success:
        holds = resource_conditions.holds(requirement, obj)
        task.log(f"success condition '{requirement}' evaluated {str(holds).lower()}")
        matched += holds
    task.log(f"{matched}/{len(success)} success conditions matched")
    return matched >= len(success)


# -- outputs ---------------------------------------------------------------------------------------------------------


def _check_parameters(parameters: list[Object]) -> None:
    """TaskError for an output parameter that uses an unsupported feature."""
    for parameter in parameters:
        if (parameter.get("valueFrom") or {}).get("jqFilter"):
            raise TaskError(
                embedder.unsupported(f"outputs.parameters.{parameter['name']}.valueFrom.jqFilter", "jsonPath is")
            )


async def _report(task: Task, path: str, asked: Object) -> None:
    parameters = asked.get("parameters") or []
    if not parameters:
        return
    obj = await api_calls.call(task.files.api, "GET", path)
    found = []
    for parameter in parameters:
        source = parameter.get("valueFrom") or {}
        if source.get("jsonPath"):
            try:
                value = jsonpath_kubectl.evaluate(obj, source["jsonPath"])
            except jsonpath_kubectl.JsonPathError as error:
                raise TaskError(str(error)) from None
            task.log(f"Saved output parameter: {parameter['name']}, value: {value}")
            parameter = parameter | {"value": value}
        found.append(parameter)
    await outputs.report(task, {"parameters": found})
