"""A container's environment: what the kubelet's makeEnvironmentVariables does, as one pure function.

Later sources override earlier ones: the image's variables, those of the Services, envFrom, then env, whose values may refer to
earlier variables by `$(NAME)`. `$$` is a literal `$`; a reference to an unknown variable stays unchanged.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from kubeproc import quantity

Object = dict[str, Any]
HOSTNAME = 63  # characters at most
SHARED = "127.0.0.1"  # the address of all pods that share the host's network


class ConfigError(Exception):
    """The container can't be created (CreateContainerConfigError); the message is the kubelet's."""


@dataclass
class Sources:
    """The objects of its namespace that a pod refers to, by name; None for one that does not exist."""

    configmaps: Mapping[str, Object | None] = field(default_factory=dict)
    secrets: Mapping[str, Object | None] = field(default_factory=dict)
    services: Iterable[Object] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)  # of the node: the value of a limit that is not set


_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value if it is known, and `$$` by `$`."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def secret_data(secret: Object) -> dict[str, bytes]:
    return {k: b64decode(v or "") for k, v in (secret.get("data") or {}).items()}


def configmap_data(configmap: Object) -> dict[str, bytes]:
    data = {k: v.encode() for k, v in (configmap.get("data") or {}).items()}
    return data | {k: b64decode(v) for k, v in (configmap.get("binaryData") or {}).items()}


def service_variables(services: Iterable[Object], enabled: bool) -> dict[str, str]:
    """NAME_SERVICE_HOST, NAME_SERVICE_PORT[_PORTNAME] and Docker's link variables, with the ports that the proxy
    listens on; those of the `kubernetes` Service exist even if `enableServiceLinks` is false."""
    out: dict[str, str] = {}
    for service in services:
        name, spec = service["metadata"]["name"], service.get("spec") or {}
        if (
            spec.get("clusterIP") in (None, "", "None")
            or not spec.get("ports")
            or not (enabled or name == "kubernetes")
        ):
            continue
        prefix, host = name.upper().replace("-", "_"), spec["clusterIP"]
        real = host_ports(service)
        for n, port in enumerate(spec["ports"]):
            number, protocol = real.get(str(port["port"]), port["port"]), port.get("protocol", "TCP")
            if n == 0:
                out[f"{prefix}_SERVICE_HOST"] = host
                out[f"{prefix}_SERVICE_PORT"] = str(number)
                out[f"{prefix}_PORT"] = f"{protocol.lower()}://{host}:{number}"
            if port.get("name"):
                out[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(number)
            link = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
            out[link] = f"{protocol.lower()}://{host}:{number}"
            out[f"{link}_PROTO"] = protocol.lower()
            out[f"{link}_PORT"] = str(number)
            out[f"{link}_ADDR"] = host
    return out


def host_ports(obj: Object) -> dict[str, int]:
    """The annotation labkit.dev/ports of a Service."""
    text = (obj["metadata"].get("annotations") or {}).get("labkit.dev/ports")
    return json.loads(text) if text else {}


def port_variables(container: Object) -> dict[str, str]:
    """The addresses on which a program must listen in the host's network: HOST, PORT (the first) and PORT_NAME."""
    out = {"HOST": "127.0.0.1"}
    for n, port in enumerate(container.get("ports") or ()):
        number = str(port.get("hostPort") or port["containerPort"])
        if n == 0:
            out["PORT"] = number
        if port.get("name"):
            out[f"PORT_{port['name'].upper().replace('-', '_')}"] = number
    return out


