"""The YAML of workflows/: known fields only, by Kubernetes' own schemas and the operators' models, manifests included."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from kubeproc.api.schema import validation
from kubeproc.resources import by_kind
from labkit.course.pipeline import aggregate, ingest, present, select
from labkit.course.training import options
from labkit.engines import nodes

FOLDER = Path(__file__).parents[1] / "workflows"
FILES = sorted(FOLDER.rglob("*.yaml"))
SAMPLES = {"inputs.parameters.kind": "Service", "inputs.parameters.version": "v1", "workflow.name": "end-to-end-x1y2z"}
LONGEST = len("-worker-0")


def documents(path: Path) -> list[dict]:
    return list(yaml.safe_load_all(path.read_text()))


def workflow() -> dict:
    return documents(FOLDER / "end-to-end.yaml")[0]


def substituted(text: str) -> str:
    """The text as Argo makes it: the workflow's parameters with their defaults, some value for what is only known later."""
    values = {f"workflow.parameters.{p['name']}": p["value"] for p in workflow()["spec"]["arguments"]["parameters"]}

    def value(tag: re.Match) -> str:
        name = tag[1].strip()
        return "0" if name.startswith("=") else (SAMPLES | values).get(name, "mlp")

    return re.sub(r"{{(.+?)}}", value, text)


def manifests() -> dict[str, dict]:
    """The objects that the resource templates make."""
    templates = (template for template in workflow()["spec"]["templates"] if "resource" in template)
    return {template["name"]: yaml.safe_load(substituted(template["resource"]["manifest"])) for template in templates}


def check(obj: dict) -> None:
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None, f"{obj['apiVersion']} {obj['kind']}"
    validation.decoded(resource, obj, "Strict", [])
    if "." not in obj["apiVersion"].partition("/")[0] or obj["apiVersion"].split("/")[0].endswith("k8s.io"):
        kubernetes_validate.validate(obj, "1.34", strict=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_document_has_known_fields_only(path):
    for document in documents(path):
        check(document)


def test_a_misspelt_field_would_be_found():
    pod = documents(FOLDER / "hello-pod.yaml")[0]
    pod["spec"]["restartpolicy"] = pod["spec"].pop("restartPolicy")
    with pytest.raises(Exception, match="restartpolicy"):
        check(pod)


@pytest.mark.parametrize("name", ["train", "service", "replicas"])
def test_what_the_workflow_makes_has_known_fields_only(name):
    check(manifests()[name])


def test_names_stay_within_what_a_pod_and_a_service_may_have():
    found = manifests()
    job = found["train"]["metadata"]["generateName"] + "x1y2z"
    assert len(job) + LONGEST <= 63
    for name in (job, found["service"]["metadata"]["name"]):
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)


def test_the_service_finds_the_pods_of_its_deployment():
    found = manifests()
    pod = found["replicas"]["spec"]["template"]
    assert found["service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    ports = [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
    assert found["service"]["spec"]["ports"][0]["targetPort"] in ports
    assert found["service"]["metadata"]["name"] == found["replicas"]["metadata"]["name"]


def test_only_the_chief_of_a_training_mounts_the_disk():
    replicas = manifests()["train"]["spec"]["tfReplicaSpecs"]
    assert {kind for kind, spec in replicas.items() if "volumes" in spec["template"]["spec"]} == {"Chief"}
    arguments = {tuple(spec["template"]["spec"]["containers"][0]["args"]) for spec in replicas.values()}
    assert len(arguments) == 1  # TF_CONFIG alone makes the difference
    parsed = options.parse(list(arguments.pop()))
    assert (parsed.model, parsed.steps, parsed.fail_at) == ("mlp", 300, 0)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("tfjob-*.yaml")), ids=lambda path: path.name)
def test_the_arguments_of_the_tfjobs_are_the_programs(path):
    for spec in documents(path)[0]["spec"]["tfReplicaSpecs"].values():
        options.parse(spec["template"]["spec"]["containers"][0]["args"])


@pytest.mark.parametrize("step", [ingest, select, aggregate, present], ids=lambda step: step.__name__)
def test_a_step_of_the_workflow_runs_its_program_and_reads_outputs_where_that_leaves_them(step):
    name = step.__name__.rpartition(".")[2]
    template = next(each for each in workflow()["spec"]["templates"] if each["name"] == name)
    assert template["container"]["command"] == ["python", "-m", step.__name__]
    assert all(p["valueFrom"]["path"].startswith("/tmp/outputs/") for p in template["outputs"]["parameters"])
    assert template["retryStrategy"]["limit"] == "3"


def test_the_caches_key_may_be_a_key_of_a_configmap():
    template = next(each for each in workflow()["spec"]["templates"] if each["name"] == "ingestion")
    assert re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", substituted(template["memoize"]["key"]))


def test_the_role_lets_the_steps_make_what_they_make():
    role = documents(FOLDER / "access.yaml")[0]
    allowed = {each for rule in role["rules"] for each in product(rule["apiGroups"], rule["resources"], rule["verbs"])}
    for obj in [*manifests().values(), *documents(FOLDER / "job-ingest.yaml")]:
        group = obj["apiVersion"].partition("/")[0] if "/" in obj["apiVersion"] else ""
        assert (group, f"{obj['kind'].lower()}s", "create") in allowed


def pod_templates(found: object) -> list[dict]:
    """Every pod template in there, at whatever depth."""
    if isinstance(found, list):
        return [spec for part in found for spec in pod_templates(part)]
    if not isinstance(found, dict):
        return []
    mine = [found["spec"]] if isinstance(found.get("spec"), dict) and "containers" in found["spec"] else []
    return [*mine, *(spec for part in found.values() for spec in pod_templates(part))]


def test_every_pod_leaves_a_silent_machine_after_ten_seconds():
    """In all YAML that labkit gives to a cluster, and in what the steps of a workflow make."""
    files = [*FILES, *(FOLDER.parent / "cluster").rglob("*.yaml")]
    plain = [d for path in files for d in documents(path) if isinstance(d, dict) and d.get("kind") != "Workflow"]
    specs = [workflow()["spec"], *pod_templates(plain), *pod_templates(list(manifests().values()))]
    assert len(specs) >= 14
    for spec in specs:
        left = {t["key"]: (t["operator"], t["effect"], t["tolerationSeconds"]) for t in spec["tolerations"]}
        assert left == dict.fromkeys((nodes.NOT_READY, nodes.UNREACHABLE), ("Exists", "NoExecute", 10))


def test_the_artifact_store_prefers_the_machine_that_does_not_fail():
    texts = (FOLDER.parent / "cluster" / "labkit-system" / "artifacts.yaml").read_text()
    store = next(d for d in yaml.safe_load_all(texts) if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    (wish,) = store["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    (term,) = wish["preference"]["matchExpressions"]
    assert term == {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}
