"""One drill on three nodes, the same on either engine: what a client sees when machines are closed, emptied and lost.

`answers(folder, engine)` asks a cluster of three nodes of one size and returns plain data without the nodes' names, for
comparison: why pods are Pending, what `kubectl drain` says, and what becomes of pods, TFJobs and workflows when a machine
is taken away under them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from kubernetes import config, watch
from kubernetes.client import CoreV1Api

from labkit import client, cluster, namespaces
from labkit.engines import nodes
from labkit.paths import ClusterFolder

KUBECTL = Path(sys.executable).parent / "kubectl"
SPACE = "drill"
POLICIES = ("Never", "OnFailure", "Always", "ExitCode")
PATIENCE = 240
Object = dict[str, Any]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: web}}
      containers: [{name: main, image: "busybox:1.36", command: [sleep, "10000"]}]
"""

# Does not end on the node that will be lost, and ends at once on another one.
STEP = {
    "image": "busybox:1.36",
    "command": ["sh", "-c", '[ "$NODE" = "$LOST" ] && sleep 10000; echo done'],
    "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, {"name": "LOST"}],
}
# Waits for what never comes.
RESOURCE = {
    "action": "create",
    "successCondition": "status.succeeded > 0",
    "manifest": """
apiVersion: kubeflow.org/v1
kind: TFJob
metadata: {name: suspended}
spec:
  runPolicy: {suspend: true}
  tfReplicaSpecs: {Worker: {template: {spec: {containers: [{name: tensorflow, image: "busybox:1.36"}]}}}}
""",
}


class Drill:
    """A namespace of one cluster, and what is asked in it."""

    def __init__(self, folder: ClusterFolder, engine: ModuleType) -> None:
        self.folder, self.engine = folder, engine
        names = [n["metadata"]["name"] for n in json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]]
        self.names = sorted(names, key=lambda name: (not name.endswith(("control-plane", "labkit")), name))
        self.first, self.second, self.third = self.names
        namespaces.prepare(SPACE)

    def kubectl(self, *words: str, input: str = "", fails: bool = False) -> str:
        command = [str(KUBECTL), "--kubeconfig", str(self.folder.kubeconfig), "-n", SPACE, *words]
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr if fails else done.stdout

    def anonymous(self, text: str) -> str:
        """Without the names of nodes and of what a template generated."""
        for name, place in zip(self.names, ("FIRST", "SECOND", "THIRD"), strict=True):
            text = re.sub(rf"\b{re.escape(name)}\b(?!-)", place, text)
        return re.sub(r"-[0-9a-f]{8,10}-[a-z0-9]{5}\b", "-HASH", text)

    def create(self, obj: Object) -> None:
        self.kubectl("create", "-f", "-", input=yaml.safe_dump(obj))

    def node_until(self, holds: Any) -> Object:
        """The second node, once that is so."""
        core = CoreV1Api(config.new_client_from_config(str(self.folder.kubeconfig)))
        only = {"field_selector": f"metadata.name={self.second}", "timeout_seconds": PATIENCE}
        for event in watch.Watch().stream(core.list_node, **only):
            if holds(event["raw_object"]):
                return event["raw_object"]
        raise AssertionError(f"the node {self.second} within {PATIENCE} s")

    def wait(self, kind: str, name: str, holds: Any) -> Object:
        return client.wait(kind, name, holds, timeout=PATIENCE, namespace=SPACE)


def pod(name: str, **spec: Any) -> Object:
    main = {"name": "main", "image": "busybox:1.36", "command": ["sleep", "10000"]}
    main |= {"resources": spec.pop("resources")} if "resources" in spec else {}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [main], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def on(node: str) -> Object:
    return {"nodeSelector": {"kubernetes.io/hostname": node}}


def pending(drill: Drill) -> dict[str, str]:
    """Why pods are Pending: the scheduler's words, with the second node cordoned and the third tainted."""
    drill.kubectl("cordon", drill.second)
    drill.kubectl("taint", "node", drill.third, "gpu=true:NoSchedule")
    ask = {
        "cordoned": on(drill.second),
        "tainted": on(drill.third),
        "too-big": {"resources": {"requests": {"cpu": "1000"}}},
        "too-much-memory": {"resources": {"requests": {"memory": "100Ti"}}},
        "no-such-label": {"nodeSelector": {"disk": "ssd"}},
        "no-such-node": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": ["nobody"]}]}]}}}},
        "no-such-claim": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "nobody"}}]},
        "away-from-all": {"tolerations": [{"operator": "Exists"}], "nodeSelector": {"disk": "ssd"}},
    }  # fmt: skip
    for name, spec in ask.items():
        drill.create(pod(name, **spec))
    said = {}
    for name in ask:
        found = drill.wait("pod", name, lambda p: _condition(p, "PodScheduled").get("reason") == "Unschedulable")
        said[name] = drill.anonymous(_condition(found, "PodScheduled")["message"])
    drill.kubectl("delete", "pod", *ask)
    drill.kubectl("uncordon", drill.second)
    drill.kubectl("taint", "node", drill.third, "gpu-")
    return said


