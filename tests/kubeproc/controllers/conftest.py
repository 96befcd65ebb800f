"""A store with admission and a node, and the controllers run by hand: the test plays the kubelet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kubeproc import controllers, timestamps
from kubeproc.admission import admit
from kubeproc.admission.claim import standard_class
from kubeproc.controllers.loop import settle
from kubeproc.resources import EVENTS, NAMESPACES, NODES, PODS, STORAGECLASSES, Resource
from kubeproc.store import Object, Store

IMAGE = "labkit/lab:1"


class Cluster:
    """A store and the controllers over it."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store(None, admit=admit)
        self.controllers = controllers.build(None)
        for name in ("default", "kube-system"):
            self.store.create(NAMESPACES, {"metadata": {"name": name}})
        self.store.create(STORAGECLASSES, standard_class())
        self.add_node("labkit")

    def add_node(self, name: str, **allocatable: str) -> None:
        room = {"cpu": "4", "memory": "8Gi", "pods": "110", **allocatable}
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": timestamps.now()}
        status = {"allocatable": room, "capacity": room, "conditions": [ready]}
        self.store.create(
            NODES, {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "status": status}
        )

    @staticmethod
    def pod(name: str, labels: dict[str, str] | None = None, **spec: object) -> Object:
        """A manifest of a pod with one container."""
        meta = {"name": name} | ({"labels": labels} if labels else {})
        return {"metadata": meta, "spec": {"containers": [{"name": "main", "image": IMAGE}], **spec}}

    def settle(self) -> float | None:
        return settle(self.controllers, self.store)

    def create(self, resource: Resource, obj: Object) -> Object:
        made = self.store.create(resource, obj)
        self.settle()
        return made

    def pods(self, match: Callable[[Object], bool] = lambda p: True) -> list[Object]:
        return [p for p in self.store.list(PODS) if match(p)]

    def play(self, *, ready: bool = True, delete: bool = True) -> int:
        """The kubelet's part: start what is scheduled, end what is deleted; the number of pods it changed."""
        changed = 0
        for pod in self.store.list(PODS):
            if delete and "deletionTimestamp" in pod["metadata"]:
                self.store.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], grace=0)
                changed += 1
            elif pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending":
                self.set_phase(pod, "Running", ready=ready)
                changed += 1
        self.settle()
        return changed

    def play_all(self) -> None:
        """Kubelet and controllers until nothing changes."""
        self.settle()
        while self.play():
            pass

    def set_phase(self, pod: Object, phase: str, *, ready: bool = False, code: int = 0, restarts: int = 0,
                  since: str = "") -> None:  # fmt: skip
        """Write a pod's status as its kubelet would."""
        fresh = self.store.get(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        state = {"running": {"startedAt": timestamps.now()}}
        if phase in ("Succeeded", "Failed"):
            state = {
                "terminated": {
                    "exitCode": code,
                    "reason": "Completed" if code == 0 else "Error",
                    "finishedAt": timestamps.now(),
                }
            }
        kept = [c for c in fresh["status"].get("conditions", []) if c["type"] != "Ready"]
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "lastTransitionTime": since or timestamps.now(),
        }
        containers = [
            {
                "name": c["name"],
                "image": c["image"],
                "imageID": "",
                "ready": ready,
                "restartCount": restarts,
                "state": state,
            }
            for c in fresh["spec"]["containers"]
        ]
        fresh["status"] |= {"phase": phase, "podIP": "127.0.0.1", "hostIP": "127.0.0.1", "startTime": timestamps.now(),
                            "conditions": [*kept, condition], "containerStatuses": containers}  # fmt: skip
        self.store.update_status(PODS, fresh)

    def finish(self, name: str, *, code: int = 0, namespace: str = "default") -> None:
        """End a pod with an exit code, and let the controllers see it."""
        pod = self.store.get(PODS, namespace, name)
        self.set_phase(pod, "Failed" if code else "Succeeded", code=code)
        self.settle()

    def events(self, name: str) -> list[tuple[str, str, str]]:
        """(type, reason, message) of the events about the object of that name."""
        found = self.store.list(EVENTS, None, lambda e: e["involvedObject"]["name"] == name)
        return [(e["type"], e["reason"], e["message"]) for e in found]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()
