"""The tables of fields beside the schemas of Kubernetes, of the training operator and of Argo, and beside what admission does."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeproc.api.schema import openapi_build
from kubeproc.api_errors import ApiError
from kubeproc.argo.validation.validate import Invalid, validate
from kubeproc.fields import Field, Table, first_refused, page, pod_fields, workflow_fields, workload_fields
from kubeproc.resources import CLAIMS, DEPLOYMENTS, JOBS, PODS, REPLICASETS, SERVICES, TFJOBS, Resource
from kubeproc.store import Store

Object = dict[str, Any]
CORE, META = "io.k8s.api.core.v1.", "io.k8s.apimachinery.pkg.apis.meta.v1."
ROOTS = {
    "PodSpec": CORE + "PodSpec",
    "ServiceSpec": CORE + "ServiceSpec",
    "PersistentVolumeClaimSpec": CORE + "PersistentVolumeClaimSpec",
    "DeploymentSpec": "io.k8s.api.apps.v1.DeploymentSpec",
    "ReplicaSetSpec": "io.k8s.api.apps.v1.ReplicaSetSpec",
    "JobSpec": "io.k8s.api.batch.v1.JobSpec",
    "TFJobSpec": "org.kubeflow.v1.TFJob.spec",
    "WorkflowSpec": "io.argoproj.v1alpha1.WorkflowSpec",
}
NOT_IN_THE_SCHEMA = {  # Argo's JSON has them, its OpenAPI document does not; its containers are those of an older Kubernetes
    "UserContainer": {"restartPolicyRules"},
    "ScriptTemplate": {"restartPolicyRules"},
    "Artifact": {"plugin"},
    "ArtifactLocation": {"plugin"},
    "WorkflowStep": set(workflow_fields.TYPES["WorkflowStep"]),
}


@functools.cache
def schemas() -> dict[str, Any]:
    found = openapi_build.definitions() | openapi_build.custom_definitions()
    job = "org.kubeflow.v1.TFJob"
    return found | named(job, found[job])


def named(name: str, schema: Object) -> dict[str, Any]:
    """A schema by its name; objects of a CustomResourceDefinition, which lie within one another, by their paths."""
    fields, below = dict(schema["properties"]), {}
    for field, value in fields.items():
        inner = value.get("additionalProperties") or value.get("items") or value
        if "properties" in inner:
            below |= named(f"{name}.{field}", inner)
            fields[field] = {"description": value.get("description", ""), "allOf": [{"$ref": f"/{name}.{field}"}]}
    return below | {name: schema | {"properties": fields}}


def target(schema: Object) -> str:
    """The name of the schema that a field's schema refers to, through lists, maps and descriptions."""
    while "$ref" not in schema:
        inner = schema.get("allOf", [None])[0] or schema.get("items") or schema.get("additionalProperties")
        if not isinstance(inner, dict):
            return ""
        schema = inner
    return schema["$ref"].rpartition("/")[2]


def pairs(tables: dict[str, Table], root: str) -> Iterator[tuple[str, str]]:
    """Every table below `root` with the schema that it describes."""
    waiting, seen = [(root, ROOTS[root])], set()
    while waiting:
        pair = waiting.pop()
        if pair in seen or not pair[1]:
            continue
        seen.add(pair)
        yield pair
        properties = schemas()[pair[1]].get("properties") or {}
        for name, entry in tables[pair[0]].items():
            if entry.type and name in properties:
                waiting.append((entry.type.removeprefix("{}"), target(properties[name])))


def tables_of(root: str) -> dict[str, Table]:
    return workflow_fields.TYPES if root == "WorkflowSpec" else workload_fields.TYPES


@pytest.mark.parametrize("root", ROOTS)
def test_every_field_of_a_schema_is_decided_on(root: str) -> None:
    for table, schema in pairs(tables_of(root), root):
        if "properties" not in schemas()[schema]:
            continue  # a list or an open object
        known, decided = set(schemas()[schema]["properties"]), set(tables_of(root)[table])
        assert decided - NOT_IN_THE_SCHEMA.get(table, set()) == known, f"{table} beside {schema}"


