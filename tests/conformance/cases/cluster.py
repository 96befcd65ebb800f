"""Services, endpoints, namespaces, owners, watches, discovery, explanations."""

from __future__ import annotations

from typing import Any

from ..lab import MERGE_PATCH, Lab, Object
from ._make import configmap, deployment, pod, service


def service_as_created(lab: Lab) -> Any:
    made = {"plain": service(), "headless": service("h", clusterIP="None"), "named": service("n", ports=[
        {"port": 80, "name": "http", "targetPort": "web"}, {"port": 81, "name": "other"}])}  # fmt: skip
    return {name: lab.view(lab.create(obj)) for name, obj in made.items()}


def service_without_selector(lab: Lab) -> Any:
    made = service()
    del made["spec"]["selector"]
    lab.create(made)
    return {"service": lab.view(lab.get("services/web"), "spec"), "described": lab.kubectl("describe", "svc", "web")}


def service_finds_its_pods(lab: Lab) -> Any:
    main = {"ports": [{"containerPort": 8080}]}
    lab.create(service())
    lab.create(pod("web", "sleep 1000", main=main))
    lab.condition("pods", "web", "Ready")
    slices = lab.until("endpoints", "web", lambda e: any(s.get("addresses") for s in e.get("subsets") or ()))
    answer = lab.call("GET", "endpoints/web")
    (found,) = lab.items("endpointslices", "kubernetes.io/service-name=web")
    lab.delete("pods/web")
    lab.gone("pods", "web")
    empty = lab.until("endpoints", "web", lambda e: not e.get("subsets"))
    meta = ("generateName", "labels", "ownerReferences")
    return {
        "endpoints": lab.view(slices["subsets"]),
        "labels": lab.view(slices["metadata"].get("labels")),
        "warnings": answer.warnings,
        "slice": {k: lab.view(found.get(k)) for k in ("addressType", "endpoints", "ports")},
        "meta": {k: lab.view(found["metadata"].get(k)) for k in meta},
        "empty": "subsets" in empty,
        "get": lab.kubectl("get", "svc,ep"),
    }


def service_of_unready_pods(lab: Lab) -> Any:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    lab.create(service())
    lab.create(pod("web", "sleep 1000", main={"readinessProbe": probe, "ports": [{"containerPort": 8080}]}))
    found = lab.until("endpoints", "web", lambda e: any(s.get("notReadyAddresses") for s in e.get("subsets") or ()))
    slices = lab.items("endpointslices", "kubernetes.io/service-name=web")
    return {
        "endpoints": lab.view(found["subsets"]),
        "conditions": [e["conditions"] for s in slices for e in s["endpoints"]],
    }


def service_described(lab: Lab) -> Any:
    lab.create(service())
    return {
        "described": lab.kubectl("describe", "svc", "web"),
        "get": lab.kubectl("get", "svc", "web", "-o", "wide"),
        "deleted": lab.says(lab.delete("services/web")),
    }


def namespace_lives(lab: Lab) -> Any:
    name = lab.ns + "-more"
    made = lab.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}"
    lab.call("POST", f"{path}/configmaps", {"metadata": {"name": "c", "finalizers": ["example.com/hold"]}})
    deleted = lab.call("DELETE", path)
    refused = lab.refused("POST", f"{path}/configmaps", configmap("d"))
    again = lab.call("DELETE", path)

    def held(obj: Object) -> bool:
        found = obj["status"].get("conditions") or []
        return any(c["type"] == "NamespaceContentRemaining" and c["status"] == "True" for c in found)

    waits = lab.until("/api/v1/namespaces", name, held, 60)
    lab.call("PATCH", f"{path}/configmaps/c", {"metadata": {"finalizers": None}}, MERGE_PATCH)
    lab.gone("/api/v1/namespaces", name, 60)
    return {
        "made": lab.says(made),
        "deleted": lab.says(deleted),
        "refused": refused,
        "again": lab.says(again),
        "waits": lab.view(waits, "status", "spec"),
        "gone": lab.refused("GET", path),
    }


def namespace_in_kubectl(lab: Lab) -> Any:
    return {
        "get": lab.kubectl("get", "namespace", lab.ns),
        "described": lab.kubectl("describe", "namespace", lab.ns),
        "all": lab.kubectl("get", "all"),
        "roots": lab.kubectl("get", "cm,sa,secret"),
    }


def owners_and_policies(lab: Lab) -> Any:
    def owned(name: str, owner: Object, **more: Any) -> Object:
        ref = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
        }
        return configmap(name) | {"metadata": {"name": name, "ownerReferences": [ref | more]}}

    first = lab.create(configmap("first"))
    lab.create(owned("child", first))
    lab.delete("configmaps/first")
    lab.gone("configmaps", "child")
    second = lab.create(configmap("second"))
    lab.create(owned("kept", second))
    orphaned = lab.delete("configmaps/second", propagationPolicy="Orphan")
    lab.gone("configmaps", "second")
    kept = lab.get("configmaps/kept")
    third = lab.create(configmap("third"))
    lab.create(owned("blocking", third, blockOwnerDeletion=True))
    foreground = lab.delete("configmaps/third", propagationPolicy="Foreground")
    lab.gone("configmaps", "third")
    absent = {"apiVersion": "v1", "kind": "ConfigMap", "name": "zz", "uid": "00000000-0000-0000-0000-000000000000"}
    lab.create(configmap("lost") | {"metadata": {"name": "lost", "ownerReferences": [absent]}})
    lab.gone("configmaps", "lost")
    no_uid = configmap("bad") | {"metadata": {"name": "bad", "ownerReferences": [absent | {"uid": ""}]}}
    two = [absent | {"controller": True}, absent | {"name": "y", "controller": True}]
    return {
        "orphaned": lab.says(orphaned),
        "kept": lab.view(kept["metadata"].get("ownerReferences")),
        "foreground": lab.says(foreground),
        "after": lab.refused("GET", "configmaps/blocking"),
        "no uid": lab.refused("POST", "configmaps", no_uid),
        "two controllers": lab.refused(
            "POST", "configmaps", configmap("two") | {"metadata": {"name": "two", "ownerReferences": two}}
        ),
    }


