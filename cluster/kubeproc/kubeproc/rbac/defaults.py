"""The default roles and bindings of every cluster, and their reconciliation.

The rules are those of a real cluster of this version (with Argo's own three, from its manifests), even if they name
kinds that this one does not have; controllers' roles are left out, since controllers are not users here. At startup a
server adds missing rules and subjects, unless the object's annotation `autoupdate` says "false".
"""

from __future__ import annotations

import re
from typing import Any

from kubeproc.rbac import table
from kubeproc.rbac.rules import Rule, missing
from kubeproc.resources import CLUSTERROLEBINDINGS, CLUSTERROLES
from kubeproc.store import Store

Object = dict[str, Any]

TABLE = """
[cluster-admin]
* | * | *
* @ *
[system:discovery]
get @ /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/
[system:basic-user]
create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews
create | authentication.k8s.io | selfsubjectreviews
[system:public-info-viewer]
get @ /healthz /livez /readyz /version /version/
[system:monitoring]
get @ /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*
get | core | nodes/metrics
[system:auth-delegator]
create | authentication.k8s.io | tokenreviews
create | authorization.k8s.io | subjectaccessreviews
[system:aggregate-to-admin]
create | authorization.k8s.io | localsubjectaccessreviews
ALL | rbac.authorization.k8s.io | rolebindings roles
[system:aggregate-to-edit]
READ | core | pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy
impersonate | core | serviceaccounts
WRITE | core | pods pods/attach pods/exec pods/portforward pods/proxy
create | core | pods/eviction
WRITE | core | configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale
    secrets serviceaccounts services services/proxy
create | core | serviceaccounts/token
WRITE | apps | daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale
    statefulsets statefulsets/scale
WRITE | autoscaling | horizontalpodautoscalers
WRITE | batch | cronjobs jobs
WRITE | extensions | daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies
    replicasets replicasets/scale replicationcontrollers/scale
WRITE | policy | poddisruptionbudgets
WRITE | networking.k8s.io | ingresses networkpolicies
ALL | coordination.k8s.io | leases
WRITE | resource.k8s.io | resourceclaims resourceclaimtemplates
[system:aggregate-to-view]
READ | core | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods
    replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status
READ | core | bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status
    resourcequotas resourcequotas/status
READ | core | namespaces
READ | discovery.k8s.io | endpointslices
READ | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status
    replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status
READ | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status
READ | batch | cronjobs cronjobs/status jobs jobs/status
READ | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses
    ingresses/status networkpolicies replicasets replicasets/scale replicasets/status
    replicationcontrollers/scale
READ | policy | poddisruptionbudgets poddisruptionbudgets/status
READ | networking.k8s.io | ingresses ingresses/status networkpolicies
READ | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates
[argo-aggregate-to-admin]
ALL | argoproj.io | workflows workflows/finalizers workfloweventbindings workfloweventbindings/finalizers
    workflowtemplates workflowtemplates/finalizers cronworkflows cronworkflows/finalizers
    clusterworkflowtemplates clusterworkflowtemplates/finalizers workflowtasksets workflowtasksets/finalizers
    workflowtaskresults workflowtaskresults/finalizers
[argo-aggregate-to-edit]
ALL | argoproj.io | workflows workflows/finalizers workfloweventbindings workfloweventbindings/finalizers
    workflowtemplates workflowtemplates/finalizers cronworkflows cronworkflows/finalizers
    clusterworkflowtemplates clusterworkflowtemplates/finalizers workflowtaskresults
    workflowtaskresults/finalizers
[argo-aggregate-to-view]
READ | argoproj.io | workflows workflows/finalizers workfloweventbindings workfloweventbindings/finalizers
    workflowtemplates workflowtemplates/finalizers cronworkflows cronworkflows/finalizers
    clusterworkflowtemplates clusterworkflowtemplates/finalizers workflowtaskresults
    workflowtaskresults/finalizers
"""
AGGREGATED = ("admin", "edit", "view")  # aggregated from the roles with a matching label
BOUND = {
    "cluster-admin": ["system:masters"],
    "system:basic-user": ["system:authenticated"],
    "system:discovery": ["system:authenticated"],
    "system:monitoring": ["system:monitoring"],
    "system:public-info-viewer": ["system:authenticated", "system:unauthenticated"],
}
API = "rbac.authorization.k8s.io"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
MARKS: Object = {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}, "annotations": {AUTOUPDATE: "true"}}


def _into(role: str) -> str:
    return f"{API}/aggregate-to-{role}"


def _meta(name: str) -> Object:
    labels = {} if name.startswith("argo-") else dict(MARKS["labels"])
    part = re.search(r"aggregate-to-(\w+)$", name)
    if part:
        labels[_into(part[1])] = "true"
    elif name in AGGREGATED[1:]:
        labels[_into(AGGREGATED[AGGREGATED.index(name) - 1])] = "true"
    marks = {} if name.startswith("argo-") else {"annotations": dict(MARKS["annotations"])}
    return {"name": name, "labels": labels} | marks


def roles() -> list[Object]:
    parts = re.split(r"^\[(.+)\]$", TABLE.replace("\n    ", " "), flags=re.MULTILINE)
    found = [
        {"metadata": _meta(n), "rules": table.rules(text)} for n, text in zip(parts[1::2], parts[2::2], strict=True)
    ]
    for name in AGGREGATED:
        selector = {"matchLabels": {_into(name): "true"}}
        found.append({"metadata": _meta(name), "aggregationRule": {"clusterRoleSelectors": [selector]}})
    return found


def bindings() -> list[Object]:
    return [
        {
            "metadata": _meta(name),
            "roleRef": {"apiGroup": API, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": API, "kind": "Group", "name": group} for group in groups],
        }
        for name, groups in BOUND.items()
    ]


def ensure(store: Store) -> None:
    """Create missing objects, and add missing rules and subjects."""
    for role in roles():
        found = store.find(CLUSTERROLES, "", role["metadata"]["name"])
        if found is None:
            store.create(CLUSTERROLES, role)
        elif _kept(found) and "rules" in role:
            held = found.get("rules") or []
            if lost := [rule for rule in role["rules"] if missing([Rule.of(h) for h in held], [rule])]:
                store.update(CLUSTERROLES, found | {"rules": [*held, *lost]})
    for binding in bindings():
        found = store.find(CLUSTERROLEBINDINGS, "", binding["metadata"]["name"])
        if found is None:
            store.create(CLUSTERROLEBINDINGS, binding)
        elif _kept(found):
            held = found.get("subjects") or []
            if lost := [subject for subject in binding["subjects"] if subject not in held]:
                store.update(CLUSTERROLEBINDINGS, found | {"subjects": [*held, *lost]})


def _kept(obj: Object) -> bool:
    return (obj["metadata"].get("annotations") or {}).get(AUTOUPDATE) == "true"
