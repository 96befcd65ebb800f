"""Validation of a pod's spec, with the API server's messages (pkg/apis/core/validation of Kubernetes 1.34)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubeproc import quantity
from kubeproc.admission.causes import NEGATIVE, Causes, qualified_errors
from kubeproc.admission.placement import check_placement
from kubeproc.admission.pod_defaults import PROBES
from kubeproc.store import Object

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_NAMESPACED = "must be a standard resource for containers"
_STANDARD = "must be a standard resource type or fully qualified"
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_RESOURCES = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_FIELDS = ("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
           "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")  # fmt: skip


def check_spec(causes: Causes, spec: Object, path: str) -> None:
    """Add the errors of a PodSpec to `causes`; `path` is the path of the spec."""
    volumes = _volumes(causes, spec.get("volumes") or (), f"{path}.volumes")
    if not spec.get("containers"):
        causes.required(f"{path}.containers")
    names: set[str] = set()
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(kind) or ()):
            _container(causes, container, f"{path}.{kind}[{i}]", names, volumes, init=kind == "initContainers")
    causes.one_of(f"{path}.restartPolicy", spec["restartPolicy"], ("Always", "OnFailure", "Never"))
    policies = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
    causes.one_of(f"{path}.dnsPolicy", spec["dnsPolicy"], policies)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        causes.invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    causes.not_negative(f"{path}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"])
    causes.labels(f"{path}.nodeSelector", spec.get("nodeSelector"))
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            causes.label(f"{path}.{name}", spec[name])
    for name in ("serviceAccountName", "nodeName"):
        if spec.get(name):
            causes.subdomain(f"{path}.{name}", spec[name])
    for i, toleration in enumerate(spec.get("tolerations") or ()):
        _toleration(causes, toleration, f"{path}.tolerations[{i}]")
    check_placement(causes, spec, path)


def _volumes(causes: Causes, volumes: Iterable[Object], path: str) -> set[str]:
    names: set[str] = set()
    for i, volume in enumerate(volumes):
        here, name = f"{path}[{i}]", volume.get("name", "")
        kinds = [k for k in volume if k != "name"]
        for extra in kinds[1:]:
            causes.forbidden(f"{here}.{extra}", "may not specify more than 1 volume type")
        if "configMap" in volume and not volume["configMap"].get("name"):
            causes.required(f"{here}.configMap.name")
        if "secret" in volume and not volume["secret"].get("secretName"):
            causes.required(f"{here}.secret.secretName")
        if "persistentVolumeClaim" in volume and not volume["persistentVolumeClaim"].get("claimName"):
            causes.required(f"{here}.persistentVolumeClaim.claimName")
        _sources(causes, volume, here)
        for k, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            _sources(causes, source or {}, f"{here}.projected.sources[{k}]")
        _sizes(causes, volume, here)
        if not name:
            causes.required(f"{here}.name")
        elif name in names:
            causes.duplicate(f"{here}.name", name)
        else:
            causes.label(f"{here}.name", name)
        names.add(name)
    return names


def _sizes(causes: Causes, volume: Object, path: str) -> None:
    for kind in ("configMap", "secret", "downwardAPI", "projected"):
        mode = (volume.get(kind) or {}).get("defaultMode")
        if mode is not None and not 0 <= mode <= 0o777:
            causes.invalid(f"{path}.{kind}.defaultMode", mode, _MODE)
    limit = (volume.get("emptyDir") or {}).get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        causes.forbidden(f"{path}.emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _sources(causes: Causes, volume: Object, path: str) -> None:
    """The files that a volume, or one source of a projected one, puts into a folder: no path may leave the folder."""
    for kind in ("configMap", "secret", "downwardAPI"):
        for i, item in enumerate((volume.get(kind) or {}).get("items") or ()):
            here = f"{path}.{kind}.items[{i}]"
            if kind != "downwardAPI" and not item.get("key"):
                causes.required(f"{here}.key")
            _local(causes, item.get("path", ""), f"{here}.path")
            if kind == "downwardAPI":
                _downward(causes, item, f"{path}.{kind}")
            if item.get("mode") is not None and not 0 <= item["mode"] <= 0o777:
                causes.invalid(f"{here}.mode", item["mode"], _MODE)
    if token := volume.get("serviceAccountToken"):
        _local(causes, token.get("path", ""), f"{path}.serviceAccountToken.path")


def _downward(causes: Causes, item: Object, path: str) -> None:
    """One file of a downwardAPI volume; upstream's paths have no index here."""
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        if field.get("fieldPath") not in ("metadata.labels", "metadata.annotations"):
            _field(causes, field, f"{path}.fieldRef.fieldPath")
        if resource is not None:
            causes.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif resource is None:
        causes.required(path, "one of fieldRef and resourceFieldRef is required")
    else:
        if not resource.get("containerName"):
            causes.required(f"{path}.resourceFieldRef.containerName")
        causes.one_of(f"{path}.resourceFieldRef.resource", resource.get("resource", ""), _RESOURCES)