def drained(drill: Drill) -> Object:
    """A node emptied with kubectl: refused for a bare pod, done by force; the others take the Deployment's pods."""
    drill.create(yaml.safe_load(DEPLOYMENT))
    drill.kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE}s")
    spread = sorted(drill.anonymous(p["spec"]["nodeName"]) for p in _web(drill))
    drill.create(pod("bare", **on(drill.second)))
    drill.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
                  "spec": {"template": {"spec": pod("x", **on(drill.second), restartPolicy="Never")["spec"]}}})  # fmt: skip
    drill.wait("pod", "bare", _running)
    drill.kubectl("wait", "pod", "-l", "job-name=job", "--for=condition=Ready", f"--timeout={PATIENCE}s")
    words = ("drain", drill.second, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={PATIENCE}s")
    refused = drill.anonymous(drill.kubectl(*words, fails=True))
    done = drill.anonymous(drill.kubectl(*words, "--force"))
    drill.kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE}s")
    left = json.loads(drill.kubectl("get", "pods", "-o", "json", "--field-selector", f"spec.nodeName={drill.second}"))
    drill.kubectl("delete", "job", "job")
    drill.kubectl("uncordon", drill.second)
    ours = [line for line in done.splitlines() if re.search(r"bare|web|job", line) and "evicted" in line]
    return {
        "spread": spread,
        "refused": [line for line in refused.splitlines() if "declare no controller" in line],
        "evicted": sorted(re.sub(r"job-\w{5}", "job-HASH", line) for line in ours),
        "left": [p["metadata"]["name"] for p in left["items"]],
    }


def lost(drill: Drill) -> Object:
    """The second machine loses its power under pods, TFJobs of every restart policy, and workflows."""
    drill.create(pod("alone", **on(drill.second)))
    for policy in POLICIES:
        drill.create(tfjob(policy.lower(), policy, drill.second))
    drill.create(workflow("step", drill.second, container=STEP))
    drill.create(workflow("resource", drill.second, resource=RESOURCE))
    drill.wait("pod", "alone", _running)
    for policy in POLICIES:
        drill.wait("pod", f"{policy.lower()}-worker-0", _running)
    for name in ("step", "resource"):
        drill.wait("workflow", name, _runs_a_pod)
    nodes.stop(drill.engine, drill.folder, drill.second)
    # The taint with NoExecute comes last, by a controller of its own.
    node = drill.node_until(lambda n: sum(t["effect"] == "NoExecute" for t in n["spec"].get("taints") or ()) == 2)
    found: Object = {
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in node["status"]["conditions"]},
        "taints": sorted((t["key"], t["effect"]) for t in node["spec"]["taints"]),
    }
    found["tfjobs"] = {}
    for policy in POLICIES:
        ended = drill.wait("tfjob", policy.lower(), lambda j: j.get("status", {}).get("completionTime"))
        found["tfjobs"][policy] = [
            (c["type"], c["status"], c["reason"], c["message"]) for c in ended["status"]["conditions"]
        ]
    found["workflows"] = {}
    for name in ("step", "resource"):
        status = drill.wait("workflow", name, lambda w: w.get("status", {}).get("finishedAt"))["status"]
        attempts = [n for n in status["nodes"].values() if n["type"] == "Pod"]
        found["workflows"][name] = {
            "phase": status["phase"],
            "message": status.get("message"),
            "attempts": [(n["phase"], n.get("message")) for n in sorted(attempts, key=lambda n: n["startedAt"])],
        }
    drill.kubectl("wait", "pod", "alone", "--for=delete", f"--timeout={PATIENCE}s")
    drill.kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE}s")
    found["web"] = sorted({drill.anonymous(p["spec"]["nodeName"]) for p in _web(drill)})
    nodes.start(drill.engine, drill.folder, drill.second)
    node = json.loads(drill.kubectl("get", "node", drill.second, "-o", "json"))
    found["back"] = {"taints": node["spec"].get("taints"), "ready": _condition(node, "Ready")["reason"]}
    return found


def tfjob(name: str, policy: str, node: str) -> Object:
    main = {"name": "tensorflow", "image": "busybox:1.36", "command": ["sleep", "10000"]}
    worker = {"replicas": 1, "restartPolicy": policy, "template": {"spec": {"containers": [main], **on(node)}}}
    return {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": name},
            "spec": {"tfReplicaSpecs": {"Worker": worker}}}  # fmt: skip


def workflow(name: str, node: str, **work: Object) -> Object:
    """Its one step runs on `node`, as long as that is there."""
    there = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    place = {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": there}]}
    }
    for part in work.values():
        if "env" in part:
            part["env"][1]["value"] = node
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name},
            "spec": {"entrypoint": "work", "templates": [{"name": "work", "affinity": place, **work}]}}  # fmt: skip


def answers(folder: ClusterFolder, engine: ModuleType) -> Object:
    drill = Drill(folder, engine)
    found = {"pending": pending(drill), "drained": drained(drill)}
    cluster.up(folder.root.name)  # returns when the operators, which may have been drained too, are ready elsewhere
    return found | {"lost": lost(drill)}


def _web(drill: Drill) -> list[Object]:
    found = json.loads(drill.kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]
    return [p for p in found if "deletionTimestamp" not in p["metadata"]]


def _condition(obj: Object, type: str) -> Object:
    return next((c for c in obj.get("status", {}).get("conditions") or () if c["type"] == type), {})


def _running(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Running"


def _runs_a_pod(workflow: Object) -> bool:
    found = workflow.get("status", {}).get("nodes") or {}
    return any(n["type"] == "Pod" and n["phase"] == "Running" for n in found.values())
