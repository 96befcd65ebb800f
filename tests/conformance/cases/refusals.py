"""What a server refuses, and in which words: creations, patches, options, selectors, names."""

from __future__ import annotations

import json
from typing import Any

from ..lab import APPLY, JSON_PATCH, MERGE_PATCH, STRATEGIC, Lab, Object
from ._make import configmap, container, deployment, job, pod, service


def _each(lab: Lab, resource: str, made: dict[str, Any]) -> Any:
    return {name: lab.refused("POST", resource, body, dryRun="All") for name, body in made.items()}


def _with(obj: Object, path: str, value: Any) -> Object:
    """`obj` with one field set (`spec.containers.0.name`); None removes it."""
    at: Any = obj
    *way, last = path.split(".")
    for part in way:
        at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
    if value is None:
        at.pop(last)
    else:
        at[int(last) if isinstance(at, list) else last] = value
    return obj


def pod_names(lab: Lab) -> Any:
    names = ["Upper", "a_b", "-a", "a" * 254, "a..b", ""]
    made = {repr(n)[:12]: pod("x") | {"metadata": {"name": n}} for n in names}
    return _each(lab, "pods", made)


def pod_containers(lab: Lab) -> Any:
    two = [container("true"), container("true")]
    changes = {
        "none": ("spec.containers", []),
        "missing": ("spec.containers", None),
        "twice": ("spec.containers", two),
        "no name": ("spec.containers.0.name", None),
        "name": ("spec.containers.0.name", "A_b"),
        "no image": ("spec.containers.0.image", None),
        "image blank": ("spec.containers.0.image", " busybox"),
        "policy": ("spec.containers.0.imagePullPolicy", "Sometimes"),
        "relative": ("spec.containers.0.volumeMounts", [{"name": "v", "mountPath": "/v"}]),
        "message policy": ("spec.containers.0.terminationMessagePolicy", "Never"),
    }
    return _each(lab, "pods", {n: _with(pod("x", "true"), *change) for n, change in changes.items()})


def pod_fields(lab: Lab) -> Any:
    changes = {
        "restart": ("spec.restartPolicy", "Sometimes"),
        "deadline": ("spec.activeDeadlineSeconds", 0),
        "grace": ("spec.terminationGracePeriodSeconds", -1),
        "dns": ("spec.dnsPolicy", "Mine"),
        "labels": ("metadata.labels", {"bad key!": "v"}),
        "label value": ("metadata.labels", {"k": "bad value!"}),
        "annotations": ("metadata.annotations", {"bad key!": "v"}),
        "selector": ("spec.nodeSelector", {"a b": "c"}),
        "account": ("spec.serviceAccountName", "absent"),
        "finalizers": ("metadata.finalizers", ["hold"]),
        "hostname": ("spec.hostname", "A.b"),
        "toleration": ("spec.tolerations", [{"key": "a", "operator": "Equals"}]),
    }
    return _each(lab, "pods", {n: _with(pod("x", "true"), *change) for n, change in changes.items()})


def pod_environment(lab: Lab) -> Any:
    env: dict[str, list[Any]] = {
        "no name": [{"value": "a"}],
        "name": [{"name": "a=b", "value": "1"}],
        "both": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "field": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nothing"}}}],
        "empty source": [{"name": "A", "valueFrom": {}}],
        "no key": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c"}}}],
        "resource": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gold"}}}],
        "number": [{"name": "A", "value": 1}],
    }
    return _each(lab, "pods", {n: _with(pod("x", "true"), "spec.containers.0.env", e) for n, e in env.items()})


def pod_resources(lab: Lab) -> Any:
    kinds: dict[str, Any] = {
        "negative": {"limits": {"cpu": "-1"}},
        "request over limit": {"limits": {"memory": "1Mi"}, "requests": {"memory": "2Mi"}},
        "unit": {"limits": {"memory": "1 GB"}},
        "unknown": {"limits": {"gold": "1"}},
        "several": {"limits": {"cpu": "-1", "memory": "-1"}},
        "extended": {"requests": {"example.com/gpu": "1"}},
        "fraction": {"limits": {"example.com/gpu": "500m"}},
    }
    made = {n: _with(pod("x", "true"), "spec.containers.0.resources", r) for n, r in kinds.items()}
    return _each(lab, "pods", made)


