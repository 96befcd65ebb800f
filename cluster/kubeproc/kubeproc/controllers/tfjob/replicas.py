"""A TFJob's pods and headless Services: one of each for every replica, named JOB-TYPE-INDEX.

Source: pkg/controller.v1/common/{pod,service}.go and control/ of training-operator 1.9.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

from kubeproc.admission.tfjob import CONTAINER
from kubeproc.api_errors import ApiError
from kubeproc.controllers import events
from kubeproc.controllers.owners import controller_ref, deleting
from kubeproc.controllers.pod_making import from_template, phase
from kubeproc.controllers.tfjob import tfjob_status as states
from kubeproc.controllers.tfjob.config import (
    CHIEFS,
    DEFAULT_PORT,
    PORT_NAME,
    VARIABLE,
    Replica,
    has_chief,
    host_port,
    tf_config,
)
from kubeproc.controllers.tfjob.tfjob_status import COMPONENT
from kubeproc.network import cluster_ips
from kubeproc.resources import PODS, SERVICES, Resource
from kubeproc.store import Object, Store

PREFIX = "training.kubeflow.org/"
UNKNOWN_CODE = 0xBEEF  # the operator's placeholder while the container has not ended
_OVERWRITTEN = "Restart policy in pod template will be overwritten by restart policy in replica spec"


def labels(job: Object) -> dict[str, str]:
    return {f"{PREFIX}operator-name": COMPONENT, f"{PREFIX}job-name": job["metadata"]["name"]}


def of_type(objects: Iterable[Object], replica: Replica) -> dict[int, Object]:
    """The pods or Services of one type, by index."""
    found: dict[int, Object] = {}
    for obj in objects:
        have = obj["metadata"].get("labels") or {}
        index = have.get(f"{PREFIX}replica-index", "")
        if have.get(f"{PREFIX}replica-type") == replica.label and index.isdigit():
            found[int(index)] = obj
    return found


def reconcile_pods(
    job: Object, kinds: dict[str, Replica], replica: Replica, pods: list[Object], status: Object, store: Store
) -> None:
    """Create missing pods, delete surplus ones, restart failed ones if the policy allows it, and count."""
    mine = of_type(pods, replica)
    for index in range(max([replica.count, *(i + 1 for i in mine)])):
        pod = mine.get(index)
        if pod is None:
            if index < replica.count:
                _create_pod(job, kinds, replica, index, store)
            continue
        if index >= replica.count:
            remove(job, PODS, pod, store)
        code = exit_code(pod)
        if code != UNKNOWN_CODE:
            where = f"{pod['metadata']['namespace']}.{pod['metadata']['name']}"
            words = f"Pod: {where} exited with code {code}"
            events.record(store, job, events.NORMAL, "ExitedWithCode", words, component=COMPONENT)
        if phase(pod) == "Failed":
            _failed(job, replica, pod, code, status, store)
    # A pod that the controller itself scales down is not a failure.
    states.count(status, replica, [p for i, p in mine.items() if i < replica.count or not deleting(p)])


def _failed(job: Object, replica: Replica, pod: Object, code: int, status: Object, store: Store) -> None:
    name = job["metadata"]["name"]
    if replica.restart in ("OnFailure", "Always") or (replica.restart == "ExitCode" and code >= 128):
        remove(job, PODS, pod, store)
        words = f"job {name} is restarting because {replica.type} replica(s) failed."
        events.record(store, job, events.WARNING, "TFJobRestarting", words, component=COMPONENT)
        states.put(status, states.RESTARTING, "TFJobRestarting", words)
    elif replica.restart == "ExitCode":
        words = f'job "{name}" is failing because "{replica.type}" replica(s) failed.'
        events.record(store, job, events.WARNING, "TFJobFailed", words, component=COMPONENT)
        states.put(status, states.FAILED, "TFJobFailed", words)


def exit_code(pod: Object) -> int:
    """The exit code of the tensorflow container, UNKNOWN_CODE while it has none."""
    code = UNKNOWN_CODE
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        if container["name"] == CONTAINER and (ended := (container.get("state") or {}).get("terminated")):
            code = ended["exitCode"]
    return code


def _create_pod(job: Object, kinds: dict[str, Replica], replica: Replica, index: int, store: Store) -> None:
    template = copy.deepcopy(replica.template)
    meta, spec = template.get("metadata") or {}, template["spec"]
    own = {**labels(job), f"{PREFIX}replica-type": replica.label, f"{PREFIX}replica-index": str(index)}
    if replica.type in CHIEFS if has_chief(kinds) else (replica.type == "Worker" and index == 0):
        own[f"{PREFIX}job-role"] = "master"
    template["metadata"] = {**meta, "labels": {**(meta.get("labels") or {}), **own}}
    if spec.get("restartPolicy"):
        events.record(store, job, events.WARNING, "SetPodTemplateRestartPolicy", _OVERWRITTEN, component=COMPONENT)
    spec["restartPolicy"] = "Never" if replica.restart == "ExitCode" else replica.restart
    _configure(job, kinds, replica, index, spec, cluster_ips.enabled(store))
    pod = from_template(template, job, name=f"{job['metadata']['name']}-{replica.label}-{index}")
    _create(job, PODS, pod, store)


def _configure(job: Object, kinds: dict[str, Replica], replica: Replica, index: int, spec: Object, own: bool) -> None:
    """The tensorflow container's port, with the host port of this replica where it has no network of its `own`, and its
    TF_CONFIG."""
    for container in spec["containers"]:
        if container.get("name") != CONTAINER:
            continue
        ports = container["ports"] = list(container.get("ports") or ())
        if all(p.get("name") != PORT_NAME for p in ports):
            ports.append({"name": PORT_NAME, "containerPort": DEFAULT_PORT, "protocol": "TCP"})
        number = host_port(job, replica.label, index)
        for port in ports:
            if port.get("name") == PORT_NAME and number:
                port["hostPort"] = number
        if text := tf_config(job, kinds, replica, index, own):
            container["env"] = [*(container.get("env") or ()), {"name": VARIABLE, "value": text}]
        return


def reconcile_services(job: Object, replica: Replica, services: list[Object], store: Store) -> None:
    mine = of_type(services, replica)
    for index in range(replica.count):
        if index not in mine:
            own = {**labels(job), f"{PREFIX}replica-type": replica.label, f"{PREFIX}replica-index": str(index)}
            meta = {
                "name": f"{job['metadata']['name']}-{replica.label}-{index}",
                "namespace": job["metadata"]["namespace"],
                "labels": own,
                "ownerReferences": [controller_ref(job)],
            }
            ports = [{"name": n, "port": p} for n, p in replica.ports().items()]
            _create(
                job, SERVICES, {"metadata": meta, "spec": {"clusterIP": "None", "selector": own, "ports": ports}}, store
            )
    for index, service in mine.items():
        if index >= replica.count:
            remove(job, SERVICES, service, store)


def _create(job: Object, resource: Resource, obj: Object, store: Store) -> None:
    kind = resource.kind
    try:
        made = store.create(resource, obj)
    except ApiError as error:
        words = f"Error creating: {error.message}"
        events.record(store, job, events.WARNING, f"FailedCreate{kind}", words, component=COMPONENT)
        raise
    words = f"Created {kind.lower()}: {made['metadata']['name']}"
    events.record(store, job, events.NORMAL, f"SuccessfulCreate{kind}", words, component=COMPONENT)


def remove(job: Object, resource: Resource, obj: Object, store: Store) -> None:
    """Delete a pod or Service of the job, unless it is being deleted."""
    meta, kind = obj["metadata"], resource.kind
    if deleting(obj):
        return
    try:
        store.delete(resource, meta["namespace"], meta["name"], uid=meta["uid"])
    except ApiError as error:
        if error.code in (404, 409):
            return
        raise
    words = f"Deleted {kind.lower()}: {meta['name']}"
    events.record(store, job, events.NORMAL, f"SuccessfulDelete{kind}", words, component=COMPONENT)