@pytest.mark.parametrize("root", ROOTS)
def test_a_field_with_fields_of_its_own_has_a_table_or_none_that_matters(root: str) -> None:
    """Where a table does not look into a field, nothing below it is refused under another name."""
    tables = tables_of(root)
    known = {schema: table for table, schema in pairs(tables, root)}
    for table, schema in pairs(tables, root):
        for name, body in (schemas()[schema].get("properties") or {}).items():
            entry = tables[table][name]
            if not entry.type and not entry.refused and not entry.ignored and target(body) in known:
                assert not any(e.refused for e in tables[known[target(body)]].values()), f"{table}.{name}"


def sample(schema: Object) -> Any:
    """A value that a field may hold."""
    if name := target(schema) if "$ref" in schema or "allOf" in schema else "":
        return "1" if name.endswith(("Quantity", "IntOrString")) else {}
    kinds = {"string": "x", "integer": 1, "number": 1.0, "boolean": True, "object": {"a": "b"}}
    if schema.get("type") == "array":
        return [sample(schema["items"])]
    return kinds.get(schema.get("type", ""), {"a": "b"})


def value_of(entry: Field, schema: Object) -> Any:
    """A value of the field that is refused."""
    candidates = [sample(schema), {"a": "b"}, [{"a": "b"}], False, "ClientIP", "LoadBalancer", "Localhost", "HugePages-2Mi",
                  "Block", "Enabled", "Bidirectional", ["IPv6"], "RequireDualStack", "UDP", 4711]  # fmt: skip
    assert entry.refused
    return next(c for c in candidates if entry.refused(c))


def wrapped(path: str, value: Any, root: Object) -> Object:
    """`root` with the value at that path; a list on the way gets the first item."""
    here = root
    *parents, last = path.split(".")
    for name in parents:
        found = here.setdefault(name, {})
        here = found[0] if isinstance(found, list) else found
    here[last] = value
    return root


POD: Object = {"containers": [{"name": "c", "image": "busybox"}]}
MINIMAL: dict[str, tuple[Resource, Object]] = {
    "PodSpec": (PODS, POD),
    "ServiceSpec": (SERVICES, {"ports": [{"port": 80}]}),
    "PersistentVolumeClaimSpec": (
        CLAIMS,
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    ),
    "JobSpec": (JOBS, {"template": {"spec": POD | {"restartPolicy": "Never"}}}),
    "DeploymentSpec": (
        DEPLOYMENTS,
        {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}},
    ),
    "ReplicaSetSpec": (
        REPLICASETS,
        {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}},
    ),
    "TFJobSpec": (
        TFJOBS,
        {"tfReplicaSpecs": {"Worker": {"template": {"spec": {"containers": [{"name": "tensorflow", "image": "x"}]}}}}},
    ),
}


def top_level(root: str) -> list[tuple[str, str]]:
    return [(root, name) for name, entry in tables_of(root)[root].items() if entry.refused]


@pytest.mark.parametrize(("root", "name"), [pair for root in MINIMAL for pair in top_level(root)])
def test_admission_refuses_what_the_table_says(store: Store, root: str, name: str) -> None:
    resource, spec = MINIMAL[root]
    schema = schemas()[ROOTS[root]]["properties"][name]
    body = json.loads(json.dumps(spec)) | {name: value_of(tables_of(root)[root][name], schema)}
    with pytest.raises(ApiError) as refused:
        store.create(resource, {"metadata": {"name": "x", "namespace": "default"}, "spec": body})
    assert refused.value.code == 422
    assert f"spec.{name}" in refused.value.message


POD_PATHS = [
    ("containers.livenessProbe", {"grpc": {"port": 1}}, "containers[0].livenessProbe.grpc"),
    ("containers.readinessProbe", {"grpc": {"port": 1}}, "containers[0].readinessProbe.grpc"),
    ("containers.securityContext", {"privileged": True}, "containers[0].securityContext.privileged"),
    (
        "containers.securityContext",
        {"capabilities": {"add": ["SYS_TIME"]}},
        "containers[0].securityContext.capabilities.add",
    ),
    ("containers.securityContext", {"runAsUser": 4711}, "containers[0].securityContext.runAsUser"),
    ("hostAliases", [{"ip": "127.0.0.1", "hostnames": ["a"]}], "hostAliases"),
    ("volumes", [{"name": "v", "hostPath": {"path": "/"}}], "volumes[0].hostPath"),
    ("volumes", [{"name": "v", "emptyDir": {"medium": "HugePages"}}], "volumes[0].emptyDir.medium"),
    ("dnsConfig", {"nameservers": ["127.0.0.1"]}, "dnsConfig"),
]