def pod_volumes(lab: Lab) -> Any:
    kinds: dict[str, Any] = {
        "no name": [{"emptyDir": {}}],
        "twice": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}],
        "two sources": [{"name": "v", "emptyDir": {}, "configMap": {"name": "c"}}],
        "no source name": [{"name": "v", "configMap": {}}],
        "no claim name": [{"name": "v", "persistentVolumeClaim": {}}],
        "path": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "a", "path": "../a"}]}}],
        "mode": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 9999}}],
        "size": [{"name": "v", "emptyDir": {"sizeLimit": "-1Mi"}}],
    }
    mounts: dict[str, Any] = {
        "path twice": [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v"}],
        "no path": [{"name": "v"}],
        "colon": [{"name": "v", "mountPath": "/a:b"}],
        "sub path": [{"name": "v", "mountPath": "/v", "subPath": "../x"}],
        "absolute sub path": [{"name": "v", "mountPath": "/v", "subPath": "/x"}],
    }
    empty = [{"name": "v", "emptyDir": {}}]
    made = {n: _with(pod("x", "true"), "spec.volumes", v) for n, v in kinds.items()}
    for name, mount in mounts.items():
        made[name] = _with(pod("x", "true", volumes=empty), "spec.containers.0.volumeMounts", mount)
    return _each(lab, "pods", made)


def pod_probes(lab: Lab) -> Any:
    probes: dict[str, Any] = {
        "no handler": {"periodSeconds": 1},
        "two handlers": {"exec": {"command": ["true"]}, "tcpSocket": {"port": 80}},
        "negative": {"exec": {"command": ["true"]}, "periodSeconds": -1},
        "no command": {"exec": {}},
        "port": {"httpGet": {"port": 70000}},
        "port name": {"httpGet": {"port": "Bad_Name"}},
        "success": {"exec": {"command": ["true"]}, "successThreshold": 2},
    }
    return _each(
        lab, "pods", {n: _with(pod("x", "true"), "spec.containers.0.livenessProbe", p) for n, p in probes.items()}
    )


def pod_ports(lab: Lab) -> Any:
    ports: dict[str, Any] = {
        "none": [{"name": "a"}],
        "large": [{"containerPort": 70000}],
        "name": [{"containerPort": 80, "name": "Http_1"}],
        "long name": [{"containerPort": 80, "name": "a-very-long-port-name"}],
        "name twice": [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}],
        "protocol": [{"containerPort": 80, "protocol": "HTTP"}],
    }
    made = {n: _with(pod("x", "true"), "spec.containers.0.ports", p) for n, p in ports.items()}
    return _each(lab, "pods", made)


def pod_with_many_faults(lab: Lab) -> Any:
    made = pod("x", "true", restartPolicy="Sometimes", dnsPolicy="Mine")
    made["spec"]["containers"] = [{"name": "A", "env": [{"name": ""}]}, {"image": "x"}]
    made["spec"]["volumes"] = [{"name": "v v", "configMap": {}}]
    return lab.refused("POST", "pods", made)


def pod_init_containers(lab: Lab) -> Any:
    probe = {"exec": {"command": ["true"]}}
    inits: dict[str, Any] = {
        "same name": [container("true", "main")],
        "probe": [container("true", "first", readinessProbe=probe)],
        "policy": [container("true", "first", restartPolicy="OnFailure")],
        "no image": [{"name": "first"}],
    }
    return _each(lab, "pods", {n: _with(pod("x", "true"), "spec.initContainers", i) for n, i in inits.items()})


def pod_updates(lab: Lab) -> Any:
    lab.create(pod("x", "sleep 1000"))
    patches: dict[str, Any] = {
        "command": {"spec": {"containers": [{"name": "main", "command": ["true"]}]}},
        "env": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}},
        "restart": {"spec": {"restartPolicy": "Always"}},
        "name": {"metadata": {"name": "y"}},
        "other uid": {"metadata": {"uid": "other"}},
        "namespace": {"metadata": {"namespace": "other"}},
        "grace": {"spec": {"terminationGracePeriodSeconds": 5}},
        "another container": {"spec": {"containers": [{"name": "more", "image": "busybox:1.36"}]}},
        "version": {"metadata": {"resourceVersion": "1"}},
        "kind": {"kind": "Service"},
        "labels": {"metadata": {"labels": {"bad key!": "1"}}},
    }
    return {n: _body(lab.refused("PATCH", "pods/x", p, STRATEGIC)) for n, p in patches.items()}


