"""Which pods belong to a workflow: its steps' own, and those of what its steps have made (TFJobs, Jobs, Deployments).

A pod's owners are followed upwards. What a step made without an ownerReference is known by the manifest in the step's
template: its kind, and its name with the step's parameters filled in. A generated name says less, since each run of a workflow
makes one like it: such an object belongs to the step that ran when it was made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from labkit import client
from labkit.errors import LabError
from labkit.plotting import Pod
from labkit.plotting.labels import moment
from labkit.plotting.labels import name as task_name

Object = dict[str, Any]
LABEL = "workflows.argoproj.io/workflow"
RANDOM = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}$")  # what the API server appends to a generateName


@dataclass(frozen=True)
class Made:
    """What a step makes: its kind and the pattern of its name, and for a generated name when the step ran (seconds since the
    epoch; `until` is None while it runs)."""

    kind: str
    name: re.Pattern[str]
    since: float | None = None
    until: float | None = None

    def fits(self, kind: str, name: str, created: float | None, *, by_owner: bool = False) -> bool:
        """Whether it is an object of that kind and name. `created` is when the object was made, or (`by_owner`) a pod of it."""
        if kind != self.kind or not self.name.fullmatch(name):
            return False
        if self.since is None or created is None:
            return True
        return self.since <= created and (by_owner or self.until is None or created <= self.until)


class Family:
    """The relatives of one workflow; what was found out about an owner is kept."""

    def __init__(self, namespace: str, workflow: Object) -> None:
        self.namespace = namespace
        self.known: dict[str, bool] = {}  # by the owner's uid
        self.made: list[Made] = []  # what its steps make
        self.update(workflow)

    def update(self, workflow: Object) -> bool:
        """Take a newer version of the workflow: its nodes say what its steps make. Returns whether that is more than before."""
        if workflow is getattr(self, "workflow", None):
            return False
        self.workflow = workflow
        self.name = str(workflow["metadata"]["name"])
        before, self.made = self.made, made(workflow)
        if self.made == before:
            return False
        self.known = {uid: True for uid, belongs in self.known.items() if belongs}
        return True

    def has(self, thing: Object) -> bool:
        """Whether a pod, or another object, belongs to the workflow."""
        labels = thing["metadata"].get("labels") or {}
        if LABEL in labels:
            return bool(labels[LABEL] == self.name)
        references = thing["metadata"].get("ownerReferences") or []
        if not references:
            return self.makes(str(thing.get("kind", "")), str(thing["metadata"]["name"]), _created(thing))
        return any(self.owned_by(reference, _created(thing)) for reference in references)

    def owned_by(self, reference: Object, created: float | None) -> bool:
        """Whether the owner of what was made then belongs to the workflow, or is the workflow."""
        if reference["kind"] == "Workflow":
            return bool(reference["name"] == self.name and reference["uid"] == self.workflow["metadata"]["uid"])
        if reference["uid"] not in self.known:
            owner = self.owner(reference)
            if owner is None:  # gone: its name is all that is left of it
                return self.makes(reference["kind"], reference["name"], created, by_owner=True)
            self.known[reference["uid"]] = self.has(owner)
        return self.known[reference["uid"]]

    def owner(self, reference: Object) -> Object | None:
        """The owner itself; None where it is gone or the user may not read it."""
        try:
            found = client.get(reference["kind"].lower(), reference["name"], namespace=self.namespace)
        except LabError:
            return None
        if found is None or found["metadata"]["uid"] != reference["uid"]:
            return None
        return found | {"kind": reference["kind"]}

    def makes(self, kind: str, name: str, created: float | None, *, by_owner: bool = False) -> bool:
        """Whether a step has made the object of that kind and name. A ReplicaSet is its Deployment's."""
        if kind == "ReplicaSet":
            kind, name = "Deployment", name.rpartition("-")[0]
        return any(made.fits(kind, name, created, by_owner=by_owner) for made in self.made)

    def node(self, pod: str) -> Object | None:
        """The workflow's node that a pod runs, by the number that both names end with."""
        nodes = (self.workflow.get("status") or {}).get("nodes") or {}
        number = pod.rpartition("-")[2]
        found: Object | None = nodes.get(f"{self.name}-{number}") or nodes.get(pod)
        return found


