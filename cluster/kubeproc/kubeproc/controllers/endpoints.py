"""The pods behind a Service: Endpoints and EndpointSlices.

Pods with the same ports are one subset of the Endpoints, and one slice. A targetPort is looked up among the pod's container
ports; a number that no container declares is used unchanged. Where pods share the host's network, the container's port stands for
its host port, so that each pod is a subset of its own. Pods that are not ready are listed in notReadyAddresses, unless the
Service publishes them.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeproc import names
from kubeproc.api_errors import ApiError
from kubeproc.controllers.loop import Controller
from kubeproc.controllers.owners import controller_ref, deleting
from kubeproc.controllers.pod_making import finished, ready
from kubeproc.network import cluster_ips
from kubeproc.resources import ENDPOINTS, ENDPOINTSLICES, PODS, SERVICES
from kubeproc.store import Event, Key, Object, Store

MANAGED = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
SLICE_MANAGER = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
SERVICE_NAME, HEADLESS = "kubernetes.io/service-name", "service.kubernetes.io/headless"


def reconcile(service: Object, store: Store) -> float | None:
    selector = service["spec"].get("selector")
    if not selector or deleting(service):
        return None
    pods = [p for p in _selected(store, service["metadata"]["namespace"], selector) if _addressable(p)]
    _put_endpoints(service, pods, store)
    _put_slices(service, pods, store)
    return None


def _selected(store: Store, namespace: str, selector: dict[str, str]) -> list[Object]:
    wanted = selector.items()
    return store.list(PODS, namespace, lambda p: wanted <= (p["metadata"].get("labels") or {}).items())


def _addressable(pod: Object) -> bool:
    return bool((pod.get("status") or {}).get("podIP")) and not finished(pod)


def target_port(pod: Object, target: int | str, own: bool) -> int | None:
    """The port on which the pod serves `target` (a port's name or number), in its `own` network or in the host's; None if the
    name is unknown."""
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if target == (port.get("name") if isinstance(target, str) else port["containerPort"]):
                return port["containerPort"] if own else port.get("hostPort") or port["containerPort"]
    return target if isinstance(target, int) else None


def _ports(service: Object, pod: Object, own: bool) -> list[Object]:
    """The Service's ports as this pod serves them."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(pod, port["targetPort"], own)
        if number is not None:
            name = {"name": port["name"]} if port.get("name") else {}
            found.append({**name, "port": number, "protocol": port["protocol"]})
    return found


def _target(pod: Object) -> Object:
    meta = pod["metadata"]
    return {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}


def _by_ports(service: Object, pods: Iterable[Object], own: bool) -> list[tuple[list[Object], list[Object]]]:
    """The pods in groups that have the same ports, with those."""
    groups: dict[str, tuple[list[Object], list[Object]]] = {}
    for pod in pods:
        ports = _ports(service, pod, own)
        groups.setdefault(repr(ports), (ports, []))[1].append(pod)
    return list(groups.values())


def _put_endpoints(service: Object, pods: Iterable[Object], store: Store) -> None:
    publish, headless = service["spec"].get("publishNotReadyAddresses"), service["spec"]["clusterIP"] == "None"
    subsets = []
    there = [pod for pod in pods if publish or not deleting(pod)]
    for ports, group in _by_ports(service, there, cluster_ips.enabled(store)):
        if not ports and (service["spec"].get("ports") or not headless):
            continue
        subset: Object = {}
        for pod in group:
            address = {"ip": pod["status"]["podIP"], "nodeName": pod["spec"].get("nodeName"), "targetRef": _target(pod)}
            if headless and pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
                address["hostname"] = pod["spec"]["hostname"]
            subset.setdefault("addresses" if ready(pod) or publish else "notReadyAddresses", []).append(address)
        subsets.append(subset | ({"ports": ports} if ports else {}))
    meta = service["metadata"]
    labels = {**(meta.get("labels") or {}), **MANAGED, **({HEADLESS: ""} if headless else {})}
    wanted: Object = {"metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": labels}}
    if subsets:
        wanted["subsets"] = subsets
    found = store.find(ENDPOINTS, meta["namespace"], meta["name"])
    if found is None:
        store.create(ENDPOINTS, wanted)
    elif found.get("subsets", []) != subsets or found["metadata"].get("labels") != labels:
        store.update(ENDPOINTS, wanted | {"metadata": found["metadata"] | {"labels": labels}})


def _put_slices(service: Object, pods: Iterable[Object], store: Store) -> None:
    meta = service["metadata"]
    have = {s["metadata"]["name"]: s for s in store.owned(meta["uid"], ENDPOINTSLICES)}
    wanted = {}
    for ports, group in _by_ports(service, pods, cluster_ips.enabled(store)):
        slice_ = _slice(service, ports, group)
        wanted[slice_["metadata"]["name"]] = slice_
    for name, slice_ in wanted.items():
        found = have.get(name)
        if found is None:
            store.create(ENDPOINTSLICES, slice_)
        elif any(found.get(k) != slice_.get(k) for k in ("endpoints", "ports")):
            store.update(ENDPOINTSLICES, slice_ | {"metadata": found["metadata"]})
    for name in have.keys() - wanted.keys():
        store.delete(ENDPOINTSLICES, meta["namespace"], name)


def _slice(service: Object, ports: list[Object], pods: Iterable[Object]) -> Object:
    meta = service["metadata"]
    headless = {HEADLESS: ""} if service["spec"]["clusterIP"] == "None" else {}
    labels = {**(meta.get("labels") or {}), SERVICE_NAME: meta["name"], **SLICE_MANAGER, **headless}
    return {
        "metadata": {
            "name": names.generated(f"{meta['name']}-", meta["uid"] + repr(ports)),
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [controller_ref(service)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(service, pod) for pod in pods],
        "ports": [{"name": "", **p} for p in ports],
    }


def _endpoint(service: Object, pod: Object) -> Object:
    serving, going = ready(pod), deleting(pod)
    publish = service["spec"].get("publishNotReadyAddresses", False)
    found = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": publish or (serving and not going), "serving": serving, "terminating": going},
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": _target(pod),
    }
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
        found["hostname"] = pod["spec"]["hostname"]
    return found


def _of_pod(event: Event, store: Store) -> Iterable[Key]:
    """The Services that select the pod, now or before."""
    labels = [((o or {}).get("metadata") or {}).get("labels") or {} for o in (event.object, event.previous)]
    if not any(labels):
        return []

    def selects(service: object) -> bool:
        selector = service["spec"].get("selector")  # type: ignore[index]
        return bool(selector) and any(selector.items() <= have.items() for have in labels)

    found = store.list(SERVICES, event.key[0], selects)
    return [(s["metadata"]["namespace"], s["metadata"]["name"]) for s in found]


def _remove_orphan(endpoints: Object, store: Store) -> None:
    """Delete the Endpoints of a deleted Service."""
    meta = endpoints["metadata"]
    managed = MANAGED.items() <= (meta.get("labels") or {}).items()
    if managed and store.find(SERVICES, meta["namespace"], meta["name"]) is None:
        try:
            store.delete(ENDPOINTS, meta["namespace"], meta["name"], uid=meta["uid"])
        except ApiError as error:
            if error.code != 404:
                raise


CONTROLLER = Controller("endpoints", SERVICES, reconcile, finds={PODS: _of_pod})
ORPHANS = Controller("endpoints of deleted services", ENDPOINTS, _remove_orphan, watches={SERVICES: lambda e: [e.key]})
