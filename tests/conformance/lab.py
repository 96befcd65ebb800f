"""What a case may use: a namespace of either engine, through the official client's transport and kubectl.

`Lab.call` sends what no typed method would (raw patches, broken bodies) and shows what came back; `until` watches, so that a
case never polls. The Argo Server is behind the same address on the embedded engine, behind a forwarded port on a real one.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config

from .normal import Normal

KUBECTL = str(Path(sys.executable).with_name("kubectl"))
Object = dict[str, Any]
Wanted = Callable[[Object], bool]  # whether an event is the one that is waited for
NEVER = "1970-01-01T00:00:00Z"  # when a program started that could not be started
GROUPS = {
    "deployments": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "jobs": "apis/batch/v1",
    "endpointslices": "apis/discovery.k8s.io/v1",
    "tfjobs": "apis/kubeflow.org/v1",
    "workflows": "apis/argoproj.io/v1alpha1",
    "workflowtemplates": "apis/argoproj.io/v1alpha1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
}
KINDS = {
    "Pod": "pods",
    "Service": "services",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "Job": "jobs",
    "TFJob": "tfjobs",
    "Workflow": "workflows",
    "WorkflowTemplate": "workflowtemplates",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass
class Answer:
    """What a server said: `body` is the object, or the text where it was none."""

    code: int
    body: Any
    warnings: list[str] = field(default_factory=list)


@dataclass
class Engine:
    """A cluster: its kubeconfig, the base URL of its Argo Server, where kubectl may keep its cache."""

    kubeconfig: Path
    argo: str
    cache: Path
    patience: float = 1.0  # how many times as long as usual to wait
    api: client.ApiClient = field(init=False)
    unchecked: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        self.api = config.new_client_from_config(str(self.kubeconfig))
        self.api.rest_client.pool_manager.connection_pool_kw["maxsize"] = 32
        # argo-server signs its own certificate; the tunnel to it is the API server's.
        self.unchecked = urllib3.PoolManager(maxsize=32, cert_reqs=ssl.CERT_NONE)

    @property
    def url(self) -> str:
        return self.api.configuration.host

    def request(self, method: str, url: str, body: Any = None, content_type: str = "", **options: Any) -> Any:
        headers = {"Accept": "application/json"}
        for setting in self.api.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
            body = body if isinstance(body, str) else json.dumps(body)
        headers |= options.pop("headers", {})
        pool = self.api.rest_client.pool_manager if url.startswith(self.url) else self.unchecked
        return pool.request(
            method, url, body=body, headers=headers, timeout=options.pop("timeout", 60), retries=False, **options
        )


@dataclass
class Lab:
    """One case's namespace `ns` on an engine."""

    engine: Engine
    ns: str
    normal: Normal = field(init=False)

    def __post_init__(self) -> None:
        self.normal = Normal({self.ns: "NS"})

    # --- requests

    def path(self, resource: str, name: str = "") -> str:
        """`pods` or `pods/x/status`, in this namespace; a path that begins with / is taken as it is."""
        if resource.startswith("/"):
            return f"{resource}/{name}" if name else resource
        kind, _, rest = resource.partition("/")
        made = f"/{GROUPS.get(kind, 'api/v1')}/namespaces/{self.ns}/{kind}"
        return "/".join(p for p in (made, rest, name) if p)

    def call(self, method: str, resource: str, body: Any = None, content_type: str = "", **query: Any) -> Answer:
        url = self.engine.url + self.path(resource) + (f"?{urlencode(query, doseq=True)}" if query else "")
        return self._answer(self.engine.request(method, url, body, content_type))

    def argo(self, method: str, path: str, body: Any = None, **query: Any) -> Answer:
        """The Argo Server: `workflows`, `workflows/NAME/stop`, ... below /api/v1, with {ns} for the namespace."""
        url = f"{self.engine.argo}/api/v1/{path.format(ns=self.ns)}" + (f"?{urlencode(query)}" if query else "")
        return self._answer(self.engine.request(method, url, body))

    def _answer(self, response: Any) -> Answer:
        text = response.data.decode()
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        warnings = response.headers.getlist("Warning") if "Warning" in response.headers else []
        return Answer(response.status, body, warnings)

    def says(self, answer: Answer) -> Any:
        """What a client is told: code and Status of a refusal, or code and object."""
        found: Object = {"code": answer.code}
        if answer.warnings:
            found["warnings"] = answer.warnings
        body = answer.body
        if isinstance(body, dict) and body.get("kind") == "Status":
            body = {k: body[k] for k in ("status", "reason", "message", "details") if k in body}
        return self.normal.value(found | {"body": body})

    def refused(self, method: str, resource: str, body: Any = None, content_type: str = "", **query: Any) -> Any:
        """`says` of a call that must not succeed."""
        answer = self.call(method, resource, body, content_type, **query)
        if answer.code < 400:
            return {"code": answer.code, "accepted": True} | (
                {"warnings": self.normal.value(answer.warnings)} if answer.warnings else {}
            )
        return self.says(answer)

    def create(self, *objects: Object) -> Object:
        """Create all, and give what the server made of the last one."""
        made: Object = {}
        for obj in objects:
            answer = self.call("POST", KINDS[obj["kind"]], obj)
            assert answer.code == 201, answer.body
            made = answer.body
        return made

    def get(self, resource: str, **query: Any) -> Object:
        answer = self.call("GET", resource, **query)
        assert answer.code == 200, answer.body
        return answer.body

    def items(self, resource: str, selector: str = "") -> list[Object]:
        found = self.get(resource, **({"labelSelector": selector} if selector else {}))["items"]
        return sorted(found, key=lambda o: o["metadata"]["name"])

    def patch(self, resource: str, body: Any, content_type: str = MERGE_PATCH, **query: Any) -> Object:
        answer = self.call("PATCH", resource, body, content_type, **query)
        assert answer.code == 200, answer.body
        return answer.body

    def delete(self, resource: str, **options: Any) -> Answer:
        return self.call("DELETE", resource, options or None)

    def kubectl(self, *arguments: str, stdin: str = "") -> Object:
        """What kubectl prints: `{code, out, err}`, in normal form by line."""
        done = self.run(*arguments, stdin=stdin)
        found = {"code": done.returncode, "out": self.normal.printed(done.stdout)}
        err = [line for line in self.normal.printed(done.stderr) if "version difference" not in line and line]
        return found | ({"err": err} if err else {})

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [KUBECTL, "--kubeconfig", str(self.engine.kubeconfig), "--cache-dir", str(self.engine.cache)]
        # An environment of its own: while a thread execs with the process's, another may change it (Bad address).
        return subprocess.run(
            [*command, "-n", self.ns, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            env=dict(os.environ),
        )

    # --- waiting

    def watch(self, resource: str, seconds: float = 60, **query: Any) -> Iterator[Object]:
        """Events `{type, object}` of a watch, from the beginning if no resourceVersion is asked for."""
        seconds *= self.engine.patience
        options = {"watch": "true", "timeoutSeconds": max(1, int(seconds))} | query
        url = f"{self.engine.url}{self.path(resource)}?{urlencode(options)}"
        response = self.engine.request("GET", url, preload_content=False, timeout=seconds + 5)
        try:
            rest = b""
            for chunk in response.stream(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        finally:
            response.close()

    def until(
        self, resource: str, name: str, holds: Callable[[Object], Any], seconds: float = 60, **query: Any
    ) -> Object:
        """The object, once `holds` is true of it."""
        seen: Object = {}
        options = {"fieldSelector": f"metadata.name={name}"} | query
        for event in self.watch(resource, seconds, **options):
            seen = event["object"]
            if event["type"] != "DELETED" and holds(seen):
                return seen
        raise AssertionError(f"{resource}/{name} within {seconds} s: {json.dumps(seen.get('status', seen))[:2000]}")

    def gone(self, resource: str, name: str, seconds: float = 60) -> None:
        """Return when there is no such object."""
        deadline = time.monotonic() + seconds * self.engine.patience
        while time.monotonic() < deadline:
            answer = self.call("GET", f"{resource}/{name}")
            if answer.code == 404:
                return
            options = {"fieldSelector": f"metadata.name={name}", "resourceVersion": _version(answer)}
            if any(event["type"] == "DELETED" for event in self.watch(resource, 5, **options)):
                return
        raise AssertionError(f"{resource}/{name} is still there after {seconds} s")

    def phase(self, name: str, *phases: str, seconds: float = 60) -> Object:
        return self.until("pods", name, lambda pod: pod["status"].get("phase") in phases, seconds)

    def ended(self, name: str, seconds: float = 60) -> Object:
        return self.phase(name, "Succeeded", "Failed", seconds=seconds)

    def condition(self, resource: str, name: str, kind: str, status: str = "True", seconds: float = 60) -> Object:
        """The object once it has that condition."""

        def holds(obj: Object) -> bool:
            found = obj.get("status", {}).get("conditions") or []
            return any(c["type"] == kind and c["status"] == status for c in found)

        return self.until(resource, name, holds, seconds)

    def workflow(self, name: str, *phases: str, seconds: float = 120) -> Object:
        wanted = phases or ("Succeeded", "Failed", "Error")
        return self.until("workflows", name, lambda wf: wf.get("status", {}).get("phase") in wanted, seconds)

    # --- views

    def events(self, name: str, *awaited: str, kind: str = "Pod", but: tuple[str, ...] = ()) -> list[str]:
        """`Type Reason: message (source)` of the object's events, each once, sorted, all but those of the reasons `but`.

        Events are written some time after what they tell. So this waits until each of `awaited` is there (a reason, or
        `Reason: part of the message`; the last one of each component is enough, which writes its events in order), and
        for a pod that is there until its scheduling and each start that its status tells of has its event.
        """
        assert awaited or kind == "Pod", "without an event to wait for the list is that of a moment"
        wanted = [_said(words) for words in awaited] + (self._of_pod(name) if kind == "Pod" else [])
        field_selector = f"involvedObject.name={name},involvedObject.kind={kind}"
        self._until_events(field_selector, wanted)
        found = set()
        for event in self.get("events", fieldSelector=field_selector)["items"]:
            source = event.get("source", {}).get("component") or event.get("reportingComponent")
            if event["reason"] not in but and "kube-api-access" not in event["message"]:  # a node that was in haste
                found.add(self.normal.text(f"{event['type']} {event['reason']}: {event['message']} ({source})"))
        return sorted(found)

    def _of_pod(self, name: str) -> list[Wanted]:
        """The events that must come of the pod as it is now."""
        answer = self.call("GET", f"pods/{name}")
        if answer.code == 404:
            return []
        pod, status = answer.body, answer.body["status"]
        found = [_said("Scheduled")] if pod["spec"].get("nodeName") else []
        for field_name, statuses in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
            started = [s["name"] for s in status.get(statuses) or () if _has_started(s)]
            found += [_said("Started", f"spec.{field_name}{{{container}}}") for container in started]
        return found

    def _until_events(self, field_selector: str, wanted: list[Wanted], seconds: float = 30) -> None:
        missing = dict(enumerate(wanted))
        for event in self.watch("events", seconds, fieldSelector=field_selector) if missing else ():
            missing = {i: holds for i, holds in missing.items() if not holds(event["object"])}
            if not missing:
                return
        assert not missing, f"{[w.__doc__ for w in missing.values()]} of {field_selector}: not within {seconds} s"

    def view(self, obj: Any, *only: str) -> Any:
        """The normal form of an object, or of the fields `only` (`status.phase`)."""
        if not only:
            return self.normal.value(obj)
        return {path: self.normal.value(_at(obj, path)) for path in only}

    def log(self, name: str, **query: Any) -> Any:
        return self.normal.value(self.call("GET", f"pods/{name}/log", **query).body)


def _said(words: str, field_path: str = "") -> Wanted:
    """Whether an event has that reason, and those words in its message or that field path."""
    reason, _, message = words.partition(": ")

    def holds(event: Object) -> bool:
        about = event["involvedObject"].get("fieldPath", "")
        return event["reason"] == reason and message in event["message"] and field_path in ("", about)

    holds.__doc__ = f"{words} {field_path}".strip()
    return holds


def _has_started(status: Object) -> bool:
    """Whether the container's program runs or ran, this time or the time before."""
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        ended = state.get("terminated") or {}
        if "running" in state or (ended.get("startedAt") or NEVER) != NEVER:
            return True
    return False


def _version(answer: Answer) -> str:
    return answer.body.get("metadata", {}).get("resourceVersion", "0")


def _at(obj: Any, path: str) -> Any:
    for part in path.split("."):
        obj = (obj or {}).get(part)
    return obj
