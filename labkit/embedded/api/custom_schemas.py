"""Schemas of TFJob and of Argo's kinds, read from the models in their official Python clients.

The clients' models are generated from the operators' own OpenAPI documents and keep names, types and descriptions. They
are read as text, since importing them costs seconds and tens of megabytes: `attribute_map` has the JSON names, the
docstrings the types and descriptions. Types of Kubernetes in them become references to Kubernetes' own definitions.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

OPEN: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
LEAVES: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": OPEN,
    "dict": OPEN,
}

OPTIONAL = {"runPolicy"}  # the client's generator takes it for required, the CustomResourceDefinition does not

# What the clients' models do not say of themselves: a line for each type that students meet.
WORDS = {
    "TFJobSpec": "What the TFJob shall run: its replicas by type, and when it counts as done.",
    "JobStatus": "What the operator has seen: conditions (the last one is the state) and counts of pods by replica type.",
    "RunPolicy": "When the job ends and what is left then: deadline, retries, which pods are deleted, suspension.",
    "SchedulingPolicy": "How the job's pods are scheduled together, where a gang scheduler is installed.",
    "ReplicaSpec": "One type of replica: how many pods, their template, and when they are started again.",
    "ReplicaStatus": "How many pods of one replica type are active, have succeeded, have failed.",
    "WorkflowSpec": "What the workflow shall run: its templates, where to begin, and the arguments.",
    "WorkflowStatus": "What the controller has seen: the phase, the tree of nodes, the outputs.",
    "Template": "One step: a container, a script, a resource, a suspension, or an order of steps or tasks of other templates.",
    "DAGTemplate": "Tasks in the order that their dependencies demand.",
    "DAGTask": "A task of a DAG: the template to run, its arguments, what it depends on.",
    "ParallelSteps": "Steps that run at the same time.",
    "WorkflowStep": "A step: the template to run, its arguments, under which condition, for which items.",
    "ScriptTemplate": "A container that runs the text in `source`; its standard output is the result.",
    "ResourceTemplate": "A Kubernetes object to create, change or delete, and what counts as success and failure.",
    "SuspendTemplate": "Waits for a while, or until the workflow is resumed.",
    "Inputs": "The parameters and artifacts that a template takes.",
    "Outputs": "The parameters, artifacts and result that a template gives.",
    "Arguments": "The parameters and artifacts that are handed over.",
    "Artifact": "A file or folder that is kept outside of the pod, and where.",
    "RetryStrategy": "When and how often a failed node is run again.",
    "Backoff": "How long to wait between attempts.",
    "Memoize": "Take the outputs of an earlier run with the same key instead of running again.",
    "TTLStrategy": "How long a finished workflow is kept.",
    "PodGC": "When the pods of a workflow are deleted.",
    "Sequence": "Numbers to run the step for, one run each.",
    "ValueFrom": "Where the value of a parameter comes from.",
    "ContinueOn": "Whether the workflow goes on when this node has failed.",
    "TemplateRef": "A template of a WorkflowTemplate or ClusterWorkflowTemplate.",
    "WorkflowTemplateRef": "The WorkflowTemplate or ClusterWorkflowTemplate whose spec is used.",
    "LifecycleHook": "A template that is run at a moment of a node's life.",
    "Synchronization": "A mutex or semaphore that must be held while this runs.",
    "RawArtifact": "An artifact whose content stands here.",
    "S3Artifact": "An artifact in a bucket of an S3 store.",
}

_MAP = re.compile(r"attribute_map = \{(.*?)\n    \}", re.S)
_PAIR = re.compile(r"'(\w+)': '([^']*)'")
_ARGO_FIELD = re.compile(r"^            ([a-z]\w*) \((.+?)\): ?(.*?)(?:\[optional\].*)?(?:  # noqa: E501)?$", re.M)
_ARGO_NEEDS = re.compile(r"        Args:\n(.*?)\n\n        Keyword Args:", re.S)
_KUBEFLOW_FIELD = re.compile(
    r'"""Gets the (\w+) of this \w+\.  # noqa: E501\n\n        (?!:return)(.*?)  # noqa: E501$', re.M
)
_KUBEFLOW_NEEDS = re.compile(r"^        if .* and (\w+) is None:", re.M)


def of_kubeflow(definitions: Iterable[str]) -> dict[str, Schema]:
    """`org.kubeflow.v1.TFJob` and what it refers to; `definitions` are the names of Kubernetes' schemas."""
    folder = package_folder("kubeflow") / "training" / "models"
    listed = (folder / "__init__.py").read_text()
    files = dict(reversed(m) for m in re.findall(r"^from kubeflow\.training\.models\.(\w+) import (\w+)", listed, re.M))
    reader = _Reader(folder, files, "KubeflowOrgV1", "org.kubeflow.v1.", definitions)
    return reader.read(["KubeflowOrgV1TFJob"])


def of_argo(definitions: Iterable[str]) -> dict[str, Schema]:
    """`io.argoproj.v1alpha1.Workflow`, the templates, and what they refer to."""
    folder = package_folder("argo_workflows") / "model"
    kinds = {"Workflow": "workflow", "WorkflowTemplate": "workflow_template",
             "ClusterWorkflowTemplate": "cluster_workflow_template"}  # fmt: skip
    prefix = "IoArgoprojWorkflowV1alpha1"
    files = {prefix + kind: f"io_argoproj_workflow_v1alpha1_{module}" for kind, module in kinds.items()}
    reader = _Reader(folder, files, prefix, "io.argoproj.v1alpha1.", definitions)
    return reader.read(list(files)) | {"io.argoproj.v1alpha1.WorkflowTaskResult": dict(OPEN)}