@pytest.mark.parametrize(("path", "value", "field"), POD_PATHS, ids=[field for _, _, field in POD_PATHS])
@pytest.mark.parametrize("root", ["PodSpec", "JobSpec", "DeploymentSpec", "TFJobSpec"])
def test_a_pod_is_refused_alike_in_every_template(store: Store, root: str, path: str, value: Any, field: str) -> None:
    resource, spec = MINIMAL[root]
    body = json.loads(json.dumps(spec))
    at = {"PodSpec": "", "TFJobSpec": "tfReplicaSpecs.Worker.template.spec."}.get(root, "template.spec.")
    shown = at.replace("tfReplicaSpecs.Worker", "tfReplicaSpecs[Worker]")
    with pytest.raises(ApiError) as refused:
        store.create(
            resource, {"metadata": {"name": "x", "namespace": "default"}, "spec": wrapped(at + path, value, body)}
        )
    assert f"spec.{shown}{field}: not supported by the embedded cluster" in refused.value.message


def check(template: Object, **spec: Any) -> None:
    main = {"name": "main", **template}
    body = {
        "metadata": {"name": "w", "namespace": "default"},
        "spec": {"entrypoint": "main", "templates": [main], **spec},
    }
    validate(body, Store(None))


BOX: Object = {"container": {"image": "busybox", "command": ["true"]}}


def box(**more: Any) -> Object:
    return {"container": BOX["container"] | more}


