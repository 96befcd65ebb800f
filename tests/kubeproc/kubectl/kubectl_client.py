"""kubectl, run and read: what it prints as rows, and the objects that the tests give it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KUBECTL = str(Path(sys.executable).with_name("kubectl"))
SECONDS = 30


@dataclass
class Result:
    code: int
    out: str
    err: str


@dataclass
class Kubectl:
    """Runs kubectl in one namespace; calling it gives what it prints, and fails the test when it fails."""

    environment: dict[str, str]
    namespace: str = "default"

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Result:
        command = [KUBECTL, "-n", self.namespace, *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=SECONDS, env=self.environment | environment
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> str:
        done = self.run(*arguments, stdin=stdin, **environment)
        assert done.code == 0, f"kubectl {' '.join(arguments)}: {done.err}"
        return done.out

    def json(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any], verb: str = "apply") -> str:
        return self(verb, "-f", "-", stdin="\n---\n".join(json.dumps(o) for o in objects))

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        command = [KUBECTL, "-n", self.namespace, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.environment)


def until_event(kubectl: Kubectl, reason: str) -> None:
    """Return once there is an event of that reason: a node writes its events some time after what they tell."""
    watching = kubectl.started("get", "events", "-w", "--field-selector", f"reason={reason}", "--no-headers")
    assert watching.stdout
    try:
        assert reason in watching.stdout.readline()
    finally:
        watching.kill()
        watching.communicate()


def table(text: str) -> list[dict[str, str]]:
    """The rows of what `kubectl get` prints, by column."""
    lines = text.rstrip("\n").split("\n")
    heads = [(m.group().strip(), m.start()) for m in re.finditer(r"\S+(?: \S+)*", lines[0])]
    ends = [start for _, start in heads[1:]] + [None]
    return [
        {name: line[start:end].strip() for (name, start), end in zip(heads, ends, strict=True)} for line in lines[1:]
    ]


def pod(name: str, script: str = "sleep 100", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, "restartPolicy": "Never"} | spec,
    }


def deployment(name: str = "web", replicas: int = 1, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "busybox", "command": ["sleep", "100"]} | container
    spec = {"containers": [main], "terminationGracePeriodSeconds": 0}
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def tfjob(name: str) -> dict[str, Any]:
    container = {"name": "tensorflow", "image": "busybox", "command": ["true"]}
    worker = {"replicas": 1, "template": {"spec": {"containers": [container]}}}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name},
        "spec": {"tfReplicaSpecs": {"Worker": worker}},
    }


def workflow(name: str) -> dict[str, Any]:
    template = {"name": "main", "container": {"image": "busybox", "command": ["echo", "hi"]}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"entrypoint": "main", "templates": [template]},
    }


def without_user(kubectl: Kubectl) -> str:
    """A kubeconfig that knows the cluster but brings no credentials."""
    source = Path(kubectl.environment["KUBECONFIG"])
    config = json.loads(source.read_text())
    config["users"] = [{"name": u["name"], "user": {}} for u in config["users"]]
    path = source.with_name("anonymous")
    path.write_text(json.dumps(config))
    return str(path)
