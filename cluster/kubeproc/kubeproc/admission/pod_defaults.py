"""The defaults of a pod's spec, for pods and for the templates of Deployments and Jobs.

Source: pkg/apis/core/v1/defaults.go of Kubernetes 1.34.
"""

from __future__ import annotations

from typing import Any

from kubeproc import quantity
from kubeproc.api_errors import bad_request
from kubeproc.store import Object

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_FILES = ("configMap", "secret", "downwardAPI", "projected")  # volumes that have a defaultMode
MODE = 0o644


def fill(obj: Object, defaults: dict[str, Any]) -> None:
    """Set values that are missing or null."""
    for key, value in defaults.items():
        if obj.get(key) is None:
            obj[key] = value


def drop_null(obj: Object) -> None:
    """A null in a manifest means an unset field."""
    for key in [k for k, v in obj.items() if v is None]:
        del obj[key]


def quantities(resources: Object, kind: str) -> None:
    """Convert the quantities of a ResourceRequirements to canonical form; a missing request defaults to the limit."""
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            try:
                resources[part][name] = quantity.canonical(value)
            except quantity.QuantityError as error:
                raise bad_request(f'{kind} in version "v1" cannot be handled as a {kind}: {error}') from error
    for name, value in (resources.get("limits") or {}).items():
        resources.setdefault("requests", {}).setdefault(name, value)


def containers(spec: Object) -> list[Object]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def default_spec(spec: Object, kind: str = "Pod", *, template: bool = False) -> None:
    """Fill in a PodSpec, in place. In a template, requests don't default to limits: that happens in each pod."""
    drop_null(spec)
    fill(
        spec,
        {
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        },
    )
    if "serviceAccount" in spec or "serviceAccountName" in spec:
        name = spec.get("serviceAccountName") or spec.get("serviceAccount")
        spec["serviceAccount"] = spec["serviceAccountName"] = name
    for container in containers(spec):
        _container(container, kind, template, spec.get("hostNetwork", False))
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _container(container: Object, kind: str, template: bool, host_network: bool) -> None:
    drop_null(container)
    image = container.get("image", "")
    tagged = ":" in image.rpartition("/")[2] or "@" in image
    latest = not tagged or image.endswith(":latest")
    fill(
        container,
        {
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "Always" if latest else "IfNotPresent",
        },
    )
    for port in container.get("ports") or ():
        port["protocol"] = port.get("protocol") or "TCP"
        if host_network:
            fill(port, {"hostPort": port.get("containerPort")})
    for name in PROBES:
        if probe := container.get(name):
            fill(probe, _PROBE)
            _handler(probe)
    for hook in (container.get("lifecycle") or {}).values():
        if hook:
            _handler(hook)
    for variable in container.get("env") or ():
        if field := (variable.get("valueFrom") or {}).get("fieldRef"):
            fill(field, {"apiVersion": "v1"})
        if ref := (variable.get("valueFrom") or {}).get("resourceFieldRef"):
            fill(ref, {"divisor": "0"})
    resources = container["resources"]
    given = dict(resources.get("requests") or {})
    quantities(resources, kind)
    if template and "requests" in resources:
        kept = {k: v for k, v in resources["requests"].items() if k in given}
        resources["requests"] = kept
        if not kept and not given:
            del resources["requests"]


def _handler(handler: Object) -> None:
    if http := handler.get("httpGet"):
        fill(http, {"path": "/", "scheme": "HTTP"})
    if "grpc" in handler and handler["grpc"] is not None:
        fill(handler["grpc"], {"service": ""})


def _volume(volume: Object) -> None:
    drop_null(volume)
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for kind in _FILES:
        if kind in volume:
            fill(volume[kind], {"defaultMode": MODE})
    sources = [volume.get("downwardAPI") or {}]
    for source in (volume.get("projected") or {}).get("sources") or ():
        sources.append(source.get("downwardAPI") or {})
        if token := source.get("serviceAccountToken"):
            fill(token, {"expirationSeconds": 3600})
    for source in sources:
        for item in source.get("items") or ():
            if item.get("fieldRef"):
                fill(item["fieldRef"], {"apiVersion": "v1"})
    if (volume.get("emptyDir") or {}).get("sizeLimit") is not None:
        limits = {"limits": {"size": volume["emptyDir"]["sizeLimit"]}}
        quantities(limits, "Pod")
        volume["emptyDir"]["sizeLimit"] = limits["limits"]["size"]
