"""Manifests that cases share."""

from __future__ import annotations

from typing import Any

IMAGE = "busybox:1.36"


def container(script: str = "", name: str = "main", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "image": IMAGE}
    if script:
        made["command"] = ["sh", "-c", script]
    return made | more


def pod(name: str, script: str = "", metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod of one container; `main` holds further fields of that."""
    main = container(script, **spec.pop("main", {}))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}} | (metadata or {}),
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main]} | spec,
    }


def template(app: str, script: str, **spec: Any) -> dict[str, Any]:
    main = container(script, **spec.pop("main", {}))
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [main]} | spec,
    }


def deployment(name: str = "web", replicas: int = 1, script: str = "sleep 1000", **spec: Any) -> dict[str, Any]:
    pods = template(name, script, **spec.pop("pods", {}))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pods} | spec,
    }


def job(name: str = "job", script: str = "true", **spec: Any) -> dict[str, Any]:
    pods = template(name, script, **({"restartPolicy": "Never"} | spec.pop("pods", {})))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": pods} | spec,
    }


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]} | spec,
    }