def _local(causes: Causes, target: str, path: str) -> None:
    if not target:
        causes.required(path)
    elif target.startswith("/"):
        causes.invalid(path, target, "must be a relative path")
    elif ".." in target.split("/"):
        causes.invalid(path, target, "must not contain '..'")
    elif target.startswith(".."):
        causes.invalid(path, target, "must not start with '..'")


def _container(causes: Causes, container: Object, path: str, names: set[str], volumes: set[str], *, init: bool) -> None:
    name = container.get("name", "")
    if not name:
        causes.required(f"{path}.name")
    elif name in names:
        causes.duplicate(f"{path}.name", name)
    else:
        causes.label(f"{path}.name", name)
    names.add(name)
    image = container.get("image", "")
    if not image:
        causes.required(f"{path}.image")
    elif image.strip() != image:
        causes.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    causes.one_of(f"{path}.imagePullPolicy", container["imagePullPolicy"], ("Always", "IfNotPresent", "Never"))
    policies = ("File", "FallbackToLogsOnError")
    causes.one_of(f"{path}.terminationMessagePolicy", container["terminationMessagePolicy"], policies)
    _ports(causes, container.get("ports") or (), f"{path}.ports")
    _environment(causes, container, path)
    _mounts(causes, container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes)
    _resources(causes, container["resources"], f"{path}.resources")
    _restart(causes, container, path, init)
    init = init and container.get("restartPolicy") != "Always"  # a sidecar has probes and hooks like a main container
    for kind in PROBES:
        if kind in container:
            if init:
                causes.forbidden(f"{path}.{kind}", "may not be set for init containers without restartPolicy=Always")
            else:
                _probe(causes, container[kind], f"{path}.{kind}", kind)
    if init and container.get("lifecycle"):
        causes.forbidden(f"{path}.lifecycle", "may not be set for init containers without restartPolicy=Always")
    elif not init:
        for hook, handler in (container.get("lifecycle") or {}).items():
            if hook in ("postStart", "preStop"):
                _handler(causes, handler, f"{path}.lifecycle.{hook}")


def _restart(causes: Causes, container: Object, path: str, init: bool) -> None:
    if container.get("restartPolicy") is None:
        return
    if init:
        causes.one_of(f"{path}.restartPolicy", container["restartPolicy"], ("Always",))
    else:
        causes.forbidden(f"{path}.restartPolicy", "may not be set for non-init containers")


