"""TFJobs: the training operator's webhook, the resource definition's few rules, and the job's host ports.

The stored spec gets no defaults, as upstream: unknown policies, negative replicas and lower-case replica types
are accepted here and interpreted by the controller. Source: pkg/webhooks/tensorflow of training-operator 1.9.
"""

from __future__ import annotations

from typing import Any

from kubeproc import ports
from kubeproc.admission.causes import Causes, dns1035_errors
from kubeproc.admission.pod_defaults import drop_null
from kubeproc.admission.refusals import refuse_spec
from kubeproc.api_errors import ApiError
from kubeproc.network import cluster_ips
from kubeproc.resources import TFJOBS
from kubeproc.store import Object, Store

CONTAINER = "tensorflow"
TYPES = ("PS", "Worker", "Chief", "Master", "Evaluator")
MANAGERS = ("kubeflow.org/training-operator", "kueue.x-k8s.io/multikueue")
SPECS = "spec.tfReplicaSpecs"
_DENIED = 'admission webhook "validator.tfjob.training-operator.kubeflow.org" denied the request: '


def replica_specs(spec: Object) -> dict[str, Object]:
    """The replica specs by their type in its usual spelling (`worker` is Worker)."""
    known = {t.lower(): t for t in TYPES}
    return {known.get(t.lower(), t): s or {} for t, s in (spec.get("tfReplicaSpecs") or {}).items()}


def replicas(spec: Object) -> int:
    """The number of replicas of a replica spec; a negative number means 0."""
    count = spec.get("replicas")
    return 1 if count is None else max(count, 0)


def default(store: Store, job: Object, old: Object | None) -> None:
    """Only the host ports are written, where pods share the host's: one for every replica, kept as long as the job exists."""
    if cluster_ips.enabled(store):
        return
    wanted = [f"{t.lower()}-{i}" for t, s in _valid_specs(job).items() for i in range(replicas(s))]
    had = ports.recorded(old) if old else {}
    new = [w for w in wanted if w not in had]
    given = had | dict(zip(new, ports.allocate(store, len(new)), strict=True))
    ports.write(job, {w: given[w] for w in [*had, *new]})


def _valid_specs(job: Object) -> dict[str, Object]:
    specs = replica_specs(job.get("spec") or {})
    return {t: s for t, s in specs.items() if isinstance(s, dict) and isinstance(s.get("replicas", 1), int | None)}


def validate(store: Store, job: Object, old: Object | None) -> None:
    _check_schema(job)
    found = _webhook(job, old)
    if found:
        words = found[0] if len(found) == 1 else "[" + ", ".join(dict.fromkeys(found)) + "]"
        raise ApiError(403, "Forbidden", _DENIED + words)
    for replica in (job["spec"].get("tfReplicaSpecs") or {}).values():
        drop_null((replica.get("template") or {}).get("spec") or {})
    refuse_spec(job["spec"], "TFJobSpec")


def _check_schema(job: Object) -> None:
    """The rules of the CustomResourceDefinition itself."""
    causes, spec = Causes(), job.get("spec") or {}
    if "spec" in job and spec.get("tfReplicaSpecs") is None:
        causes.required(SPECS)
    causes.settle(TFJOBS, job["metadata"]["name"])


def _webhook(job: Object, old: Object | None) -> list[str]:
    causes, spec = Causes(), job.get("spec") or {}
    name = job["metadata"]["name"]
    if errors := dns1035_errors(name):
        causes.invalid("metadata.name", name, "should match: " + ",".join(errors))
    manager = (spec.get("runPolicy") or {}).get("managedBy")
    if old is not None:
        before = ((old.get("spec") or {}).get("runPolicy") or {}).get("managedBy")
        causes.immutable("spec.runPolicy.managedBy", manager, before)
    if manager is not None:
        causes.one_of("spec.runPolicy.managedBy", manager, MANAGERS)
    if spec.get("tfReplicaSpecs") is None:
        causes.required(SPECS, "must be required")
    for kind, replica in (spec.get("tfReplicaSpecs") or {}).items():
        _replica(causes, replica or {}, f"{SPECS}[{kind}].template.spec.containers")
    if len({"Chief", "Master"} & set(spec.get("tfReplicaSpecs") or {})) > 1:
        causes.forbidden(SPECS, "must not have more than 1 Chief or Master role")
    return [f"{c['field']}: {c['message']}" for c in causes.found]


def containers(replica: Object) -> list[Any]:
    return ((replica.get("template") or {}).get("spec") or {}).get("containers") or []


def _replica(causes: Causes, replica: Object, path: str) -> None:
    if not containers(replica):
        causes.required(path, "must be specified")
    for i, container in enumerate(containers(replica)):
        if not container.get("image"):
            causes.required(f"{path}[{i}].image", "must be required")
    if all(c.get("name") != CONTAINER for c in containers(replica)):
        causes.required(path, f"must have at least one container with name {CONTAINER}")