@pytest.mark.parametrize(
    ("template", "spec", "field"),
    [
        (BOX, {"hostAliases": [{"ip": "127.0.0.1", "hostnames": ["a"]}]}, "spec.hostAliases"),
        (BOX | {"hostAliases": [{"ip": "127.0.0.1", "hostnames": ["a"]}]}, {}, "templates.main.hostAliases"),
        (BOX, {"dnsConfig": {"nameservers": ["127.0.0.1"]}}, "spec.dnsConfig"),
        (box(readinessProbe={"grpc": {"port": 1}}), {}, "templates.main.container.readinessProbe.grpc"),
        (box(securityContext={"privileged": True}), {}, "templates.main.container.securityContext.privileged"),
        (BOX | {"sidecars": [{"name": "s", "image": "x", "volumeDevices": [{"name": "d"}]}]}, {},
         "templates.main.sidecars.s.volumeDevices"),
        ({"script": {"image": "busybox", "source": "x", "resizePolicy": [{"resourceName": "cpu"}]}}, {},
         "templates.main.script.resizePolicy"),
        (BOX, {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "spec.volumes.v.hostPath"),
        (BOX, {"volumeClaimTemplates": [{"metadata": {"name": "c"}, "spec": {"volumeMode": "Block"}}]},
         "spec.volumeClaimTemplates[0].spec.volumeMode"),
        (BOX, {"securityContext": {"fsGroup": 1}}, "spec.securityContext.fsGroup"),
        (BOX, {"podSpecPatch": '{"hostPID": true}'}, "spec.podSpecPatch.hostPID"),
        (BOX | {"podSpecPatch": "containers:\n- name: main\n  securityContext: {privileged: true}"}, {},
         "templates.main.podSpecPatch.containers.main.securityContext.privileged"),
        (BOX | {"outputs": {"artifacts": [{"name": "a", "path": "/a", "s3": {"key": "k", "roleARN": "r"}}]}}, {},
         "templates.main.outputs.artifacts.a.s3.roleARN"),
        (BOX | {"synchronization": {"mutexes": [{"name": "m", "database": True}]}}, {},
         "templates.main.synchronization.mutexes.m.database"),
        ({"dag": {"tasks": [{"name": "t", "inline": box(livenessProbe={"grpc": {"port": 1}})}]}}, {},
         "templates.main.dag.tasks.t.inline.container.livenessProbe.grpc"),
        ({"steps": [[{"name": "s", "hooks": {"exit": {"template": "main", "arguments": {
            "artifacts": [{"name": "a", "git": {"repo": "r"}}]}}}, "inline": BOX}]]}, {},
         "templates.main.steps[0].s.hooks[exit].arguments.artifacts.a.git"),
    ],
)  # fmt: skip
def test_a_workflow_is_refused_before_anything_runs(template: Object, spec: Object, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(template, **spec)
    assert str(refused.value).startswith(f"{field}: not supported by the embedded cluster")


def test_a_workflow_of_supported_fields_passes() -> None:
    check(
        box(livenessProbe={"exec": {"command": ["true"]}}, securityContext={"capabilities": {"drop": ["ALL"]}}),
        volumes=[{"name": "v", "emptyDir": {}}],
        podSpecPatch='{"terminationGracePeriodSeconds": 1}',
    )
    check(
        BOX,
        podSpecPatch='{"hostPID": {{workflow.parameters.p}}}',
        arguments={"parameters": [{"name": "p", "value": "x"}]},
    )


@pytest.mark.parametrize(
    "odd", [None, "text", 3, [], [None], {"containers": "x"}, {"containers": [3, None]}, {"volumes": {}}]
)
def test_odd_values_are_left_to_the_validation(odd: Any) -> None:
    assert first_refused(workload_fields.TYPES, "PodSpec", odd, "spec") is None


def test_the_page_of_differences_is_the_tables() -> None:
    text = (Path(__file__).parents[3] / "docs" / "differences.md").read_text()
    assert page.written(text) == text, "run python -m kubeproc.fields.page docs/differences.md"


@pytest.mark.parametrize(("field", "value", "refused"), [
    ("fsGroup", 0, True), ("fsGroup", 1000, True), ("supplementalGroups", [], False), ("supplementalGroups", [0], True),
    ("sysctls", [], False), ("runAsNonRoot", False, False),
])  # fmt: skip
def test_a_value_asks_for_nothing_only_where_upstream_says_so(field: str, value: Any, refused: bool) -> None:
    found = first_refused(pod_fields.TYPES, "PodSpec", {"securityContext": {field: value}}, "spec")
    assert bool(found) == refused


EMPTY = {"boolean": False, "integer": 0, "string": "", "array": [], "object": {}}
# What asks for something even so. Upstream tests these pointers against nil: `hostPath: {}` is a volume of the host, and
# `createBucketIfNotPresent: {}` makes a bucket. An empty namespaceSelector means all namespaces.
ASKS = {
    "PersistentVolumeClaimSpec": {"dataSource", "dataSourceRef", "selector"},
    "JobSpec": {"backoffLimitPerIndex", "managedBy", "maxFailedIndexes", "podFailurePolicy", "successPolicy"},
    "RunPolicy": {"managedBy"},
    "PodSpec": {"hostUsers"},
    "PodSecurityContext": {"fsGroup"},
    "PodAffinityTerm": {"namespaceSelector"},
    "PodOS": {"name"},
    "EnvVarSource": {"fileKeyRef"},
    "Probe": {"grpc"},
    "Projection": {"clusterTrustBundle", "podCertificate"},
    "VolumeMount": {"mountPropagation"},
    "WorkflowSpec": {"podDisruptionBudget"},
    "Template": {"containerSet", "http", "plugin", "data"},
    "S3Artifact": {"createBucketIfNotPresent"},
    "SemaphoreRef": {"database"},
}  # fmt: skip
KINDS_OF = ("Volume", "Artifact", "ArtifactLocation")  # of which one field says which kind it is
USERS = ("runAsUser", "runAsGroup")  # whether 0 is refused depends on who runs the suite


@pytest.mark.parametrize("root", ROOTS)
def test_an_empty_value_of_a_refused_field_is_refused_where_it_asks_for_something(root: str) -> None:
    for table, schema in pairs(tables_of(root), root):
        for name, shape in (schemas()[schema].get("properties") or {}).items():
            entry = tables_of(root)[table].get(name)
            if entry is None or entry.refused is None or name in USERS:
                continue
            empty = EMPTY[shape.get("type", "object")]
            asks = name in ASKS.get(table, ()) or (table in KINDS_OF and empty == {} and name != "artifactGC")
            assert bool(entry.refused(empty)) == asks, f"{table}.{name}: {empty!r}"


def test_the_job_controllers_own_name_asks_for_no_other_manager() -> None:
    for manager, refused in (("kubernetes.io/job-controller", False), ("kueue.x-k8s.io/multikueue", True)):
        assert bool(first_refused(workload_fields.TYPES, "JobSpec", {"managedBy": manager}, "spec")) == refused
