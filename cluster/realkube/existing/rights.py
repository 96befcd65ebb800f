"""The rights that a user needs in the namespace. The cluster is asked for each verb before anything is created.

There are two parts: what labkit and the course's manifests do themselves, and what `up` grants to the steps of a workflow by
a Role. Kubernetes lets a user create a Role only if the user has all rights in it (or may `escalate` and `bind` roles). A dry
run decides in the end: other authorizers than RBAC have rights that a Role can't grant.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from labkit.errors import LabError
from realkube.programs import Kube
from realkube.supply import versions

Object = dict[str, Any]
ROLE = versions.FOLDER / "existing" / "role.yaml"
ACCESS = versions.FOLDER.parent / "workflows" / "access.yaml"
RBAC = "rbac.authorization.k8s.io"
WORK = "get list watch create update patch delete"
# resource.group: verbs, of labkit's own calls and of kubectl's on the course's manifests. exec and port-forward are asked for
# by GET or by POST, as the client's transport goes.
USES = {
    "pods": WORK,
    "pods/log": "get",
    "pods/exec": "get create",
    "pods/portforward": "get create",
    "services": WORK,
    "configmaps": WORK,
    "secrets": "get create patch delete",
    "persistentvolumeclaims": WORK,
    "events": "get list watch",
    "deployments.apps": WORK,
    "deployments/scale.apps": "get patch",
    "replicasets.apps": "get list watch",
    "jobs.batch": WORK,
    "tfjobs.kubeflow.org": WORK,
    "workflows.argoproj.io": WORK,
    "workflowtemplates.argoproj.io": WORK,
    f"roles.{RBAC}": "get create patch delete",
    f"rolebindings.{RBAC}": "get create patch delete",
}


@dataclass(frozen=True)
class Right:
    """A verb on `resource.group` (`pods`, `pods/log`, `jobs.batch`), for one object where `name` is set."""

    verb: str
    resource: str
    name: str = ""

    def review(self, namespace: str) -> Object:
        """The object that asks the cluster whether the user has this right."""
        resource, _, group = self.resource.partition(".")
        resource, _, subresource = resource.partition("/")
        asked = {"verb": self.verb, "resource": resource, "subresource": subresource, "group": group}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked | {"namespace": namespace, "name": self.name}},
        }


def check(kube: Kube, namespace: str) -> None:
    """LabError where the namespace does not exist or the user lacks a right in it; the hint is what an administrator runs."""
    there = _exists(kube, namespace)
    own = lacking(kube, namespace, used())
    given = [] if _may_give_all(kube, namespace) else [r for r in lacking(kube, namespace, granted()) if r not in own]
    lacks = []
    if own:
        lacks.append(f"you may not: {listed(own)}")
    if given:
        lacks.append(f"the steps of a workflow need rights that you can grant only if you have them: {listed(given)}")
    if lacks:
        raise LabError(f"in the namespace {namespace} {'; '.join(lacks)}", remedy(kube, namespace, there))
    if there is False:
        raise LabError(f"there is no namespace {namespace}", f"kubectl create namespace {shlex.quote(namespace)}")
    _rehearse(kube, namespace)


def used() -> list[Right]:
    """What labkit and the course do."""
    return [Right(verb, resource) for resource, verbs in USES.items() for verb in verbs.split()]


def granted() -> list[Right]:
    """What the steps' Role gives: workflows/access.yaml."""
    return [
        Right(verb, f"{resource}.{group}".rstrip("."))
        for thing in yaml.safe_load_all(ACCESS.read_text())
        for rule in thing.get("rules", [])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def lacking(kube: Kube, namespace: str, wanted: Iterable[Right]) -> list[Right]:
    """Those of the rights that the user does not have, as the cluster answers."""
    asked = list(dict.fromkeys(wanted))
    reviews = "\n".join(json.dumps(right.review(namespace)) for right in asked)
    said = kube("create", "--validate=false", "-f", "-", "-o", "jsonpath={.status.allowed}{'\\n'}", input=reviews)
    answers = said.split()
    if len(answers) != len(asked):
        raise LabError(
            "the cluster does not say what you may do", "`kubectl auth can-i --list` must work with this context"
        )
    return [right for right, answer in zip(asked, answers, strict=True) if answer != "true"]


def listed(rights: Iterable[Right]) -> str:
    """`get, list pods; create jobs.batch`."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verbs.setdefault(right.resource, []).append(right.verb)
    return "; ".join(f"{', '.join(of)} {resource}" for resource, of in verbs.items())


def remedy(kube: Kube, namespace: str, there: bool | None) -> str:
    """What an administrator runs. `there`: whether the namespace exists, None where the user may not read that."""
    space = shlex.quote(namespace)
    steps = [
        f"kubectl apply -n {space} -f {shlex.quote(str(ROLE))}",
        f"kubectl create rolebinding course-user -n {space} --role=course-user {_subject(kube)}",
    ]
    if not there:
        steps.insert(0, f"kubectl create namespace {space}{' (unless it exists)' if there is None else ''}")
    return f"an administrator grants it: {'; '.join(steps)}"


def _subject(kube: Kube) -> str:
    """The user, as an option of `kubectl create rolebinding`."""
    try:
        name = json.loads(kube("auth", "whoami", "-o", "json", timeout=30))["status"]["userInfo"]["username"]
    except (LabError, KeyError, ValueError):  # a cluster may forbid even that
        return "--user=NAME"
    prefix = "system:serviceaccount:"
    option = f"--serviceaccount={name.removeprefix(prefix)}" if name.startswith(prefix) else f"--user={name}"
    return shlex.quote(option)


def _exists(kube: Kube, namespace: str) -> bool | None:
    """Whether the namespace exists; None where the user may not read that."""
    try:
        return bool(kube("get", "namespace", namespace, "--ignore-not-found", "-o", "name", timeout=30).strip())
    except LabError:
        return None


def _may_give_all(kube: Kube, namespace: str) -> bool:
    name = next(t["metadata"]["name"] for t in yaml.safe_load_all(ACCESS.read_text()) if t["kind"] == "Role")
    return not lacking(kube, namespace, [Right(verb, f"roles.{RBAC}", name) for verb in ("escalate", "bind")])


def _rehearse(kube: Kube, namespace: str) -> None:
    """Ask the cluster, by a dry run, whether it accepts the steps' Role."""
    role = next(thing for thing in yaml.safe_load_all(ACCESS.read_text()) if thing["kind"] == "Role")
    try:
        kube.apply(yaml.safe_dump(role), "-n", namespace, "--dry-run=server")
    except LabError as error:
        if f'namespaces "{namespace}" not found' in error.message:
            raise LabError(f"there is no namespace {namespace}", remedy(kube, namespace, there=False)) from error
        raise LabError(
            f"the steps of a workflow can't get their Role in the namespace {namespace}: {error.message}",
            remedy(kube, namespace, there=True),
        ) from error
