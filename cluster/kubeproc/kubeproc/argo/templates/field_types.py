"""The types of a workflow's fields, as in Go's structs: a value of another type is an error, null means unset.

A type is `str`, `bool`, `int`, ANY, TEXT (what Go reads as a string or a number), a list of one type, or fields by name
(`*` for every other name). Fields that are not listed here are not checked.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

ANY, TEXT = object(), object()
MAP = {"*": str}
NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}

VALUE_FROM: Object = {"path": str, "jsonPath": str, "jqFilter": str, "parameter": str, "expression": str, "default": TEXT,
                      "configMapKeyRef": {"name": str, "key": str}, "supplied": {}}  # fmt: skip
PARAMETER: Object = {"name": str, "value": TEXT, "default": TEXT, "valueFrom": VALUE_FROM, "enum": [TEXT],
                     "globalName": str, "description": TEXT}  # fmt: skip
ARTIFACT: Object = {"name": str, "path": str, "from": str, "fromExpression": str, "subPath": str, "globalName": str,
                    "optional": bool, "mode": int, "recurseMode": bool, "raw": {"data": str},
                    "s3": {"key": str, "bucket": str, "endpoint": str}, "http": {"url": str, "headers": [MAP]},
                    "archive": {"none": {}, "tar": {"compressionLevel": int}, "zip": {}}}  # fmt: skip
ARGUMENTS: Object = {"parameters": [PARAMETER], "artifacts": [ARTIFACT]}
ENV: Object = {"name": str, "value": str, "valueFrom": {"*": {}}}
CONTAINER: Object = {"name": str, "image": str, "command": [str], "args": [str], "source": str, "workingDir": str,
                     "env": [ENV], "volumeMounts": [{"name": str, "mountPath": str, "subPath": str}],
                     "resources": {"limits": {}, "requests": {}}}  # fmt: skip
SEQUENCE: Object = {"count": TEXT, "start": TEXT, "end": TEXT, "format": str}
HOOK: Object = {"template": str, "expression": str, "arguments": ARGUMENTS, "templateRef": {}}
REF: Object = {"name": str, "template": str, "clusterScope": bool}
CALL: Object = {"name": str, "template": str, "arguments": ARGUMENTS, "when": str, "withItems": [ANY], "withParam": str,
                "withSequence": SEQUENCE, "depends": str, "dependencies": [str], "templateRef": REF, "onExit": str,
                "hooks": {"*": HOOK}, "continueOn": {"failed": bool, "error": bool}}  # fmt: skip
TEMPLATE: Object = {
    "name": str, "inputs": ARGUMENTS, "outputs": {**ARGUMENTS, "result": str, "exitCode": str}, "container": CONTAINER,
    "script": CONTAINER, "steps": [[CALL]], "dag": {"tasks": [CALL], "target": str, "failFast": bool},
    "suspend": {"duration": TEXT},
    "resource": {"action": str, "manifest": str, "successCondition": str, "failureCondition": str, "flags": [str],
                 "mergeStrategy": str, "setOwnerReference": bool},
    "metadata": {"labels": MAP, "annotations": MAP}, "retryStrategy": {"limit": TEXT, "retryPolicy": str, "expression": str},
    "activeDeadlineSeconds": TEXT, "timeout": str, "parallelism": int, "failFast": bool, "volumes": [{"name": str}],
    "memoize": {"key": str, "maxAge": str, "cache": {"configMap": {"name": str, "key": str}}},
    "sidecars": [CONTAINER], "initContainers": [CONTAINER], "serviceAccountName": str, "nodeSelector": MAP,
    "archiveLocation": {"archiveLogs": bool, "s3": {"key": str}}, "podSpecPatch": str, "synchronization": {},
}  # fmt: skip
SPEC: Object = {
    "entrypoint": str, "templates": [TEMPLATE], "arguments": ARGUMENTS, "onExit": str, "hooks": {"*": HOOK},
    "workflowTemplateRef": {"name": str, "clusterScope": bool}, "templateDefaults": TEMPLATE, "volumes": [{"name": str}],
    "volumeClaimTemplates": [{"metadata": {"name": str}, "spec": {}}], "serviceAccountName": str, "parallelism": int,
    "activeDeadlineSeconds": int, "suspend": bool, "shutdown": str, "nodeSelector": MAP, "podGC": {"strategy": str},
    "ttlStrategy": {}, "podMetadata": {"labels": MAP, "annotations": MAP}, "archiveLogs": bool, "podSpecPatch": str,
    "retryStrategy": {"limit": TEXT}, "artifactRepositoryRef": {"configMap": str, "key": str}, "synchronization": {},
    "workflowMetadata": {"labels": MAP, "annotations": MAP}, "imagePullSecrets": [{"name": str}], "priority": int,
}  # fmt: skip
METADATA: Object = {"name": str, "generateName": str, "namespace": str, "labels": MAP, "annotations": MAP,
                    "ownerReferences": [MAP | {"*": ANY}], "finalizers": [str], "uid": str, "resourceVersion": str,
                    "creationTimestamp": str}  # fmt: skip
WORKFLOW: Object = {"metadata": METADATA, "spec": SPEC, "status": {}, "kind": str, "apiVersion": str}
SUBMIT: Object = {"name": str, "generateName": str, "entryPoint": str, "parameters": [str], "serviceAccount": str,
                  "labels": str, "annotations": str, "dryRun": bool, "serverDryRun": bool, "priority": int,
                  "podPriorityClassName": str, "ownerReference": {"*": ANY}}  # fmt: skip
ACTION: Object = {"name": str, "namespace": str, "parameters": [str], "nodeFieldSelector": str, "message": str,
                  "restartSuccessful": bool, "memoized": bool, "phase": str, "outputParameters": str}  # fmt: skip


class WrongType(Exception):
    """A field has a value of the wrong Go type. The message is that of Go's JSON decoder, which the Argo Server uses;
    `converted` is that of the converter with which the controller reads objects from the Kubernetes API."""

    def __init__(self, value: Any, path: str, wanted: str, converted: str) -> None:
        found = NAMES.get(type(value), "null")
        super().__init__(f"json: cannot unmarshal {found} into Go struct field {path} of type {wanted}")
        self.converted = converted.format(
            {int: "int64", float: "float64", list: "slice", dict: "map"}.get(type(value), found)
        )


def fit(value: Any, kind: Any, path: str) -> Any:
    """The value with its nulls left out (an empty object or text in a list). Raises WrongType with Go's message."""
    if kind is ANY:
        return value
    if kind is TEXT:
        if isinstance(value, (dict, list)):
            raise WrongType(value, path, "string", "json: cannot unmarshal {} into a string")
        return value
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            words = "cannot restore map from {}" if "*" in kind else "cannot restore struct from: {}"
            raise WrongType(value, path, "object", words)
        inner = {k: (v, kind.get(k, kind.get("*", ANY))) for k, v in value.items() if v is not None}
        return {k: fit(v, of, f"{path}.{k}") for k, (v, of) in inner.items()}
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise WrongType(value, path, "array", "cannot restore slice from {}")
        return [fit(_zero(kind[0]) if v is None else v, kind[0], path) for v in value]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        wanted = {int: "int64"}.get(kind, NAMES[kind])
        words = "cannot convert {} to string" if kind is str and type(value) is int else f"unrecognized type: {wanted}"
        raise WrongType(value, path, NAMES[kind], words)
    return value


def _zero(kind: Any) -> Any:
    return (
        {} if isinstance(kind, dict) else [] if isinstance(kind, list) else kind() if isinstance(kind, type) else None
    )