def watches(lab: Lab) -> Any:
    start = lab.get("configmaps")["metadata"]["resourceVersion"]
    lab.create(configmap("a", v="1"))
    lab.patch("configmaps/a", {"data": {"v": "2"}})
    lab.patch("configmaps/a", {"metadata": {"labels": {"seen": "yes"}}})
    lab.patch("configmaps/a", {"metadata": {"labels": {"seen": None}}})
    lab.delete("configmaps/a")

    def seen(**query: Any) -> list[Any]:
        found = []
        for event in lab.watch("configmaps", 2 / lab.engine.patience, **query):
            obj = event["object"]
            name = obj.get("metadata", {}).get("name")
            if name != "kube-root-ca.crt":
                found.append([event["type"], name, obj.get("data"), lab.view(obj.get("metadata", {}).get("labels"))])
        return found

    return {
        "all": seen(resourceVersion=start),
        "labelled": seen(resourceVersion=start, labelSelector="seen=yes"),
        "named": seen(resourceVersion=start, fieldSelector="metadata.name=zz"),
    }


def watch_shapes(lab: Lab) -> Any:
    lab.create(configmap("a", v="1"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    found = []
    for event in lab.watch("configmaps", 10, fieldSelector="metadata.name=a", **query):
        found.append(lab.view(event))
        if event["type"] == "BOOKMARK":
            break
    return {
        "initial": found,
        "wrong": lab.refused("GET", "configmaps", watch="true", sendInitialEvents="true"),
        "version": lab.refused("GET", "configmaps", watch="true", resourceVersion="x"),
        "continue": lab.refused("GET", "configmaps", watch="true", **{"continue": "x"}),
    }


def discovered(lab: Lab) -> Any:
    groups = {"/api/v1": ("pods", "services", "namespaces", "configmaps", "pods/log", "pods/exec", "events"),
              "/apis/apps/v1": ("deployments", "replicasets", "deployments/scale", "deployments/status"),
              "/apis/batch/v1": ("jobs", "jobs/status"), "/apis/kubeflow.org/v1": ("tfjobs", "tfjobs/status"),
              "/apis/argoproj.io/v1alpha1": ("workflows", "workflowtemplates")}  # fmt: skip
    dropped = ("storageVersionHash",)
    return {
        path: [
            {k: sorted(v) if k == "verbs" else v for k, v in r.items() if k not in dropped}
            for r in sorted(lab.get(path)["resources"], key=lambda r: r["name"])
            if r["name"] in names
        ]
        for path, names in groups.items()
    }


def explained(lab: Lab) -> Any:
    """The heads of what explain says, and the fields' names and types."""
    found = {}
    for what in (
        "pod",
        "pod.spec.containers.env",
        "deployment.spec.strategy",
        "job.spec.completionMode",
        "tfjob",
        "workflow",
    ):
        said = lab.kubectl("explain", what)
        lines = [line for line in said["out"] if line[:1].isupper() or (line.startswith("  ") and "\t" in line)]
        found[what] = [said["code"], lines]
    return found | {"absent": lab.kubectl("explain", "pod.spec.nothing"), "kind": lab.kubectl("explain", "thing")}


def asked_whether_allowed(lab: Lab) -> Any:
    return {
        "may": lab.kubectl("auth", "can-i", "create", "pods"),
        "as account": lab.kubectl("auth", "can-i", "create", "pods", f"--as=system:serviceaccount:{lab.ns}:default"),
        "resource": lab.kubectl("auth", "can-i", "get", "things"),
    }


def events_listed(lab: Lab) -> Any:
    lab.create(pod("x", "true"))
    lab.ended("x")
    lab.events("x")
    (one,) = [e for e in lab.items("events") if e["reason"] == "Started"]
    one = lab.view(one)
    one["metadata"].pop("name")
    return {
        "event": one,
        "kubectl": sorted(lab.kubectl("events", "--for", "pod/x")["out"]),
        "get": sorted(lab.kubectl("get", "events", "--field-selector", "involvedObject.name=x")["out"]),
        "selected": len(lab.get("events", fieldSelector="reason=Nothing")["items"]),
    }


def outputs_of_get(lab: Lab) -> Any:
    lab.create(deployment("web", 0))
    path = '{.metadata.name}{"\\t"}{.spec.replicas}{"\\n"}'
    return {
        "jsonpath": lab.kubectl("get", "deploy", "web", "-o", f"jsonpath={path}"),
        "go": lab.kubectl("get", "deploy", "web", "-o", "go-template={{.kind}} {{len .spec.template.spec.containers}}"),
        "no headers": lab.kubectl("get", "deploy", "--no-headers"),
        "sorted": lab.kubectl("get", "deploy", "--sort-by=.metadata.name"),
        "wrong path": lab.kubectl("get", "deploy", "web", "-o", "jsonpath={.a.b}"),
        "kind": lab.kubectl("get", "deploy", "web", "--show-kind"),
        "missing": lab.kubectl("get", "deploy", "web", "zz"),
        "claims": lab.kubectl("get", "pvc"),
    }
