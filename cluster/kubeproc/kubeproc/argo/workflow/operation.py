"""One pass over one workflow: what it reads, what it decides, and what it writes.

Mechanism. A pass reads the workflow, its spec, its pods and the clock. It walks the templates from the entrypoint, and each
step of that walk either changes a node (`tree`), makes a pod, or asks for a later pass (`turn`). At its end the pass writes
the workflow once, if anything has changed. Nothing is kept between passes but the store, so a pass after a crash goes on from
the last write.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Protocol

from kubeproc.argo.templates import node_names
from kubeproc.argo.templates.spec import Source, Templates
from kubeproc.argo.workflow.nodes import NodeTree
from kubeproc.argo.workflow.turn import Turn
from kubeproc.resources import PODS
from kubeproc.store import Store, dump

Object = dict[str, Any]


class OperationError(Exception):
    """Something in the workflow cannot be done; the words become a node's message."""


class DepthExceeded(OperationError):
    """Templates call each other without an end."""


class TimedOut(OperationError):
    """A template's `timeout` has passed before its pod ran."""


class Execute(Protocol):
    """`execute.template`: steps, tasks and hooks run what they call through it."""

    def __call__(
        self,
        op: Operation,
        name: str,
        holder: Object,
        source: Source,
        given: Object | None,
        boundary: str = "",
        *,
        flag: Object | None = None,
        on_exit: bool = False,
    ) -> Object | None: ...


SHARED = ("nodes", "storedTemplates", "storedWorkflowTemplateSpec", "taskResultsCompletionStatus")


def working_copy(workflow: Object) -> Object:
    """A copy of a stored workflow for one pass to change. What is large is shared with the store: the spec, and in the status
    what is inside of the fields of nodes and templates. A pass gives such a field another value, and changes none in place."""
    meta, status = workflow["metadata"], workflow.get("status") or {}
    own = copy.deepcopy({k: v for k, v in status.items() if k not in SHARED})
    copied = {k: own[k] if k in own else dict(v) for k, v in status.items()}
    if "nodes" in copied:
        copied["nodes"] = {id: dict(node) for id, node in copied["nodes"].items()}
    return {**workflow, "metadata": copy.deepcopy(meta), "status": copied}


@dataclass
class Operation:
    """A pass. It reads `workflow`, `store` and `clock`, and from them `spec` (with the global `variables` filled in),
    `templates`, `volumes`, `pods` (by node id) and `deadline`. `running` holds the processed templates of the nodes with
    children that the walk has come through, `depth` how deep it is."""

    workflow: Object
    store: Store
    clock: float
    execute: Execute
    spec: Object = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    templates: Templates = None  # type: ignore[assignment]
    volumes: list[Object] = field(default_factory=list)
    pods: dict[str, Object] = field(default_factory=dict)
    deadline: float | None = None
    running: dict[str, tuple[Object, Source]] = field(default_factory=dict)
    depth: int = 0
    changed: bool = False  # the workflow, beside its nodes
    _texts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        meta = self.workflow["metadata"]
        self.name: str = meta["name"]
        self.namespace: str = meta["namespace"]
        self.status: Object = self.workflow.setdefault("status", {})
        self.tree = NodeTree(self.name, self.status.setdefault("nodes", {}), self.clock)
        self.turn = Turn(self.clock)

    @property
    def to_write(self) -> bool:
        """Whether the workflow differs from what is stored."""
        return self.changed or self.tree.changed or (self.templates is not None and self.templates.grown)

    def parent_text(self, id: str) -> str:
        """The JSON of the template that a node with children runs."""
        if id not in self._texts:
            self._texts[id] = dump(self.running[id][0]).decode("utf-8", "surrogatepass")
        return self._texts[id]

    def pod_name(self, node: str, template: str) -> str:
        if self.workflow["metadata"].get("annotations", {}).get(node_names.POD_NAME_FORMAT) == "v1":
            return self.tree.id(node)
        return node_names.pod_name(self.name, node, template)

    def pod_exists(self, node: Object) -> bool:
        if node["id"] in self.pods:
            return True
        return (
            self.store.raw(PODS, self.namespace, self.pod_name(node["name"], node_names.template_of(node))) is not None
        )

    @property
    def shutdown(self) -> str:
        return self.spec.get("shutdown") or ""

    def may_execute(self, on_exit: bool) -> bool:
        """Whether a pod may still start: `Terminate` forbids all, `Stop` all but exit handlers."""
        return not self.shutdown or (self.shutdown == "Stop" and on_exit)

    @property
    def past_deadline(self) -> bool:
        return self.deadline is not None and self.clock > self.deadline
