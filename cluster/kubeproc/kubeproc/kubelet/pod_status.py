"""Builds a pod's status from its containers' states: pure functions, with the messages of pkg/kubelet/status/generate.go.

`lastTransitionTime` of a condition changes only with its `status`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kubeproc import timestamps
from kubeproc.kubelet.logs import stamp
from kubeproc.qos import quality

Object = dict[str, Any]
ADDRESS = "127.0.0.1"


def rfc3339(epoch: float) -> str:
    return stamp(int(epoch * 1e9))[:19].decode() + "Z"


@dataclass
class ContainerState:
    """The state of one container; `state` and `last` are as in ContainerStatus."""

    name: str
    image: str
    kind: str = "main"  # init, sidecar or main
    image_id: str = ""
    id: str = ""
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Object = field(default_factory=dict)
    restarts: int = 0
    started: bool = False
    ready: bool = False

    @property
    def exit_code(self) -> int | None:
        """The exit code if the container has ended and does not wait for a restart."""
        ended = self.state.get("terminated")
        return ended["exitCode"] if ended else None

    @property
    def running(self) -> bool:
        return "running" in self.state

    def status(self, spec: Object) -> Object:
        """The ContainerStatus of the container with this `spec`; its allocated resources are reported once it has run."""
        made = self.id or "terminated" in self.state
        mounts = [
            {k: m[k] for k in ("mountPath", "name", "readOnly") if m.get(k)}
            | ({"recursiveReadOnly": "Disabled"} if m.get("readOnly") else {})
            for m in spec.get("volumeMounts") or ()
        ]
        return (
            {
                "name": self.name,
                "state": self.state,
                "lastState": self.last,
                "ready": self.ready,
                "restartCount": self.restarts,
                "image": self.image if made else spec["image"],
                "imageID": self.image_id if made else "",
                "containerID": self.id,
                "started": self.started,
            }
            | ({"resources": spec.get("resources") or {}} if made else {})
            | ({"volumeMounts": mounts} if mounts else {})
        )


@dataclass
class Verdict:
    """Why the kubelet ended a pod, or never started it: phase Failed with `reason` and `message` (DeadlineExceeded, Evicted)."""

    reason: str
    message: str
    condition: Object | None = None
    rejected: bool = False


def phase(policy: str, containers: list[ContainerState]) -> str:
    """Pending, Running, Succeeded or Failed, by the rules of the kubelet's getPhase."""
    waiting_init = failed_init = False
    for c in containers:
        if c.kind == "init":
            if "terminated" in c.state:
                failed_init = failed_init or c.state["terminated"]["exitCode"] != 0
            elif c.last.get("terminated", {}).get("exitCode") and "waiting" in c.state:
                waiting_init = True
            else:
                waiting_init = True
        elif c.kind == "sidecar":
            waiting_init = waiting_init or not (c.started or "terminated" in c.state)
    mains = [c for c in containers if c.kind == "main"]
    started = any("waiting" not in c.state or c.last.get("terminated") for c in mains)
    if failed_init and policy == "Never" and not started:
        return "Failed"
    if (waiting_init or failed_init) and not started:
        return "Pending"
    if any("waiting" in c.state and "terminated" not in c.last for c in mains):
        return "Pending"
    if any(c.exit_code is None for c in mains):
        return "Running"
    if any(c.kind == "sidecar" and c.running for c in containers) or policy == "Always":
        return "Running"
    if all(c.exit_code == 0 for c in mains):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _condition(type: str, ok: bool, reason: str = "", message: str = "") -> Object:
    out: Object = {"type": type, "status": "True" if ok else "False", "lastProbeTime": None}
    return out | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def _names(containers: list[ContainerState]) -> str:
    return "[" + " ".join(c.name for c in containers) + "]"