def package_folder(package: str) -> Path:
    """Where an installed package lies, without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(package)
    return Path(next(iter(spec.submodule_search_locations)))


class _Reader:
    """Turns model classes into schemas: those with `prefix` are the client's own and named `name` + rest, the others
    are Kubernetes'."""

    def __init__(self, folder: Path, files: dict[str, str], prefix: str, name: str, definitions: Iterable[str]) -> None:
        self.folder, self.files, self.prefix, self.name = folder, files, prefix, name
        self.found: dict[str, Schema] = {}
        self.wanted: list[str] = []
        self.known: dict[str, str] = {}
        for full in definitions:
            camel = "".join(part[0].upper() + part[1:] for part in full.split("."))
            self.known[camel] = full
            if ".core.v1." in full or ".meta.v1." in full or full.endswith((".Quantity", ".IntOrString")):
                self.known.setdefault(full.rpartition(".")[2], full)

    def read(self, roots: list[str]) -> dict[str, Schema]:
        self.wanted = list(roots)
        while self.wanted:
            model = self.wanted.pop()
            if self._own(model) not in self.found:
                self.found[self._own(model)] = {}
                self.found[self._own(model)] = _described(self._schema(model), WORDS.get(model[len(self.prefix) :], ""))
        return self.found

    def _own(self, model: str) -> str:
        return self.name + model.removeprefix(self.prefix)

    def _schema(self, model: str) -> Schema:
        source = (self.folder / f"{self.files[model]}.py").read_text()
        self.files |= {c: m for m, c in re.findall(r"from argo_workflows\.model\.(\w+) import (\w+)", source)}
        table = _MAP.search(source)
        names = dict(_PAIR.findall(table[1])) if table else {}
        fields = self._kubeflow(source) if "kubeflow" in source[:200].lower() else self._argo(source)
        if not names or (set(names) == {"value"} and "ModelSimple)" in source):
            return self._type(fields["value"][0]) if "value" in fields else dict(OPEN)
        properties = {}
        for attribute, json_name in names.items():
            kind, words = fields.get(attribute, ("object", ""))
            properties[json_name] = _described(self._type(kind), words)
        args = _ARGO_NEEDS.search(source)
        required = _KUBEFLOW_NEEDS.findall(source) + ([f[0] for f in _ARGO_FIELD.findall(args[1])] if args else [])
        schema: Schema = {"type": "object", "properties": properties}
        needs = sorted({names[r] for r in required if r in names} - OPTIONAL)
        return schema | ({"required": needs} if needs else {})

    @staticmethod
    def _argo(source: str) -> dict[str, tuple[str, str]]:
        return {name: (kind, words) for name, kind, words in _ARGO_FIELD.findall(source)}

    @staticmethod
    def _kubeflow(source: str) -> dict[str, tuple[str, str]]:
        types = dict(re.findall(r"'(\w+)': '([^']*)'", source[source.index("openapi_types = {") :].partition("}")[0]))
        words = dict(_KUBEFLOW_FIELD.findall(source))
        return {name: (kind, words.get(name, "")) for name, kind in types.items()}

    def _type(self, text: str) -> Schema:
        try:
            return self._node(ast.parse(text, mode="eval").body)
        except SyntaxError:
            return dict(OPEN)

    def _node(self, node: ast.expr) -> Schema:
        if isinstance(node, ast.Tuple) and len(node.elts) == 1:
            return self._node(node.elts[0])
        if isinstance(node, ast.List):
            return {"type": "array", "items": self._node(node.elts[0])}
        if isinstance(node, ast.Subscript):  # list[X]
            return {"type": "array", "items": self._node(node.slice)}
        if isinstance(node, ast.Dict):
            return {"type": "object", "additionalProperties": self._node(node.values[0])}
        if isinstance(node, ast.Call):  # dict(str, X)
            return {"type": "object", "additionalProperties": self._node(node.args[1])}
        if isinstance(node, ast.Name):
            return self._named(node.id)
        return dict(OPEN)

    def _named(self, name: str) -> Schema:
        if name in LEAVES:
            return dict(LEAVES[name])
        if name.startswith(self.prefix) and name in self.files:
            self.wanted.append(name)
            return {"$ref": f"#/components/schemas/{self._own(name)}"}
        full = self.known.get(name) or self.known.get(name.removeprefix("V1")) or self.known.get(name[len("Intstr") :])
        return {"$ref": f"#/components/schemas/{full}"} if full else dict(OPEN)


def inherit(found: dict[str, Schema]) -> dict[str, Schema]:
    """The schemas with the types' words moved to the fields that refer to them: `kubectl explain` lists those."""
    made = {}
    for name, schema in found.items():
        fields = dict(schema.get("properties") or {})
        for field, value in fields.items():
            target = found.get(value.get("$ref", "").rpartition("/")[2], {})
            fields[field] = _described(value, target.get("description", "")) if set(value) == {"$ref"} else value
        made[name] = {k: v for k, v in schema.items() if k != "description"} | (
            {"properties": fields} if fields else {}
        )
    return made


def _described(schema: Schema, words: str) -> Schema:
    words = words.replace('\\"', '"').replace("\\n", "\n").strip()
    words = words[:-1] if words.endswith("..") else words
    words = words.replace("the io.argoproj.workflow.v1alpha1.", "the workflow")  # the generator's own slip
    if not words:
        return schema
    if "$ref" in schema:  # siblings of a $ref are ignored, so it is wrapped, as upstream wraps it
        return {"allOf": [schema], "description": words}
    return {"description": words} | schema
