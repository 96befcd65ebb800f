"""Jobs: defaults, generated selector and labels, immutable fields.

Sources: pkg/apis/batch/{v1/defaults.go,validation}, pkg/registry/batch/job/strategy.go of Kubernetes 1.34.
"""

from __future__ import annotations

from kubeproc.admission.causes import Causes, label_errors
from kubeproc.admission.deployment import check_selector, check_template, default_template
from kubeproc.admission.pod_defaults import fill
from kubeproc.admission.refusals import refuse_spec
from kubeproc.resources import JOBS
from kubeproc.store import Object, Store

UID, NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
INDEX = "batch.kubernetes.io/job-completion-index"
OLD_UID, OLD_NAME = "controller-uid", "job-name"
_MODES = ("NonIndexed", "Indexed")


def default(store: Store, job: Object, old: Object | None) -> None:
    spec = job.setdefault("spec", {})
    for key in [k for k, v in spec.items() if v is None]:
        del spec[key]
    fill(spec, {"template": {}})
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill(
        spec,
        {
            "parallelism": 1,
            "backoffLimit": 6,
            "completionMode": "NonIndexed",
            "suspend": False,
            "manualSelector": False,
            "podReplacementPolicy": "TerminatingOrFailed",
        },
    )
    default_template(spec["template"], JOBS.kind)
    if old is None:
        job["status"] = {}
        if not spec["manualSelector"] and not spec.get("selector"):
            _select(job, spec)
        meta = job["metadata"]
        if not meta.get("labels") and spec["template"]["metadata"].get("labels"):
            meta["labels"] = dict(spec["template"]["metadata"]["labels"])


def _select(job: Object, spec: Object) -> None:
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    labels = spec["template"]["metadata"].get("labels") or {}
    own = {UID: uid, OLD_UID: uid, NAME: name, OLD_NAME: name}
    spec["template"]["metadata"]["labels"] = labels | own
    spec["selector"] = {"matchLabels": {UID: uid}}


def validate(store: Store, job: Object, old: Object | None) -> None:
    causes, spec = Causes(), job["spec"]
    for name in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"):
        causes.not_negative(f"spec.{name}", spec.get(name))
    causes.one_of("spec.completionMode", spec["completionMode"], _MODES)
    if spec["completionMode"] == "Indexed":
        _indexed(causes, job, spec)
    if not spec.get("selector"):
        causes.required("spec.selector")
    else:
        _selector(causes, job, spec, old)
        check_selector(causes, spec["selector"], spec["template"])
    check_template(causes, spec["template"], ("OnFailure", "Never"), "Job")
    policies = ("Failed", "TerminatingOrFailed")
    causes.one_of("spec.podReplacementPolicy", spec["podReplacementPolicy"], policies)
    if old is not None:
        _check_update(causes, spec, old)
    causes.settle(JOBS, job["metadata"]["name"])
    refuse_spec(spec, "JobSpec")


def _indexed(causes: Causes, job: Object, spec: Object) -> None:
    completions = spec.get("completions")
    if completions is None:
        causes.required("spec.completions", "when completion mode is Indexed")
        return
    if spec["parallelism"] > 100_000:
        words = "must be less than or equal to 100000 when completion mode is Indexed"
        causes.invalid("spec.parallelism", spec["parallelism"], words)
    name = job["metadata"]["name"]
    if completions > 0 and label_errors(f"{name}-{completions - 1}"):
        words = f"will not able to create pod with invalid DNS label: {name}-{completions - 1}"
        causes.invalid("metadata.name", name, words)


def _selector(causes: Causes, job: Object, spec: Object, old: Object | None) -> None:
    if spec["manualSelector"] or old is not None:
        return
    if spec["selector"] != {"matchLabels": {UID: job["metadata"]["uid"]}}:
        causes.invalid("spec.selector", spec["selector"], "`selector` not auto-generated")


def _check_update(causes: Causes, spec: Object, old: Object) -> None:
    before = old["spec"]
    if spec["completionMode"] == "Indexed" and spec.get("completions") != before.get("completions"):
        if spec.get("completions") is not None and spec["completions"] != spec["parallelism"]:
            words = "can only be modified in tandem with spec.parallelism"
            causes.invalid("spec.completions", spec.get("completions"), words)
    else:
        causes.immutable("spec.completions", spec.get("completions"), before.get("completions"))
    causes.immutable("spec.selector", spec.get("selector"), before.get("selector"))
    causes.immutable("spec.completionMode", spec["completionMode"], before["completionMode"])
    if spec["template"] != before["template"] and not _may_move(old, spec["template"], before["template"]):
        causes.immutable("spec.template", spec["template"], before["template"])


def _may_move(old: Object, new: Object, template: Object) -> bool:
    """The scheduling directives of a suspended Job that has not started can change, as queueing systems need."""
    started = (old.get("status") or {}).get("startTime")
    if not old["spec"].get("suspend") or started:
        return False
    free = ("nodeSelector", "affinity", "tolerations", "schedulingGates")
    kept = [{k: v for k, v in t["spec"].items() if k not in free} for t in (new, template)]
    return kept[0] == kept[1]