def _body(said: Any) -> Any:
    """Without the long difference of specs that is shown for a pod."""
    body = said.get("body", {})
    for text in ("message",):
        if isinstance(body, dict) and "\n" in body.get(text, ""):
            body[text] = body[text].split("\n")[0]
    for cause in body.get("details", {}).get("causes", []) if isinstance(body, dict) else []:
        cause["message"] = cause["message"].split("\n")[0]
    return said


def json_patches(lab: Lab) -> Any:
    lab.create(configmap("c", a="1"))
    patches: dict[str, Any] = {
        "test fails": [{"op": "test", "path": "/data/a", "value": "2"}],
        "test absent": [{"op": "test", "path": "/data/zz", "value": "2"}],
        "remove absent": [{"op": "remove", "path": "/data/zz"}],
        "replace absent": [{"op": "replace", "path": "/data/zz", "value": "1"}],
        "add below absent": [{"op": "add", "path": "/nothing/zz", "value": "1"}],
        "unknown op": [{"op": "change", "path": "/data/a", "value": "1"}],
        "no path": [{"op": "add", "value": "1"}],
        "copy absent": [{"op": "copy", "from": "/data/zz", "path": "/data/b"}],
        "not a list": {"op": "add"},
        "wrong type": [{"op": "add", "path": "/data", "value": "text"}],
        "number": [{"op": "add", "path": "/data/b", "value": 1}],
        "no op": [{"path": "/data/a"}],
    }
    found = {n: lab.refused("PATCH", "configmaps/c", p, JSON_PATCH, dryRun="All") for n, p in patches.items()}
    for name in ("number", "wrong type"):  # these show the whole object
        found[name] = {k: v for k, v in found[name].items() if k == "code"}
    found["broken"] = lab.refused("PATCH", "configmaps/c", "[{", JSON_PATCH)
    found["absent object"] = lab.refused("PATCH", "configmaps/zz", [], JSON_PATCH)
    found["nothing"] = lab.refused("PATCH", "configmaps/c", [], JSON_PATCH)
    return found


def merge_patches(lab: Lab) -> Any:
    lab.create(configmap("c", a="1"))
    return {
        "list": lab.refused("PATCH", "configmaps/c", [1], MERGE_PATCH),
        "text": lab.refused("PATCH", "configmaps/c", '"a"', MERGE_PATCH),
        "broken": lab.refused("PATCH", "configmaps/c", '{"data":', MERGE_PATCH),
        "empty": lab.refused("PATCH", "configmaps/c", "", MERGE_PATCH),
        "wrong type": lab.refused("PATCH", "configmaps/c", {"data": ["a"]}, MERGE_PATCH),
        "number": lab.refused("PATCH", "configmaps/c", {"data": {"a": 1}}, MERGE_PATCH),
        "bad key": lab.refused("PATCH", "configmaps/c", {"data": {"a/b": "1"}}, MERGE_PATCH),
        "stale": lab.refused("PATCH", "configmaps/c", {"metadata": {"resourceVersion": "1"}}, MERGE_PATCH),
        "media type": lab.refused("PATCH", "configmaps/c", {"data": {}}, "application/json"),
        "unknown field": lab.refused("PATCH", "configmaps/c", {"dta": {}}, MERGE_PATCH),
        "unknown strict": lab.refused("PATCH", "configmaps/c", {"dta": {}}, MERGE_PATCH, fieldValidation="Strict"),
        "removed": lab.view(lab.patch("configmaps/c", {"data": {"a": None, "b": "2"}}), "data"),
    }


def strategic_patches(lab: Lab) -> Any:
    lab.create(deployment("web", 0))
    path = "deployments/web"
    spec = "spec.template.spec.containers"

    def sent(body: Any) -> Any:
        return lab.refused("PATCH", path, body, STRATEGIC)

    def containers(*patches: Any) -> Any:
        body = {"spec": {"template": {"spec": {"containers": list(patches)}}}}
        made = lab.call("PATCH", path, body, STRATEGIC, dryRun="All")
        if made.code != 200:
            return lab.says(made)
        return [{k: c.get(k) for k in ("name", "image", "env")} for c in lab.view(made.body, spec)[spec]]

    two = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    return {
        "added": containers({"name": "c", "image": "c"}),
        "changed": containers({"name": "main", "env": two}),
        "removed": containers({"name": "c", "image": "c"}, {"name": "main", "$patch": "delete"}),
        "replaced": containers({"$patch": "replace"}, {"name": "c", "image": "c"}),
        "no key": containers({"image": "c"}),
        "directive": containers({"name": "main", "$patch": "explode"}),
        "order": containers({"name": "c", "image": "c"}, {"name": "main", "image": "m"}),
        "list for map": sent({"metadata": {"labels": ["a"]}}),
        "map for list": sent({"spec": {"template": {"spec": {"containers": {"name": "a"}}}}}),
        "text for number": sent({"spec": {"replicas": "two"}}),
        "broken": sent('{"spec":'),
        "array": sent([]),
    }


