"""The work of one workflow pod, as the executor reads it from the pod.

Mechanism. The controller writes the template into the pod (environment `ARGO_TEMPLATE`, or an annotation); everything
else the executor needs is in the pod's labels, environment and owner, as with Argo's own executor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kubeproc.folder import appended
from kubeproc.kubelet.executor import Files

Object = dict[str, Any]

GROUP = "argoproj.io/"
PREFIX = "workflows.argoproj.io/"
MAIN = "main"
FAILED = 64  # the exit code of Argo's executor after an error
TERMINATED = FAILED, "context canceled"


@dataclass(frozen=True)
class Outcome:
    """How a container of the executor ended: its exit code and termination message."""

    code: int = 0
    message: str = ""


class TaskError(Exception):
    """The executor can't do what the template asks. `missing` distinguishes a missing file from other errors."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.message, self.missing = message, missing


@dataclass
class Task:
    """The pod's work: the template and the names its outputs are reported under."""

    template: Object
    namespace: str
    pod: str
    pod_uid: str
    workflow: str
    workflow_uid: str
    node: str  # the node's id
    result: bool  # whether another node uses outputs.result
    container: str
    files: Files

    def log(self, message: str, level: str = "info") -> None:
        """Append a line to this container's log, as logrus writes it."""
        now = datetime.now(UTC)
        quoted = json.dumps(message, ensure_ascii=False)
        when = now.strftime("%Y-%m-%dT%H:%M:%S.%f")
        line = f'{when}000Z stderr F time="{when[:-3]}Z" level={level} msg={quoted}\n'
        path = self.files.log(self.container)
        path.parent.mkdir(parents=True, exist_ok=True)
        with appended(path) as file:
            file.write(line.encode("utf-8", "surrogateescape"))


STAGING = "/argo/staging"


def is_executors(pod: Object, container: str) -> bool:
    """Whether a container whose image is Argo's is one that the controller created, not a user's program."""
    owners = pod["metadata"].get("ownerReferences") or []
    if not any(o.get("controller") and o["kind"] == "Workflow" and o["apiVersion"].startswith(GROUP) for o in owners):
        return False
    return container in ("init", "wait") or (container == MAIN and "resource" in _template(pod))


def paths(pod: Object) -> tuple[str, ...]:
    """The paths of main that the executor reads or writes, which need translation: none for any other pod."""
    if PREFIX + "workflow" not in (pod["metadata"].get("labels") or {}):
        return ()
    template = _template(pod)
    found = [STAGING]
    for side in ("inputs", "outputs"):
        given = template.get(side) or {}
        found += [a["path"] for a in given.get("artifacts") or [] if a.get("path")]
        found += [(p.get("valueFrom") or {}).get("path") or "" for p in given.get("parameters") or []]
    return tuple(sorted({p for p in found if p.startswith("/") and p != "/"}))


def _template(pod: Object) -> Object:
    """The template that the pod carries in the environment of the executor's containers, or in an annotation."""
    spec = pod["spec"]
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        for variable in container.get("env") or []:
            if variable["name"] == "ARGO_TEMPLATE" and variable.get("value"):
                return json.loads(variable["value"])
    return json.loads((pod["metadata"].get("annotations") or {}).get(PREFIX + "template") or "{}")


def read(pod: Object, container: str, files: Files) -> Task:
    """The task of `pod` as seen from one of its containers."""
    meta = pod["metadata"]
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    containers.sort(key=lambda c: c["name"] != container)  # this container's environment first
    environment = {
        v["name"]: v.get("value", "") for c in reversed(containers) for v in c.get("env") or [] if "value" in v
    }
    annotations = meta.get("annotations") or {}
    template = _template(pod)
    if not template:
        raise TaskError("the pod has no template: neither ARGO_TEMPLATE nor an annotation")
    owner: Object = next((o for o in meta.get("ownerReferences") or [] if o["kind"] == "Workflow"), {})
    return Task(
        template=template,
        namespace=meta["namespace"],
        pod=meta["name"],
        pod_uid=meta["uid"],
        workflow=(meta.get("labels") or {}).get(PREFIX + "workflow") or owner.get("name", ""),
        workflow_uid=environment.get("ARGO_WORKFLOW_UID") or owner.get("uid", ""),
        node=environment.get("ARGO_NODE_ID") or annotations.get(PREFIX + "node-id") or meta["name"],
        result=environment.get("ARGO_INCLUDE_SCRIPT_OUTPUT") == "true",
        container=container,
        files=files,
    )
