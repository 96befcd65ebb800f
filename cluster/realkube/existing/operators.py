"""What must be installed on the cluster: by the kinds that its API serves, and by the operators' images where they may be seen.

The name of an API group is not enough, since other parts of Kubeflow serve kubeflow.org, too. Versions are read from the
Deployments in the operators' own namespaces; a user who may not read those gets a note that the version is unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.errors import LabError
from realkube.existing import rights
from realkube.programs import Kube
from realkube.supply import versions


@dataclass(frozen=True)
class Operator:
    """`kinds` of `api` are what it serves; `deployment` of `namespace` is where its image (`role` in versions.yaml) runs."""

    name: str
    title: str
    api: str
    kinds: frozenset[str]
    namespace: str
    deployment: str
    role: str


OPERATORS = (
    Operator(
        "training-operator",
        "the Training Operator",
        "kubeflow.org/v1",
        frozenset({"tfjobs"}),
        "kubeflow",
        "training-operator",
        "training-operator",
    ),
    Operator(
        "argo-workflows",
        "Argo Workflows",
        "argoproj.io/v1alpha1",
        frozenset({"workflows", "workflowtemplates", "workflowtaskresults"}),
        "argo",
        "workflow-controller",
        "workflow-controller",
    ),
)


def check(kube: Kube) -> None:
    """LabError where the cluster does not serve the kinds of the course's manifests; the hint says how to install them."""
    demand({operator.api: served(kube, operator.api) for operator in OPERATORS})


def served(kube: Kube, api: str) -> set[str]:
    """The kinds, in plural, of a group and version; none where the cluster does not have it."""
    try:
        said = kube("get", "--raw", f"/apis/{api}", timeout=30)
    except LabError as error:
        if "NotFound" in error.message or "could not find the requested resource" in error.message:
            return set()
        raise
    return {resource["name"] for resource in json.loads(said)["resources"]}


def demand(there: dict[str, set[str]]) -> None:
    """LabError where `{api: kinds}` lacks something."""
    lacking = {o: sorted(o.kinds - there[o.api]) for o in OPERATORS if o.kinds - there[o.api]}
    if lacking:
        lacks = [f"no {', '.join(kinds)} in {o.api}, which {o.title} brings" for o, kinds in lacking.items()]
        raise LabError(
            f"the cluster lacks what the course's manifests need: {'; '.join(lacks)}",
            f"an administrator installs it: {'; '.join(installation(o.name) for o in lacking)}",
        )


def installation(name: str) -> str:
    """The commands that install an operator, in the version that the course was made with."""
    base = versions.table()["operators"][name]["base"]
    if name == "argo-workflows":
        return f"kubectl create namespace argo && kubectl apply --server-side -n argo -k '{base}'"
    return f"kubectl apply --server-side -k '{base}'"


def images(kube: Kube) -> dict[str, str]:
    """`{operator: image}` of those that the user may read."""
    found = {}
    for operator in OPERATORS:
        asked = rights.Right("get", "deployments.apps", operator.deployment)
        if not rights.lacking(kube, operator.namespace, [asked]):
            said = kube(
                "get", "deployment", operator.deployment, "-n", operator.namespace, "--ignore-not-found", "-o", "json"
            )
            if said.strip():
                found[operator.name] = json.loads(said)["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def notes(seen: dict[str, str]) -> Iterator[str]:
    """Notes about the operators' images: those that differ from the course's, and those that the user may not read."""
    for operator in OPERATORS:
        tried = versions.table()["operators"][operator.name]["version"]
        image = seen.get(operator.name)
        if image is None:
            yield f"the version of {operator.title} is unknown, since you may not read it; the course was made with {tried}"
        else:
            yield from _difference(operator, image, tried)


def _difference(operator: Operator, image: str, tried: str) -> Iterator[str]:
    ours = versions.images()[operator.role].name
    has, wanted = _release(image), _release(ours)
    if has and wanted:
        if has[:2] != wanted[:2]:
            age = "newer" if has > wanted else "older"
            yield f"{operator.title} {_tag(image)} is {age} than what the course was made with, {tried}"
    elif _tag(image) != _tag(ours):  # the Training Operator's images are named by a commit
        yield f"{operator.title} runs the image {image}; the course was made with {ours} ({tried})"


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _release(image: str) -> tuple[int, ...] | None:
    """(3, 7, 9) of `quay.io/argoproj/workflow-controller:v3.7.9`; None where the tag is no release."""
    found = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?", _tag(image))
    return tuple(int(part or 0) for part in found.groups()) if found else None


def kubernetes_notes(minor: str) -> Iterator[str]:
    """A note about a Kubernetes version (`1.34`) that the course was not tried with."""
    tried = sorted(numbers(minor) for minor in versions.table()["kubernetes"]["nodes"])
    if not tried[0] <= numbers(minor) <= tried[-1]:
        age = "newer" if numbers(minor) > tried[-1] else "older"
        span = " to ".join(".".join(map(str, end)) for end in (tried[0], tried[-1]))
        yield f"Kubernetes {minor} is {age} than what the course was tried with, {span}"


def numbers(minor: str) -> tuple[int, ...]:
    """(1, 34) of `1.34`."""
    return tuple(map(int, minor.split(".")))