def applied(lab: Lab) -> Any:
    made = configmap("c", a="1", b="2")
    first = lab.call("PATCH", "configmaps/c", made, APPLY, fieldManager="one")
    conflict = lab.refused("PATCH", "configmaps/c", configmap("c", a="9"), APPLY, fieldManager="two")
    forced = lab.call("PATCH", "configmaps/c", configmap("c", a="9"), APPLY, fieldManager="two", force="true")
    dropped = lab.call("PATCH", "configmaps/c", configmap("c"), APPLY, fieldManager="one")
    return {
        "no manager": lab.refused("PATCH", "configmaps/c", made, APPLY),
        "first": [first.code, lab.view(first.body)],
        "conflict": conflict,
        "forced": [forced.code, lab.view(forced.body, "data")],
        "dropped": [dropped.code, lab.view(dropped.body, "data")],
        "other name": lab.refused("PATCH", "configmaps/c", configmap("d"), APPLY, fieldManager="one"),
        "no kind": lab.refused("PATCH", "configmaps/c", {"metadata": {"name": "c"}}, APPLY, fieldManager="one"),
        "unknown": lab.refused("PATCH", "configmaps/c", made | {"dta": 1}, APPLY, fieldManager="one"),
        "managed": lab.refused(
            "PATCH", "configmaps/c", _with(made, "metadata.managedFields", [{}]), APPLY, fieldManager="one"
        ),
        "broken": lab.refused("PATCH", "configmaps/c", "{a: b: c", APPLY, fieldManager="one"),
    }


def bodies(lab: Lab) -> Any:
    path = lab.path("configmaps")

    def sent(body: Any, content_type: str = "application/json", **query: Any) -> Any:
        return lab.refused("POST", path, body, content_type, **query)

    other = configmap("c") | {"metadata": {"name": "c", "namespace": "default"}}
    return {
        "broken": sent('{"metadata":'),
        "empty": sent(""),
        "list": sent("[]"),
        "text": sent('"a"'),
        "yaml": sent("metadata: {name: [", "application/yaml"),
        "media type": sent("{}", "text/plain"),
        "kind": sent(pod("x", "true")),
        "version": sent(configmap("c") | {"apiVersion": "v2"}),
        "group": sent(configmap("c") | {"apiVersion": "apps/v1"}),
        "namespace": sent(other),
        "no name": sent({"data": {}}),
        "data type": sent(configmap("c") | {"data": "text"}),
        "data key": sent(configmap("c", **{"a/b": "1"})),
        "number": sent(configmap("c") | {"data": {"a": 1}}),
        "version set": sent(_with(configmap("c"), "metadata.resourceVersion", "5")),
        "labels": sent(_with(configmap("c"), "metadata.labels", ["a"])),
    }


def field_validation(lab: Lab) -> Any:
    made = _with(deployment("web", 0), "spec.replica", 3)
    made = _with(made, "spec.template.spec.containers.0.imagee", "x")
    twice = '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"t"},"data":{"a":"1","a":"2"}}'
    return {
        "strict": lab.refused("POST", "deployments", made, fieldValidation="Strict"),
        "warn": lab.refused("POST", "deployments", made, fieldValidation="Warn", dryRun="All"),
        "ignore": lab.refused("POST", "deployments", made, fieldValidation="Ignore", dryRun="All"),
        "default": lab.refused("POST", "deployments", made, dryRun="All"),
        "unknown": lab.refused("POST", "deployments", made, fieldValidation="Maybe"),
        "twice": lab.refused("POST", "configmaps", twice, fieldValidation="Strict"),
        "twice warns": lab.refused("POST", "configmaps", twice),
        "kubectl": lab.kubectl("apply", "-f", "-", stdin=json.dumps(made)),
    }