def _ports(causes: Causes, ports: Iterable[Object], path: str) -> None:
    names: set[str] = set()
    for i, port in enumerate(ports):
        here, name = f"{path}[{i}]", port.get("name")
        if name:
            causes.port_name(f"{here}.name", name)
            if name in names:
                causes.duplicate(f"{here}.name", name)
            names.add(name)
        if not port.get("containerPort"):
            causes.required(f"{here}.containerPort")
        else:
            causes.port(f"{here}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            causes.port(f"{here}.hostPort", port["hostPort"])
        causes.one_of(f"{here}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))


def _environment(causes: Causes, container: Object, path: str) -> None:
    sources = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
    for i, variable in enumerate(container.get("env") or ()):
        here, name = f"{path}.env[{i}]", variable.get("name", "")
        if not name:
            causes.required(f"{here}.name")
        elif not re.fullmatch(r"[ -<>-~]+", name):
            words = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            causes.invalid(f"{here}.name", name, words)
        if "valueFrom" not in variable or variable["valueFrom"] is None:
            continue
        given = [s for s in sources if variable["valueFrom"].get(s)]
        if not given:
            words = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            causes.invalid(f"{here}.valueFrom", "", words)
        elif variable.get("value"):
            causes.invalid(f"{here}.valueFrom", "", "may not be specified when `value` is not empty")
        elif len(given) > 1:
            causes.invalid(f"{here}.valueFrom", "", "may not have more than one field specified at a time")
        if "fieldRef" in given:
            _field(causes, variable["valueFrom"]["fieldRef"], f"{here}.valueFrom.fieldRef.fieldPath")
        if "resourceFieldRef" in given:
            ref = variable["valueFrom"]["resourceFieldRef"]
            causes.one_of(f"{here}.valueFrom.resourceFieldRef.resource", ref.get("resource", ""), _RESOURCES)
        for ref in set(given) & {"configMapKeyRef", "secretKeyRef"}:
            if not variable["valueFrom"][ref].get("key"):
                causes.required(f"{here}.valueFrom.{ref}.key")
    for i, source in enumerate(container.get("envFrom") or ()):
        given = [s for s in ("configMapRef", "secretRef") if source.get(s)]
        if not given:
            causes.invalid(f"{path}.envFrom[{i}]", "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            causes.invalid(f"{path}.envFrom[{i}]", "", "may not have more than one field specified at a time")
        elif not source[given[0]].get("name"):
            causes.required(f"{path}.envFrom[{i}].{given[0]}.name")


def _field(causes: Causes, field: Object, path: str) -> None:
    name = field.get("fieldPath", "")
    if not name:
        causes.required(path)
    elif not re.fullmatch(r"metadata\.(labels|annotations)\['[^']+'\]", name):
        if name in _FIELDS:
            return
        if name.startswith("metadata.") or name in ("spec.hostname", "status.phase"):
            causes.one_of(path, name, _FIELDS)
        else:
            causes.invalid(path, name, f"error converting fieldPath: field label not supported: {name}")


def _mounts(causes: Causes, mounts: Iterable[Object], path: str, volumes: set[str]) -> None:
    paths: set[str] = set()
    for i, mount in enumerate(mounts):
        here, name, target = f"{path}[{i}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            causes.required(f"{here}.name")
        elif name not in volumes:
            causes.not_found(f"{here}.name", name)
        if not target:
            causes.required(f"{here}.mountPath")
        elif target in paths:
            causes.invalid(f"{here}.mountPath", target, "must be unique")
        paths.add(target)
        below = mount.get("subPath", "")
        if below.startswith("/"):
            causes.invalid(f"{path}.subPath", below, "must be a relative path")
        elif ".." in below.split("/"):
            causes.invalid(f"{path}.subPath", below, "must not contain '..'")


def _resources(causes: Causes, resources: Object, path: str) -> None:
    limits = resources.get("limits") or {}
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            here = f"{path}.{part}"
            for words in qualified_errors(name):
                causes.invalid(here, name, words)
            if "/" not in name and name not in ("cpu", "memory", "ephemeral-storage") and "hugepages-" not in name:
                causes.invalid(f"{here}[{name}]", name, _STANDARD)
                causes.invalid(f"{here}[{name}]", name, _NAMESPACED)
            if "/" in name and quantity.parse(value) % 1:
                causes.invalid(f"{here}[{name}]", value, "must be an integer")
            if "/" in name and part == "requests" and name not in limits:
                causes.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
            if quantity.parse(value) < 0:
                causes.invalid(f"{here}[{name}]", value, NEGATIVE)
            if part == "requests" and name in limits and quantity.parse(value) > quantity.parse(limits[name]):
                causes.invalid(here, value, f"must be less than or equal to {name} limit of {limits[name]}")


def _probe(causes: Causes, probe: Object, path: str, kind: str) -> None:
    _handler(causes, probe, path)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        causes.not_negative(f"{path}.{name}", probe.get(name))
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        causes.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _handler(causes: Causes, handler: Object, path: str) -> None:
    given = [h for h in _HANDLERS if handler.get(h) is not None]
    if not given:
        causes.required(path, "must specify a handler type")
    for extra in given[1:]:
        causes.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    if "exec" in given and not handler["exec"].get("command"):
        causes.required(f"{path}.exec.command")
    for kind in ("httpGet", "tcpSocket"):
        if kind in given:
            port = handler[kind].get("port")
            if isinstance(port, str):
                causes.port_name(f"{path}.{kind}.port", port)
            else:
                causes.port(f"{path}.{kind}.port", port or 0)


def _toleration(causes: Causes, toleration: Object, path: str) -> None:
    operator = toleration.get("operator") or "Equal"
    if not toleration.get("key") and operator != "Exists":
        causes.invalid(f"{path}.operator", operator, "operator must be Exists when `key` is empty, which means "
                       '"match all values and all keys"')  # fmt: skip
    if operator == "Exists" and toleration.get("value"):
        causes.invalid(f"{path}.operator", toleration, "value must be empty when `operator` is 'Exists'")
    if operator not in ("Equal", "Exists"):
        causes.one_of(f"{path}.operator", operator, ("Equal", "Exists"))
