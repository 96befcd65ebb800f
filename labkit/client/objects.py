"""apply, get, wait, logs, delete: kubectl's verbs for any kind, over the official dynamic client.

`apply` creates what has a generateName and applies the rest on the server (field manager `labkit`). `wait` is a watch
with a deadline whose error says what the object's status was, and its events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from labkit.client.connection import api, dynamic
from labkit.client.connection import namespace as own_namespace
from labkit.errors import LabError, meant

Object = dict[str, Any]
MANAGER = "labkit"
RIGHTS = "`kubectl auth can-i --list` shows what you may do in this namespace"


def documents(source: str | Path | Object | list[Object]) -> list[Object]:
    """The objects of a YAML file, of YAML text, or as given; LabError names the file and line of what can't be read."""
    if isinstance(source, dict):
        return [source]
    if isinstance(source, list):
        return source
    is_text = isinstance(source, str) and "\n" in source
    try:
        text = str(source) if is_text else Path(source).read_text()
        found = [d for d in yaml.safe_load_all(text) if d is not None]
    except OSError as error:
        raise LabError(f"{source} can't be read: {error.strerror}", "name a YAML file, or give its text") from error
    except yaml.YAMLError as error:
        where = "the text" if is_text else source
        raise LabError(
            f"{where} is not YAML: {error}", "look at the line it names: indentation, a tab, a quote"
        ) from error
    for number, document in enumerate(found):
        for field in ("apiVersion", "kind", "metadata"):
            if not isinstance(document, dict) or field not in document:
                where = "the text" if is_text else source
                raise LabError(
                    f"{where}, document {number + 1}: no {field}", "every object names its apiVersion, kind, metadata"
                )
    return found


def _resource(api_version: str, kind: str) -> Any:
    from kubernetes.dynamic.exceptions import ResourceNotFoundError

    try:
        return dynamic().resources.get(api_version=api_version, kind=kind)
    except ResourceNotFoundError as error:
        raise LabError(
            f"the cluster has no kind {kind} in {api_version}", "`kubectl api-resources` lists the kinds that it has"
        ) from error


def apply(source: str | Path | Object | list[Object], namespace: str | None = None) -> list[Object]:
    """Create or update every object of `source`; returns them as the cluster has them. LabError in the API's words."""
    from kubernetes.client import ApiException

    results = []
    for wanted in documents(source):
        resource = _resource(wanted["apiVersion"], wanted["kind"])
        meta = wanted["metadata"]
        where = {"namespace": namespace or meta.get("namespace") or own_namespace()} if resource.namespaced else {}
        try:
            if meta.get("name"):
                done = resource.server_side_apply(
                    body=wanted, name=meta["name"], field_manager=MANAGER, force_conflicts=True, **where
                )
            else:
                done = resource.create(body=wanted, **where)
        except ApiException as error:
            name = meta.get("name") or meta.get("generateName")
            raise LabError(
                f"{wanted['kind']} {name}: {_message(error)}", "correct the object and apply it again"
            ) from error
        results.append(done.to_dict())
    return results


def _message(error: Any) -> str:
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


# The kinds that a short name may stand for: (apiVersion, kind) by the lower-case kind.
SHORT = {
    "pod": ("v1", "Pod"),
    "service": ("v1", "Service"),
    "node": ("v1", "Node"),
    "namespace": ("v1", "Namespace"),
    "configmap": ("v1", "ConfigMap"),
    "secret": ("v1", "Secret"),
    "event": ("v1", "Event"),
    "persistentvolumeclaim": ("v1", "PersistentVolumeClaim"),
    "deployment": ("apps/v1", "Deployment"),
    "replicaset": ("apps/v1", "ReplicaSet"),
    "job": ("batch/v1", "Job"),
    "tfjob": ("kubeflow.org/v1", "TFJob"),
    "workflow": ("argoproj.io/v1alpha1", "Workflow"),
    "workflowtemplate": ("argoproj.io/v1alpha1", "WorkflowTemplate"),
}


def _kind(kind: str) -> Any:
    try:
        return _resource(*SHORT[kind.lower()])
    except KeyError:
        raise LabError(f"there is no short name {kind!r}", f"known: {', '.join(SHORT)}") from None


def get(kind: str, name: str, namespace: str | None = None) -> Object | None:
    """The object; None if it does not exist. `kind` is lower-case and singular: pod, tfjob, workflow, ..."""
    from kubernetes.client import ApiException

    resource = _kind(kind)
    where = {"namespace": namespace or own_namespace()} if resource.namespaced else {}
    try:
        found: Object = resource.get(name=name, **where).to_dict()
        return found
    except ApiException as error:
        if error.status == 404:
            return None
        raise LabError(f"{kind} {name}: {_message(error)}", RIGHTS) from error


def listing(kind: str, namespace: str | None = None, labels: str = "") -> list[Object]:
    """All objects of a kind in the namespace, those that the label selector matches."""
    resource = _kind(kind)
    where = {"namespace": namespace or own_namespace()} if resource.namespaced else {}
    found: list[Object] = resource.get(label_selector=labels, **where).to_dict().get("items") or []
    return found


def known(kind: str, name: str, namespace: str | None = None) -> str:
    """The hint where no object of that kind has the name: which one is most like it, and the others."""
    from kubernetes.client import ApiException

    try:
        names = [found["metadata"]["name"] for found in listing(kind, namespace)]
    except (ApiException, LabError):
        return f"`kubectl get {kind}s` lists those that exist"
    return meant(name, names, f"{kind}s")


