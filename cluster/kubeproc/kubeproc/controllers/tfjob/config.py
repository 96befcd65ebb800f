"""A TFJob's spec as its controller reads it, and the environment variable TF_CONFIG, which lists the job's replicas.

Defaults are applied here, not in the stored spec: one replica, restartPolicy Never, cleanPodPolicy None. TF_CONFIG has
the form of training-operator 1.9: its addresses are the names of the replicas' Services. Where pods share the host's network
they are 127.0.0.1 with the host port of each replica, allocated when the job was admitted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from kubeproc import ports
from kubeproc.admission.tfjob import CONTAINER, replica_specs
from kubeproc.store import Object

PORT_NAME, DEFAULT_PORT, VARIABLE = "tfjob-port", 2222, "TF_CONFIG"
ADDRESS = "127.0.0.1"
KNOWN = ("Chief", "Evaluator", "Master", "PS", "Worker")  # in the operator's order
CHIEFS = ("Chief", "Master")


@dataclass(frozen=True)
class Replica:
    """One entry of tfReplicaSpecs: its type, number, restart policy and pod template."""

    type: str
    count: int
    restart: str
    template: Object

    @property
    def label(self) -> str:
        return self.type.lower()

    def ports(self) -> dict[str, int]:
        """The tensorflow container's ports by name, with the default one."""
        for container in self.template["spec"]["containers"]:
            if container.get("name") == CONTAINER:
                found = {p.get("name", ""): p["containerPort"] for p in container.get("ports") or ()}
                return found if PORT_NAME in found else {**found, PORT_NAME: DEFAULT_PORT}
        return {}


def read(job: Object) -> dict[str, Replica]:
    """The job's replicas by type, known types first and in the operator's order."""
    specs = replica_specs(job["spec"])
    order = [*(t for t in KNOWN if t in specs), *sorted(t for t in specs if t not in KNOWN)]
    return {
        t: Replica(t, _count(specs[t]), specs[t].get("restartPolicy") or "Never", specs[t]["template"]) for t in order
    }


def _count(spec: Object) -> int:
    return 1 if spec.get("replicas") is None else spec["replicas"]


def policy(job: Object) -> Object:
    """The job's runPolicy; cleanPodPolicy is None unless it is set."""
    found = job["spec"].get("runPolicy") or {}
    return {**found, "cleanPodPolicy": found.get("cleanPodPolicy") or "None"}


def has_chief(kinds: dict[str, Replica]) -> bool:
    return any(t in kinds for t in CHIEFS)


def host_port(job: Object, label: str, index: int) -> int | None:
    """The host port of a replica, as allocated at the job's admission."""
    return ports.recorded(job).get(f"{label}-{index}")


def _address(job: Object, replica: Replica, index: int, own: bool) -> str:
    if not own:
        return f"{ADDRESS}:{host_port(job, replica.label, index)}"
    meta = job["metadata"]
    return f"{meta['name']}-{replica.label}-{index}.{meta['namespace']}.svc:{replica.ports()[PORT_NAME]}"


def tf_config(job: Object, kinds: dict[str, Replica], replica: Replica, index: int, own: bool) -> str:
    """The JSON of TF_CONFIG for one replica, whose pods have a network of their `own` or not; empty if the job has only one
    replica, which needs none."""
    if sum(r.count for r in kinds.values() if r.type in KNOWN) == 1:
        return ""
    cluster = {
        r.label: [_address(job, r, i, own) for i in range(r.count)]
        for r in sorted(kinds.values(), key=lambda r: r.label)
    }
    task = {"type": replica.label, "index": index}
    if job["spec"].get("enableDynamicWorker"):
        return _dump({"cluster": _sparse(cluster, replica.label, index), "task": task})
    return _dump({"cluster": cluster, "task": task, "environment": "cloud"})


def _sparse(cluster: dict[str, list[str]], label: str, index: int) -> Object:
    """The cluster of a replica with dynamic workers: itself, and for a worker all parameter servers."""
    if label == "ps":
        return {"worker": {}, "ps": [cluster[label][index]]}
    if label == "worker":
        return {"worker": {str(index): cluster[label][index]}, "ps": cluster.get("ps")}
    return {"worker": {}, "ps": []}


def _dump(value: Object) -> str:
    return json.dumps(value, separators=(",", ":"))
