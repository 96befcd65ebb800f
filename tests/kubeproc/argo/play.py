"""A store with one workflow in it, and a kubelet that is played: pods are moved by hand, results written as the executor
would. `run` goes on until nothing changes any more."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from kubeproc import timestamps
from kubeproc.argo.templates import node_names
from kubeproc.argo.workflow import controller
from kubeproc.resources import NAMESPACES, PODS, WORKFLOWS, WORKFLOWTASKRESULTS
from kubeproc.store import Store, dump

Object = dict[str, Any]
Program = Callable[[Object], Any]

_numbers = itertools.count()


def container(name: str = "main", **more: Any) -> Object:
    """A container template."""
    return {"name": name, "container": {"image": "busybox", "command": ["true"]}, **more}


def script(name: str, **more: Any) -> Object:
    return {"name": name, "script": {"image": "python:3.11", "command": ["python"], "source": "print(1)"}, **more}


def world() -> Store:
    store = Store(None)
    store.create(NAMESPACES, {"metadata": {"name": "default"}})
    return store


class Play:
    """One workflow and its pods."""

    def __init__(self, spec: Object, store: Store | None = None, name: str = "", **metadata: Any) -> None:
        self.store = store or world()
        self.name = name or f"wf{next(_numbers)}"
        meta = {"name": self.name, "namespace": "default", **metadata}
        self.store.create(WORKFLOWS, {"metadata": meta, "spec": spec})
        self.order: list[str] = []  # the node names of the pods, in the order of their ends

    @property
    def workflow(self) -> Object:
        return self.store.get(WORKFLOWS, "default", self.name)

    @property
    def status(self) -> Object:
        return self.workflow.get("status") or {}

    @property
    def phase(self) -> str:
        return self.status.get("phase", "")

    @property
    def message(self) -> str:
        return self.status.get("message", "")

    @property
    def nodes(self) -> dict[str, Object]:
        """The nodes by their names without the workflow's own."""
        return {n["name"].removeprefix(self.name): n for n in (self.status.get("nodes") or {}).values()}

    def phases(self) -> dict[str, str]:
        return {name: node["phase"] for name, node in self.nodes.items()}

    def reconcile(self) -> float | None:
        """One pass, as the controller gets it: with the store's own object, which it must leave as it is."""
        stored = self.store.find(WORKFLOWS, "default", self.name, shared=True)
        assert stored is not None
        before = dump(stored)
        again = controller.reconcile(stored, self.store)
        assert dump(stored) == before, "the pass has changed the stored object in place"
        kept = self.store.find(WORKFLOWS, "default", self.name, shared=True)
        assert kept == self.store.find(WORKFLOWS, "default", self.name), (
            "what the store keeps is not what it has written"
        )
        return again

    def settle(self) -> float | None:
        """Reconcile until the workflow does not change any more."""
        for _ in range(50):
            before = self.workflow["metadata"]["resourceVersion"]
            again = self.reconcile()
            found = self.store.find(WORKFLOWS, "default", self.name)
            if found is None or found["metadata"]["resourceVersion"] == before:
                return again
        raise AssertionError("the workflow never comes to rest")

    # -- the kubelet -------------------------------------------------------------------------------------------------

    def pods(self) -> list[Object]:
        """The pods that have not ended."""
        found = self.store.list(
            PODS, "default", lambda p: p["metadata"]["labels"].get(node_names.WORKFLOW_LABEL) == self.name
        )
        return [p for p in found if (p.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]

    def pod(self, node: str) -> Object:
        wanted = self.name + node
        return next(p for p in self.pods() if p["metadata"]["annotations"][node_names.NODE_NAME] == wanted)

    def set_status(self, pod: Object, status: Object) -> None:
        pod["status"] = status
        self.store.update_status(PODS, pod)

    def start(self, pod: Object) -> None:
        states = [
            {"name": c["name"], "state": {"running": {"startedAt": timestamps.now()}}}
            for c in pod["spec"]["containers"]
        ]
        self.set_status(pod, {"phase": "Running", "containerStatuses": states})

    def end(self, pod: Object, code: int = 0, message: str = "", **outputs: Any) -> None:
        """End a pod with main's exit code; `result` and `parameters` are what the executor reports."""
        if outputs:
            self.report(pod, **outputs)
        ended: Object = {
            "exitCode": int(code),
            "reason": "Error" if code else "Completed",
            "finishedAt": timestamps.now(),
        }
        if message:
            ended["message"] = message
        states = [
            {"name": c["name"], "state": {"terminated": ended if c["name"] == "main" else {"exitCode": 0}}}
            for c in pod["spec"]["containers"]
        ]
        self.set_status(pod, {"phase": "Failed" if code else "Succeeded", "containerStatuses": states})
        self.order.append(pod["metadata"]["annotations"][node_names.NODE_NAME].removeprefix(self.name))

    def report(self, pod: Object, result: str | None = None, parameters: dict[str, str] | None = None) -> None:
        outputs: Object = {"result": result} if result is not None else {}
        if parameters:
            outputs["parameters"] = [{"name": k, "value": v} for k, v in parameters.items()]
        labels = {node_names.WORKFLOW_LABEL: self.name, node_names.REPORTED_LABEL: "true"}
        name = pod["metadata"]["annotations"][node_names.NODE_ID]
        meta = {"name": name, "namespace": "default", "labels": labels}
        self.store.create(WORKFLOWTASKRESULTS, {"metadata": meta, "outputs": outputs})

    def run(self, program: Program | None = None) -> Play:
        """Run all pods to their ends; `program(pod)` gives the exit code, or a dict of what `end` takes."""
        for _ in range(1000):
            self.settle()
            waiting = self.pods()
            if not waiting:
                return self
            for pod in waiting:
                outcome = program(pod) if program else 0
                outcome = outcome if isinstance(outcome, dict) else {"code": outcome or 0}
                self.start(pod)
                self.end(self.pod_again(pod), **outcome)
        raise AssertionError("the workflow never ends")

    def pod_again(self, pod: Object) -> Object:
        return self.store.get(PODS, "default", pod["metadata"]["name"])


def display(pod: Object) -> str:
    """The step's or task's name of a pod."""
    return node_names.task_of(pod["metadata"]["annotations"][node_names.NODE_NAME])


def env(container: Object) -> dict[str, str]:
    return {v["name"]: v.get("value", "") for v in container["env"]}


def steps(*groups: list[Object], **more: object) -> Object:
    return {"name": "main", "steps": list(groups), **more}


def workflow(*templates: Object, **more: object) -> Object:
    return {"entrypoint": "main", "templates": list(templates), **more}


def dag(*tasks: Object, **more: object) -> Object:
    return {"name": "main", "dag": {"tasks": list(tasks), **more}}


def task(name: str, depends: str = "", **more: object) -> Object:
    return {"name": name, "template": "work", **({"depends": depends} if depends else {}), **more}