def dry_runs(lab: Lab) -> Any:
    made = lab.call("POST", "configmaps", configmap("c", a="1"), dryRun="All")
    absent = lab.refused("GET", "configmaps/c")
    lab.create(configmap("d", a="1"))
    deleted = lab.call("DELETE", "configmaps/d", dryRun="All")
    patched = lab.call("PATCH", "configmaps/d", {"data": {"a": "2"}}, MERGE_PATCH, dryRun="All")
    return {
        "made": lab.says(made),
        "absent": absent,
        "wrong": lab.refused("POST", "configmaps", configmap("e"), dryRun="Some"),
        "deleted": lab.says(deleted),
        "patched": lab.view(patched.body, "data"),
        "still": lab.view(lab.get("configmaps/d"), "data"),
        "kubectl client": lab.kubectl("create", "configmap", "f", "--from-literal=a=1", "--dry-run=client"),
        "kubectl server": lab.kubectl("create", "configmap", "f", "--from-literal=a=1", "--dry-run=server"),
    }


def conflicts(lab: Lab) -> Any:
    old = lab.create(configmap("c", a="1"))
    lab.patch("configmaps/c", {"data": {"a": "2"}})
    precondition = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    version = {"preconditions": {"resourceVersion": "1"}}
    no_version = configmap("c", a="4")
    said = lab.refused("DELETE", "configmaps/c", version)
    said["body"]["message"] = said["body"]["message"].split(" in record (")[0]
    return {
        "exists": lab.refused("POST", "configmaps", configmap("c")),
        "stale": lab.refused("PUT", "configmaps/c", old | {"data": {"a": "3"}}),
        "other uid": lab.refused("DELETE", "configmaps/c", precondition),
        "version": said,
        "other name": lab.refused("PUT", "configmaps/c", configmap("d")),
        "absent": lab.refused("PUT", "configmaps/zz", configmap("zz")),
        "no version": lab.view(lab.call("PUT", "configmaps/c", no_version).body, "data"),
    }


def not_found(lab: Lab) -> Any:
    return {
        "object": lab.refused("GET", "configmaps/zz"),
        "deployment": lab.refused("GET", "deployments/zz"),
        "custom": lab.refused("GET", "tfjobs/zz"),
        "resource": lab.refused("GET", f"/api/v1/namespaces/{lab.ns}/things"),
        "group": lab.says(lab.call("GET", f"/apis/example.com/v1/namespaces/{lab.ns}/things")),
        "version": lab.says(lab.call("GET", f"/apis/apps/v9/namespaces/{lab.ns}/deployments")),
        "path": lab.says(lab.call("GET", "/nothing")),
        "subresource": lab.refused("GET", "pods/zz/nothing"),
        "delete": lab.refused("DELETE", "configmaps/zz"),
        "namespace": lab.refused("POST", "/api/v1/namespaces/no-such-ns/configmaps", configmap("c")),
        "list there": lab.call("GET", "/api/v1/namespaces/no-such-ns/configmaps").body["items"],
        "method": lab.refused("POST", "configmaps/zz", configmap("zz")),
        "kubectl": lab.kubectl("get", "things"),
        "kubectl object": lab.kubectl("get", "deploy/zz"),
    }


def selectors(lab: Lab) -> Any:
    lab.create(configmap("a") | {"metadata": {"name": "a", "labels": {"tier": "front", "v": "1"}}})
    lab.create(configmap("b") | {"metadata": {"name": "b", "labels": {"tier": "back"}}})

    def chosen(selector: str, **more: Any) -> Any:
        answer = lab.call("GET", "configmaps", labelSelector=selector, **more)
        if answer.code != 200:
            return lab.says(answer)
        return sorted(o["metadata"]["name"] for o in answer.body["items"])

    def fields(selector: str, resource: str = "configmaps") -> Any:
        answer = lab.call("GET", resource, fieldSelector=selector)
        return sorted(o["metadata"]["name"] for o in answer.body["items"]) if answer.code == 200 else lab.says(answer)

    good = ["tier=front", "tier==back", "tier!=front", "tier in (front, back)", "tier notin (front)", "v", "!v,tier",
            "tier=front,v=1", "tier=", "v>0", "v<1"]  # fmt: skip
    bad = [
        "tier in front",
        "=x",
        "tier in ()",
        "a b",
        "tier=a,,b",
        "bad key!",
        "tier=bad value",
        "v>x",
        "(",
        "tier in (a",
    ]
    return {
        "good": {s: chosen(s) for s in good},
        "bad": {s: chosen(s) for s in bad},
        "field": fields("metadata.name=a"),
        "not": fields("metadata.name!=a,metadata.name!=kube-root-ca.crt"),
        "unknown field": fields("data.a=1"),
        "bad field": fields("metadata.name"),
        "pods": fields("spec.nothing=1", "pods"),
        "deployments": fields("status.replicas=1", "deployments"),
        "tfjobs": fields("status.x=1", "tfjobs"),
        "kubectl": lab.kubectl("get", "cm", "-l", "a in b"),
    }