def _created(thing: Object) -> float | None:
    stamp = thing["metadata"].get("creationTimestamp")
    return moment(str(stamp)) if stamp else None


def made(workflow: Object) -> list[Made]:
    """What the steps that have begun make."""
    status = workflow.get("status") or {}
    stored = list((status.get("storedTemplates") or {}).values())
    templates = {t.get("name"): t for t in [*stored, *((workflow.get("spec") or {}).get("templates") or [])]}
    found = []
    for node in (status.get("nodes") or {}).values():
        template = templates.get(node.get("templateName")) or {}
        manifest = (template.get("resource") or {}).get("manifest")
        if manifest and node.get("type") == "Pod":
            values = {p["name"]: p.get("value") for p in (node.get("inputs") or {}).get("parameters") or []}
            if its := _made(manifest, values, workflow, node):
                found.append(its)
    return found


def _made(manifest: str, values: dict[str, Any], workflow: Object, node: Object) -> Made | None:
    """The manifest is no YAML before its variables are filled in, so its lines are read."""
    arguments = (workflow.get("spec") or {}).get("arguments") or {}
    known = {f"inputs.parameters.{name}": value for name, value in values.items()}
    known |= {f"workflow.parameters.{p['name']}": p.get("value") for p in arguments.get("parameters") or []}
    known["workflow.name"] = workflow["metadata"]["name"]
    filled = re.sub(r"{{\s*([\w.-]+)\s*}}", lambda m: str(known.get(m[1], m[0])), manifest)
    kind = re.search(r"^kind:\s*[\"']?(\w+)", filled, re.MULTILINE)
    name = re.search(r"^metadata:.*?\b(name|generateName):\s*[\"']?(.*?)[\"']?\s*[,}\n]", filled + "\n", re.S | re.M)
    if not kind or not name or name[2].startswith("{{"):
        return None
    parts = [re.escape(part) for part in re.split(r"{{.*?}}", name[2])]
    if name[1] == "name":
        return Made(kind[1], re.compile(".+".join(parts)))
    since, until = (moment(node[key]) if node.get(key) else None for key in ("startedAt", "finishedAt"))
    return Made(kind[1], re.compile(".+".join(parts) + "[a-z0-9]+"), since, until)


def label(pod: Pod, family: Family, ordinal: int = 0) -> str:
    """What a pod is called in the figure: the task that it runs (`train mlp`), or what it is of what a task has made
    (`cnn worker 0`, `first 2`)."""
    node = family.node(pod.name)
    if node is not None:
        return task_name(node)
    kind, owner, generated = pod.owner
    if not owner:
        return pod.name.removeprefix(f"{family.name}-")
    rest = pod.name.removeprefix(f"{owner}-")
    if random := re.fullmatch(r"(?:(\d+)-)?[a-z0-9]{5}", rest):
        rest = random[1] or (str(ordinal) if ordinal else "")
    if kind == "ReplicaSet":
        owner = owner.rpartition("-")[0]
    short = generated.rstrip("-") if generated else RANDOM.sub("", owner)
    short = short.removeprefix(f"{family.name}-")
    return f"{short} {rest.replace('-', ' ')}".strip()


def name_all(pods: dict[str, Pod], family: Family) -> None:
    """Give each pod its label; those that a controller names at random are counted."""
    count: dict[tuple[str, str], int] = {}
    for pod in sorted((p for p in pods.values() if p.changes), key=lambda p: (p.began, p.name)):
        kind, owner, _ = pod.owner
        base = (kind, owner.rpartition("-")[0] if kind == "ReplicaSet" else owner)
        count[base] = count.get(base, 0) + 1
        pod.label = label(pod, family, count[base])
