"""The manifest of a resource template, and kubectl's messages: what to send where, and how errors are printed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from kubeproc import embedder
from kubeproc.api.wire import body
from kubeproc.api_errors import ApiError
from kubeproc.argo.executor.task import Task, TaskError
from kubeproc.names import generated
from kubeproc.resources import RESOURCES, WORKFLOWS, Resource, by_kind

Object = dict[str, Any]

SOURCE = "/tmp/manifest.yaml"  # where Argo's executor has the manifest; kubectl's errors name it
ACTIONS = {"create": "creating", "apply": "applying", "patch": "patching", "replace": "replacing", "delete": "deleting"}


@dataclass
class Flags:
    """The supported flags of kubectl."""

    namespace: str = ""
    dry_run: bool = False
    force_conflicts: bool = True
    cascade: str = "background"
    grace: int | None = None
    ignore_missing: bool = False
    wait: bool = True
    strict: str = ""
    manager: str = "kubectl-client-side-apply"
    names: list[str] = field(default_factory=list)  # TYPE NAME, or TYPE/NAME


class UnknownFlag(TaskError):
    """A flag of kubectl, `word`, that is not supported."""

    def __init__(self, word: str) -> None:
        super().__init__(embedder.unsupported(f"flags: {word}"))
        self.word = word


def flags(words: list[str]) -> Flags:
    """The `flags` of a resource template. UnknownFlag for an unsupported one."""
    found, left = Flags(), [str(w) for w in words]
    while left:
        word = left.pop(0)
        name, given, value = word.partition("=")
        if name in ("-n", "--namespace", "--cascade", "--grace-period", "--field-manager", "--dry-run") and not given:
            value = left.pop(0) if left else ""
        if not word.startswith("-"):
            found.names.append(word)
        elif name in ("-n", "--namespace"):
            found.namespace = value
        elif name == "--dry-run" and value == "server":
            found.dry_run = True
        elif name == "--cascade":
            found.cascade = value
        elif name == "--grace-period" and value.lstrip("-").isdigit():
            found.grace = int(value) if int(value) >= 0 else None
        elif name == "--field-manager":
            found.manager = value
        elif name == "--ignore-not-found":
            found.ignore_missing = value != "false"
        elif name == "--wait":
            found.wait = value != "false"
        elif name == "--validate":
            found.strict = {"false": "Ignore", "ignore": "Ignore", "warn": "Warn"}.get(value, "Strict")
        elif name == "--force-conflicts":
            found.force_conflicts = value != "false"
        elif name != "--server-side":
            raise UnknownFlag(word)
    return found


def load(text: str) -> Any:
    """The one object of a manifest (or the list of a JSON patch); empty for an empty one."""
    documents = [d for d in re.split(r"(?m)^---(?:[ \t].*)?$", text) if d.strip()]
    if len(documents) > 1:
        raise TaskError("a resource template's manifest is one object, this one has several")
    if not documents:
        return {}
    try:
        found, _ = body.decode(documents[0].encode("utf-8", "surrogatepass"), "application/yaml")
    except ApiError as error:
        raise TaskError(f"error parsing {SOURCE}: {error.message}") from error
    if not isinstance(found, (dict, list)):
        raise TaskError(f"error validating {SOURCE}: the manifest is not an object")
    return found


def _failed(why: str) -> TaskError:
    """An error that kubectl itself reports, before it calls the server."""
    return TaskError(f"no more retries error: {why}")


def resource_of(obj: Object) -> Resource:
    """The resource of the object's kind, or kubectl's error."""
    version, kind = obj.get("apiVersion"), obj.get("kind")
    for what, value in (("apiVersion", version), ("kind", kind)):
        if not value:
            hint = "if you choose to ignore these errors, turn validation off with --validate=false"
            raise _failed(f'error validating "{SOURCE}": error validating data: {what} not set; {hint}')
    found = by_kind(str(version), str(kind))
    if found is None:
        meta = obj.get("metadata") or {}
        about = f'name: "{meta.get("name", "")}" namespace: "{meta.get("namespace", "")}" from "{SOURCE}"'
        why = f'no matches for kind "{kind}" in version "{version}"\nensure CRDs are installed first'
        raise _failed(f"resource mapping not found for {about}: {why}")
    return found


def by_name(words: list[str]) -> tuple[Resource, str]:
    """The resource and name of TYPE NAME or TYPE/NAME."""
    if len(words) == 1 and words[0].count("/") == 1:
        words = words[0].split("/")
    if len(words) != 2:
        raise _failed(f"flags: one TYPE NAME or TYPE/NAME is required besides the options, not {' '.join(words)!r}")
    kind = words[0].lower()
    for resource in RESOURCES.values():
        if kind in (resource.plural, resource.singular, resource.qualified, *resource.short):
            return resource, words[1]
    raise _failed(f'the server doesn\'t have a resource type "{words[0]}"')


def prepare(task: Task, obj: Object, resource: Resource, action: str) -> Object:
    """The object to send: with a namespace, an owner if the template asks for one, and a name if it only has a prefix
    (derived from the pod's uid, so that a repeated request creates no second object)."""
    meta = obj["metadata"] = dict(obj.get("metadata") or {})
    if resource.namespaced:
        meta.setdefault("namespace", task.namespace)
    if action == "create" and not meta.get("name") and meta.get("generateName"):
        meta["name"] = generated(meta["generateName"], task.pod_uid)
    if task.template["resource"].get("setOwnerReference"):
        owners = list(meta.get("ownerReferences") or [])
        if not any(o.get("uid") == task.workflow_uid for o in owners):
            owner = {"apiVersion": WORKFLOWS.api_version, "kind": WORKFLOWS.kind, "name": task.workflow}
            owners.append(owner | {"uid": task.workflow_uid, "controller": True, "blockOwnerDeletion": True})
        meta["ownerReferences"] = owners
    return obj


def words(error: ApiError, action: str) -> str:
    """An error as kubectl prints it."""
    causes = error.details.get("causes") or []
    if error.code == 422 and error.details.get("kind"):
        about = f'The {error.details["kind"]} "{error.details.get("name", "")}" is invalid'
        texts = [f"{c['field']}: {c['message']}" if c.get("field") else c["message"] for c in causes]
        if not texts:
            return about + "\n"
        return f"{about}: {texts[0]}\n" if len(texts) == 1 else about + ": \n" + "".join(f"* {t}\n" for t in texts)
    source = f'error when {ACTIONS[action]} "{SOURCE}": ' if action in ACTIONS else ""
    return f"Error from server ({error.reason or error.code}): {source}{error.message}"