def lists(lab: Lab) -> Any:
    lab.create(*(configmap(f"c{i}") for i in range(5)))
    first = lab.get("configmaps", limit=2, fieldSelector="metadata.name!=kube-root-ca.crt")
    rest = lab.get("configmaps", limit=9, **{"continue": first["metadata"]["continue"]},
                   fieldSelector="metadata.name!=kube-root-ca.crt")  # fmt: skip
    return {
        "first": [o["metadata"]["name"] for o in first["items"]],
        "kind": [first["kind"], first["apiVersion"], "kind" in first["items"][0]],
        "rest": [o["metadata"]["name"] for o in rest["items"]],
        "ended": "continue" in rest["metadata"],
        "bad token": lab.refused("GET", "configmaps", **{"continue": "nonsense"}),
        "bad version": lab.refused("GET", "configmaps", resourceVersion="abc"),
        "bad limit": lab.refused("GET", "configmaps", limit="x"),
        "bad match": lab.refused("GET", "configmaps", resourceVersionMatch="Exact"),
        "wrong match": lab.refused("GET", "configmaps", resourceVersion="1", resourceVersionMatch="Sometimes"),
        "empty": lab.get("secrets")["items"],
    }


def services(lab: Lab) -> Any:
    changes: dict[str, Any] = {
        "no ports": ("spec.ports", []),
        "port": ("spec.ports.0.port", 70000),
        "name": ("metadata.name", "1web"),
        "long": ("metadata.name", "a" * 64),
        "two unnamed": ("spec.ports", [{"port": 80}, {"port": 81}]),
        "same": ("spec.ports", [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]),
        "type": ("spec.type", "Outside"),
        "address": ("spec.clusterIP", "abc"),
        "target": ("spec.ports.0.targetPort", "Bad_Name"),
        "selector": ("spec.selector", {"a b": "c"}),
        "affinity": ("spec.sessionAffinity", "Sticky"),
        "node port": ("spec.ports.0.nodePort", 30000),
    }
    return _each(lab, "services", {n: _with(service(), *c) for n, c in changes.items()})


