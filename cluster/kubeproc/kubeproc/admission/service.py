"""Services: ClusterIP or headless.

Where pods have a network of their own, each Service has an address in it. Where they share the host's, all have 127.0.0.1 and a
host port for each port, which the annotation `labkit.dev/ports` holds; it stays the same as long as the Service has the port.
"""

from __future__ import annotations

import ipaddress

from kubeproc import ports
from kubeproc.admission.causes import Causes, label_errors, port_name_errors
from kubeproc.admission.pod_defaults import fill
from kubeproc.admission.refusals import refuse_spec
from kubeproc.network import cluster_ips, ranges
from kubeproc.resources import SERVICES
from kubeproc.store import Object, Store

ADDRESS, HEADLESS = "127.0.0.1", "None"


def default(store: Store, service: Object, old: Object | None) -> None:
    spec = service.setdefault("spec", {})
    for key in [k for k, v in spec.items() if v is None]:
        del spec[key]
    fill(spec, {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"})
    if spec["type"] == "NodePort":
        fill(spec, {"externalTrafficPolicy": "Cluster"})
    if spec["sessionAffinity"] == "ClientIP":
        fill(spec, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}})
    for port in spec.get("ports") or ():
        port["protocol"] = port.get("protocol") or "TCP"
        fill(port, {"targetPort": port.get("port")})
        if port["targetPort"] == 0:
            port["targetPort"] = port.get("port")
    if not spec.get("clusterIP"):
        spec["clusterIP"] = old["spec"]["clusterIP"] if old else _new_address(store, service)
    spec["clusterIPs"] = [spec["clusterIP"]]
    fill(spec, {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
    if old is None:
        service["status"] = {"loadBalancer": {}}
    _host_ports(store, service, old)


def _new_address(store: Store, service: Object) -> str:
    return cluster_ips.allocate(store, service) if cluster_ips.enabled(store) else ADDRESS


def _host_ports(store: Store, service: Object, old: Object | None) -> None:
    spec = service["spec"]
    if cluster_ips.enabled(store) and spec["type"] != "NodePort":
        return
    had = ports.recorded(old) if old else {}
    wanted = [] if spec["clusterIP"] == HEADLESS else [str(p.get("port")) for p in spec.get("ports") or ()]
    new = [p for p in dict.fromkeys(wanted) if p not in had]
    given = dict(zip(new, ports.allocate(store, len(new)), strict=True))
    if spec["type"] == "NodePort":
        for port in spec.get("ports") or ():
            given |= {str(port["port"]): port["nodePort"]} if port.get("nodePort") else {}
    chosen = {p: given.get(p, had.get(p, 0)) for p in dict.fromkeys(wanted)}
    ports.write(service, chosen)
    if spec["type"] == "NodePort":
        for port in spec.get("ports") or ():
            port["nodePort"] = chosen.get(str(port.get("port")), 0)
    elif old is not None and old["spec"]["type"] == "NodePort":
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)


def validate(store: Store, service: Object, old: Object | None) -> None:
    causes, spec = Causes(), service["spec"]
    causes.one_of("spec.type", spec["type"], ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))
    causes.one_of("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    headless = spec["clusterIP"] == HEADLESS
    if not spec.get("ports") and not headless and spec["type"] != "ExternalName":
        causes.required("spec.ports")
    _ports(causes, spec.get("ports") or [])
    _node_ports(causes, store, service, old)
    if spec["type"] == "ClusterIP":
        for i, port in enumerate(spec.get("ports") or ()):
            if port.get("nodePort"):
                causes.forbidden(f"spec.ports[{i}].nodePort", "may not be used when `type` is 'ClusterIP'")
    causes.labels("spec.selector", spec.get("selector"))
    if headless and spec["type"] in ("NodePort", "LoadBalancer"):
        causes.invalid("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {spec['type']} services")
    if old is not None and spec["clusterIP"] != old["spec"]["clusterIP"]:
        causes.invalid("spec.clusterIPs[0]", [spec["clusterIP"]], "may not change once set")
    elif not headless and not _is_address(spec["clusterIP"]):
        words = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        causes.invalid("spec.clusterIPs[0]", spec["clusterIP"], words)
    elif cluster_ips.enabled(store):
        _check_address(causes, store, service, old)
    elif spec["clusterIP"] not in (ADDRESS, HEADLESS):
        words = "failed to allocate IP " + spec["clusterIP"] + ": the embedded cluster's services all have " + ADDRESS
        causes.invalid("spec.clusterIPs", [spec["clusterIP"]], words)
    causes.settle(SERVICES, service["metadata"]["name"])
    refuse_spec(spec, "ServiceSpec")


def _check_address(causes: Causes, store: Store, service: Object, old: Object | None) -> None:
    """A new Service's address lies in the range and is free."""
    ip = service["spec"]["clusterIP"]
    if old is not None or ip == HEADLESS:
        return
    if ipaddress.ip_address(ip) not in ranges.SERVICES:
        words = "the provided network does not match the current range"
        causes.invalid("spec.clusterIPs", [ip], f"failed to allocate IP {ip}: {words}")
    elif cluster_ips.holder(store, ip) not in (
        "",
        f"{service['metadata'].get('namespace', '')}/{service['metadata']['name']}",
    ):
        causes.invalid("spec.clusterIPs", [ip], f"failed to allocate IP {ip}: provided IP is already allocated")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _node_ports(causes: Causes, store: Store, service: Object, old: Object | None) -> None:
    """A requested node port must not belong to another object."""
    had = set(ports.recorded(old).values()) if old else set()
    for i, port in enumerate(service["spec"].get("ports") or ()):
        number = port.get("nodePort")
        if number and number not in had and ports.taken(store, number):
            causes.invalid(f"spec.ports[{i}].nodePort", number, "provided port is already allocated")


def _ports(causes: Causes, given: list[Object]) -> None:
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for i, port in enumerate(given):
        here, name, number = f"spec.ports[{i}]", port.get("name", ""), port.get("port") or 0
        if not name and len(given) > 1:
            causes.required(f"{here}.name")
        elif name:
            for words in label_errors(name):
                causes.invalid(f"{here}.name", name, words)
            if name in names:
                causes.duplicate(f"{here}.name", name)
            names.add(name)
        causes.port(f"{here}.port", number)
        causes.one_of(f"{here}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))
        target = port["targetPort"]
        if isinstance(target, str):
            for words in port_name_errors(target):
                causes.invalid(f"{here}.targetPort", target, words)
        else:
            causes.port(f"{here}.targetPort", target or 0)
        if (number, port["protocol"]) in numbers:
            shown = {"Name": "", "Protocol": port["protocol"], "AppProtocol": None, "Port": number, "TargetPort": 0}
            causes.duplicate(here, shown | {"NodePort": 0})  # upstream prints its own struct
        numbers.add((number, port["protocol"]))