def wait(
    kind: str,
    name: str,
    until: Callable[[Object], Any],
    *,
    timeout: float = 120,
    namespace: str | None = None,
    what: str = "",
) -> Object:
    """Watch the object until `until(object)` is true and return it then. LabError when `timeout` seconds are over, or
    when the object is deleted, with its status and its last events."""
    space = namespace or own_namespace()
    deadline = time.monotonic() + timeout
    last: Object = {}
    for type_, last in _changes(kind, name, space, deadline):
        if type_ == "DELETED":
            raise LabError(f"{kind} {name} was deleted while waiting for {what or 'its change'}", "create it again")
        if until(last):
            return last
    said = yaml.safe_dump(last.get("status") or {}, sort_keys=False, width=110) if last else "it does not exist"
    happened = "".join(f"  {e['type']}: {e['reason']}: {e['message']}\n" for e in events(name, space)[-5:])
    wanted = f" for {what}" if what else ""
    raise LabError(
        f"{kind} {name}: waited {timeout:g} s in vain{wanted}. Its status:\n{said}{happened}",
        "the events above say what happened",
    )


def _changes(kind: str, name: str, namespace: str, deadline: float) -> Iterator[tuple[str, Object]]:
    """(type, object) of one object from now on until the deadline; a broken watch is begun again."""
    from urllib3.exceptions import HTTPError

    while (left := deadline - time.monotonic()) > 0:
        try:
            resource = _kind(kind)
            where = {"namespace": namespace} if resource.namespaced else {}
            # The dynamic client's watch begins with what exists: nothing is missed between two of them.
            for event in resource.watch(
                field_selector=f"metadata.name={name}", timeout=max(1, int(left + 0.999)), **where
            ):
                yield event["type"], event["raw_object"]
                if time.monotonic() > deadline:
                    return
        except (HTTPError, ConnectionError):
            time.sleep(0.1)  # the server is being started again


def events(name: str, namespace: str | None = None) -> list[Object]:
    """The events about the object of that name, oldest first."""
    from kubernetes.client import CoreV1Api

    found = CoreV1Api(api()).list_namespaced_event(
        namespace or own_namespace(), field_selector=f"involvedObject.name={name}", _preload_content=False
    )
    import json

    items: list[Object] = json.loads(found.data)["items"]
    return sorted(items, key=lambda e: e.get("lastTimestamp") or e["metadata"]["creationTimestamp"])


def logs(
    pod: str, *, namespace: str | None = None, container: str | None = None, follow: bool = False
) -> Iterator[str]:
    """The log of a pod's container in pieces of text as they come; LabError if it does not exist."""
    from kubernetes.client import ApiException, CoreV1Api

    options: dict[str, Any] = {"container": container} if container else {}
    try:
        stream = CoreV1Api(api()).read_namespaced_pod_log(
            pod, namespace or own_namespace(), follow=follow, _preload_content=False, **options
        )
    except ApiException as error:
        raise LabError(f"pod {pod}: {_message(error)}", "`kubectl get pods` lists those that exist") from error
    for chunk in stream.stream(decode_content=True):
        yield chunk.decode("utf-8", "replace")


def delete(source: str | Path | Object | list[Object], namespace: str | None = None) -> None:
    """Delete every object of `source` and what they own; those that are gone already are no error."""
    from kubernetes.client import ApiException

    found = documents(source)
    for wanted in found:
        if not wanted["metadata"].get("name"):
            raise LabError(
                f"{wanted['kind']} with the generateName {wanted['metadata'].get('generateName')!r} has no name, so it is not"
                " clear which one to delete",
                "delete what apply returned: it has the name that the cluster gave",
            )
    for wanted in reversed(found):
        resource = _resource(wanted["apiVersion"], wanted["kind"])
        meta = wanted["metadata"]
        where = {"namespace": namespace or meta.get("namespace") or own_namespace()} if resource.namespaced else {}
        try:
            resource.delete(name=meta["name"], body={"propagationPolicy": "Background"}, **where)
        except ApiException as error:
            if error.status != 404:
                raise LabError(f"{wanted['kind']} {meta['name']}: {_message(error)}", RIGHTS) from error


def stop(name: str, namespace: str | None = None) -> None:
    """Stop a workflow: its steps are ended and no other step begins, except those of its exit handler, which tidies up. A
    workflow that has ended stays as it is. LabError if there is no workflow of that name."""
    from kubernetes.client import ApiException

    space = namespace or own_namespace()
    found = get("workflow", name, space)
    if found is None:
        raise LabError(f"there is no workflow {name!r} in the namespace {space!r}", known("workflow", name, space))
    if (found.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Error"):
        return
    shutdown = {"spec": {"shutdown": "Stop"}}
    try:
        _kind("workflow").patch(name=name, namespace=space, body=shutdown, content_type="application/merge-patch+json")
    except ApiException as error:
        raise LabError(f"workflow {name}: {_message(error)}", RIGHTS) from error


def remove(kind: str, name: str, namespace: str | None = None, timeout: float = 60) -> None:
    """Delete one object without a grace period and return when it is gone; nothing happens if it does not exist."""
    from kubernetes.client import ApiException

    resource = _kind(kind)
    where = {"namespace": namespace or own_namespace()} if resource.namespaced else {}
    try:
        resource.delete(name=name, body={"gracePeriodSeconds": 0, "propagationPolicy": "Background"}, **where)
    except ApiException as error:
        if error.status == 404:
            return
        raise LabError(f"{kind} {name}: {_message(error)}", RIGHTS) from error
    found = get(kind, name, namespace)
    if found is None:
        return
    version = found["metadata"]["resourceVersion"]
    for event in resource.watch(
        field_selector=f"metadata.name={name}", resource_version=version, timeout=int(timeout), **where
    ):
        if event["type"] == "DELETED":
            return
    raise LabError(
        f"{kind} {name} is still there after {timeout:g} s",
        f"`kubectl get {kind} {name} -o yaml` shows whether its metadata has a finalizer",
    )