def conditions(
    found: str, containers: list[ContainerState], sandbox: bool, gates: list[str], others: dict[str, Object]
) -> list[Object]:
    """The kubelet's five conditions, without their times."""
    final = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(found, "")
    out = [_condition("PodReadyToStartContainers", sandbox and not final)]

    done = {"init": lambda c: c.ready, "sidecar": lambda c: c.started, "main": lambda c: True}
    incomplete = [c for c in containers if not done[c.kind](c)]
    begun = any(c.kind == "main" and ("waiting" not in c.state or c.last) for c in containers)
    if found == "Succeeded":
        out.append(_condition("Initialized", True, final))
    elif begun or not incomplete:
        out.append(_condition("Initialized", True))
    else:
        words = f"containers with incomplete status: {_names(incomplete)}"
        out.append(_condition("Initialized", False, "ContainersNotInitialized", words))

    unready = [c for c in containers if c.kind != "init" and not c.ready]
    if final:
        ready = all_ready = _condition("", False, final)
    elif unready:
        words = f"containers with unready status: {_names(unready)}"
        ready = all_ready = _condition("", False, "ContainersNotReady", words)
    else:
        ready = all_ready = _condition("", True)
        missing = [_gate(gate, others.get(gate)) for gate in gates]
        if words := ", ".join(filter(None, missing)):
            ready = _condition("", False, "ReadinessGatesNotReady", words)
    out.append(ready | {"type": "Ready"})
    out.append(all_ready | {"type": "ContainersReady"})
    return out


def _gate(gate: str, condition: Object | None) -> str:
    if condition is None:
        return f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    if condition["status"] != "True":
        return f'the status of pod readiness gate "{gate}" is not "True", but {condition["status"]}'
    return ""


def build(
    pod: Object, containers: list[ContainerState], started: str, address: str, verdict: Verdict | None, ended: bool
) -> Object:
    """The whole `status` of `pod`, whose `address` is empty before it is set up; `ended`: no container runs any more. Keeps the
    conditions of other writers."""
    old = pod.get("status") or {}
    spec = pod["spec"]
    if verdict and verdict.rejected:
        kept = {"conditions": old["conditions"]} if old.get("conditions") else {}
        words = {"phase": "Failed", "reason": verdict.reason, "message": verdict.message, "qosClass": quality(spec)}
        return {**kept, **words, "startTime": started, "observedGeneration": pod["metadata"].get("generation", 1)}
    found = phase(spec.get("restartPolicy", "Always"), containers)
    if verdict and ended:
        found = "Failed"
    have = {c["type"]: c for c in old.get("conditions") or ()}
    specs = {c["name"]: c for c in [*(spec.get("initContainers") or ()), *spec["containers"]]}
    generation = pod["metadata"].get("generation", 1)
    gates = [gate["conditionType"] for gate in spec.get("readinessGates") or ()]
    mine = conditions(found, containers, bool(address), gates, have)
    if verdict and verdict.condition:
        mine.append(verdict.condition)
    moment = timestamps.now()
    for condition in mine:
        before = have.pop(condition["type"], None)
        same = before is not None and before["status"] == condition["status"]
        condition["observedGeneration"] = generation
        condition["lastTransitionTime"] = before.get("lastTransitionTime", moment) if before and same else moment
    scheduled = have.pop("PodScheduled", None)
    if scheduled is None:
        scheduled = _condition("PodScheduled", True) | {"lastTransitionTime": moment}
    scheduled["observedGeneration"] = generation
    out: Object = {
        "phase": found,
        "conditions": [*mine, scheduled, *have.values()],
        "hostIP": ADDRESS,
        "hostIPs": [{"ip": ADDRESS}],
        "startTime": started,
        "qosClass": quality(spec),
        "containerStatuses": [c.status(specs[c.name]) for c in containers if c.kind == "main"],
    }
    if address:
        out |= {"podIP": address, "podIPs": [{"ip": address}]}
    if init := [c.status(specs[c.name]) for c in containers if c.kind != "main"]:
        out["initContainerStatuses"] = init
    if verdict and found == "Failed":
        out |= {"reason": verdict.reason, "message": verdict.message}
    return out | {"observedGeneration": generation}