def field_value(pod: Object, path: str) -> str:
    """The value of a `fieldRef.fieldPath`, as text."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    if match := re.fullmatch(r"metadata\.(labels|annotations)(?:\['(.*)'\])?", path):
        values = meta.get(match[1]) or {}
        if match[2] is not None:
            return values.get(match[2], "")
        quote = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
        lines = ('{}="{}"'.format(k, "".join(quote.get(c, c) for c in v)) for k, v in sorted(values.items()))
        return "\n".join(lines)
    known = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": status.get("hostIP", "127.0.0.1"),
        "status.hostIPs": status.get("hostIP", "127.0.0.1"),
        "status.podIP": status.get("podIP", "127.0.0.1"),
        "status.podIPs": status.get("podIP", "127.0.0.1"),
    }
    if path not in known:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return known[path]


def resource_value(container: Object, ref: Object, allocatable: Mapping[str, str]) -> str:
    """The value of a `resourceFieldRef` in units of its divisor, rounded up."""
    kind, _, name = ref["resource"].partition(".")
    resources = container.get("resources") or {}
    text = (resources.get(kind) or {}).get(name)
    if text is None and kind == "limits":
        text = allocatable.get(name)
    divisor = quantity.parse(ref.get("divisor") or "1") or Fraction(1)
    return str(math.ceil(quantity.parse(text or "0") / divisor))


def _reference(pod: Object, container: Object, source: Object, sources: Sources) -> str | None:
    namespace = pod["metadata"].get("namespace", "")
    if ref := source.get("fieldRef"):
        return field_value(pod, ref["fieldPath"])
    if ref := source.get("resourceFieldRef"):
        owner = next((c for c in all_containers(pod) if c["name"] == ref.get("containerName")), container)
        return resource_value(owner, ref, sources.allocatable)
    kinds = (
        ("configMapKeyRef", "configmap", "ConfigMap", sources.configmaps, configmap_data),
        ("secretKeyRef", "secret", "Secret", sources.secrets, secret_data),
    )
    for key, word, kind, objects, data in kinds:
        if ref := source.get(key):
            obj = objects.get(ref["name"])
            if obj is None:
                if ref.get("optional"):
                    return None
                raise ConfigError(f'{word} "{ref["name"]}" not found')
            values = data(obj)
            if ref["key"] not in values:
                if ref.get("optional"):
                    return None
                raise ConfigError(f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}")
            return values[ref["key"]].decode("utf-8", "surrogateescape")
    raise ConfigError("env: valueFrom names no source that this kubelet knows")


def all_containers(pod: Object) -> list[Object]:
    return [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]


def _env_from(container: Object, sources: Sources) -> dict[str, str]:
    out: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for key, word, objects, data in (
            ("configMapRef", "configmap", sources.configmaps, configmap_data),
            ("secretRef", "secret", sources.secrets, secret_data),
        ):
            ref = source.get(key)
            if not ref:
                continue
            obj = objects.get(ref["name"])
            if obj is None and not ref.get("optional"):
                raise ConfigError(f'{word} "{ref["name"]}" not found')
            for name, value in (data(obj) if obj else {}).items():
                out[source.get("prefix", "") + name] = value.decode("utf-8", "surrogateescape")
    return out


def hostname(pod: Object) -> str:
    """The host name that the pod's containers see."""
    spec = pod["spec"]
    name = (spec.get("hostNetwork") and spec.get("nodeName")) or spec.get("hostname") or pod["metadata"]["name"]
    return str(name)[:HOSTNAME].rstrip("-.")


def build(
    pod: Object, container: Object, image: Mapping[str, str], sources: Sources, address: str = SHARED
) -> dict[str, str]:
    """The whole environment of `container`, whose pod has this address; ConfigError if a ConfigMap, Secret or key is missing."""
    status = (pod.get("status") or {}) | {"podIP": address}
    pod = pod | {"status": status}
    links = pod["spec"].get("enableServiceLinks")
    services = service_variables(sources.services, links is None or links)
    base = {"HOSTNAME": hostname(pod), **(port_variables(container) if address == SHARED else {})}
    out = _env_from(container, sources)
    for variable in container.get("env") or ():
        if source := variable.get("valueFrom"):
            value = _reference(pod, container, source, sources)
            if value is None:
                continue
        else:
            value = expand(variable.get("value") or "", base | services | out)
        out[variable["name"]] = value
    return {**image, **base, **services, **out}


def referenced(pod: Object) -> tuple[set[str], set[str]]:
    """The names of ConfigMaps and Secrets that the environment of any container refers to."""
    configmaps: set[str] = set()
    secrets: set[str] = set()
    for container in all_containers(pod):
        for source in container.get("envFrom") or ():
            configmaps.update(filter(None, [(source.get("configMapRef") or {}).get("name")]))
            secrets.update(filter(None, [(source.get("secretRef") or {}).get("name")]))
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            configmaps.update(filter(None, [(source.get("configMapKeyRef") or {}).get("name")]))
            secrets.update(filter(None, [(source.get("secretKeyRef") or {}).get("name")]))
    return configmaps, secrets