def deployments(lab: Lab) -> Any:
    changes: dict[str, Any] = {
        "replicas": ("spec.replicas", -1),
        "no selector": ("spec.selector", None),
        "empty selector": ("spec.selector", {}),
        "no match": ("spec.selector", {"matchLabels": {"app": "other"}}),
        "expression": ("spec.selector", {"matchExpressions": [{"key": "app", "operator": "Is", "values": ["web"]}]}),
        "strategy": ("spec.strategy", {"type": "Blue"}),
        "both": ("spec.strategy", {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        "zero": ("spec.strategy", {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        "percent": ("spec.strategy", {"rollingUpdate": {"maxSurge": "many"}}),
        "restart": ("spec.template.spec.restartPolicy", "Never"),
        "deadline": ("spec.progressDeadlineSeconds", 0),
        "no template": ("spec.template", None),
        "container": ("spec.template.spec.containers.0.name", "A"),
        "type": ("spec.replicas", "two"),
    }
    found = _each(lab, "deployments", {n: _with(deployment(), *c) for n, c in changes.items()})
    lab.create(deployment("web", 0))
    changed = {"spec": {"selector": {"matchLabels": {"app": "web", "more": "1"}}}}
    return found | {"selector changed": lab.refused("PATCH", "deployments/web", changed, STRATEGIC)}


def jobs(lab: Lab) -> Any:
    changes: dict[str, Any] = {
        "restart": ("spec.template.spec.restartPolicy", "Always"),
        "no restart": ("spec.template.spec.restartPolicy", None),
        "parallelism": ("spec.parallelism", -1),
        "completions": ("spec.completions", -1),
        "backoff": ("spec.backoffLimit", -1),
        "deadline": ("spec.activeDeadlineSeconds", -1),
        "ttl": ("spec.ttlSecondsAfterFinished", -1),
        "mode": ("spec.completionMode", "Random"),
        "indexed": ("spec.completionMode", "Indexed"),
        "selector": ("spec.selector", {"matchLabels": {"a": "b"}}),
        "policy": ("spec.podReplacementPolicy", "Later"),
        "name": ("metadata.name", "a" * 64),
        "no template": ("spec.template", None),
    }
    found = _each(lab, "jobs", {n: _with(job(), *c) for n, c in changes.items()})
    lab.create(job("other", "sleep 1000"))
    later = {
        "completions changed": {"spec": {"completions": 3}},
        "template changed": {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}},
    }
    return found | {n: _body(lab.refused("PATCH", "jobs/other", p, STRATEGIC)) for n, p in later.items()}


def secrets_and_configmaps(lab: Lab) -> Any:
    def secret(**more: Any) -> Object:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}} | more

    refused = {
        "base64": lab.refused("POST", "secrets", secret(data={"a": "no base64!"})),
        "key": lab.refused("POST", "secrets", secret(stringData={"a b": "1"})),
        "docker": lab.refused("POST", "secrets", secret(type="kubernetes.io/dockerconfigjson")),
    }
    lab.create(secret(immutable=True, stringData={"a": "1"}))
    lab.create(configmap("c", a="1") | {"immutable": True})
    return refused | {
        "as stored": lab.view(lab.get("secrets/s")),
        "immutable": lab.refused("PATCH", "secrets/s", {"stringData": {"a": "2"}}, MERGE_PATCH),
        "immutable map": lab.refused("PATCH", "configmaps/c", {"data": {"a": "2"}}, MERGE_PATCH),
        "type changed": lab.refused("PATCH", "secrets/s", {"type": "other"}, MERGE_PATCH),
        "both": lab.refused("POST", "configmaps", configmap("d", a="1") | {"binaryData": {"a": "YQ=="}}),
    }


def claims(lab: Lab) -> Any:
    def claim(**spec: Any) -> Object:
        whole = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}} | spec
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": whole}

    return _each(
        lab,
        "persistentvolumeclaims",
        {
            "no mode": claim(accessModes=[]),
            "mode": claim(accessModes=["Everybody"]),
            "no size": claim(resources={}),
            "zero": claim(resources={"requests": {"storage": "0"}}),
            "unit": claim(resources={"requests": {"storage": "1 GB"}}),
        },
    )


def roles(lab: Lab) -> Any:
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"}}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subject = {"kind": "ServiceAccount", "name": "default"}
    return {
        "no ref": lab.refused("POST", "rolebindings", binding, dryRun="All"),
        "ref kind": lab.refused("POST", "rolebindings", binding | {"roleRef": ref | {"kind": "Rule"}}, dryRun="All"),
        "no account namespace": lab.refused("POST", "rolebindings", binding | {"roleRef": ref, "subjects": [subject]}),
        "no verbs": lab.refused(
            "POST",
            "roles",
            {
                "apiVersion": binding["apiVersion"],
                "kind": "Role",
                "metadata": {"name": "r"},
                "rules": [{"apiGroups": [""]}],
            },
        ),
    }


def tokens(lab: Lab) -> Any:
    short = {"spec": {"expirationSeconds": 10}}
    return {
        "short": lab.refused("POST", "serviceaccounts/default/token", short),
        "absent": lab.refused("POST", "serviceaccounts/zz/token", {"spec": {}}),
        "fields": sorted(lab.call("POST", "serviceaccounts/default/token", {"spec": {}}).body),
    }


def namespaces(lab: Lab) -> Any:
    return {
        "name": lab.refused("POST", "/api/v1/namespaces", {"metadata": {"name": "Upper"}}),
        "dots": lab.refused("POST", "/api/v1/namespaces", {"metadata": {"name": "a.b"}}),
        "exists": lab.refused("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}}),
        "default": lab.refused("DELETE", "/api/v1/namespaces/default"),
        "system": lab.refused("DELETE", "/api/v1/namespaces/kube-system"),
        "collection": lab.refused("DELETE", "/api/v1/namespaces"),
        "kubectl": lab.kubectl("create", "namespace", "Upper"),
        "absent": lab.kubectl("get", "namespace", "zz-zz"),
    }
