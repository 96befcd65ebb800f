"""Deployments, ReplicaSets, Jobs: what their controllers do, and what kubectl prints of them."""

from __future__ import annotations

import json
from typing import Any

from ..lab import STRATEGIC, Lab, Object
from ._make import IMAGE, configmap, deployment, job

ROLLED = ("spec.replicas", "status", "metadata.annotations", "metadata.generation")


def _rolled(lab: Lab, name: str = "web") -> Object:
    """The Deployment once it is completely rolled out."""

    def holds(obj: Object) -> bool:
        status, wanted = obj.get("status", {}), obj["spec"]["replicas"]
        same = all(status.get(k, 0) == wanted for k in ("replicas", "updatedReplicas", "availableReplicas"))
        return same and status.get("observedGeneration") == obj["metadata"]["generation"]

    return lab.until("deployments", name, holds)


def _sets(lab: Lab) -> list[Any]:
    """Each ReplicaSet: revision, wanted, ready, image and owners; the oldest revision first."""
    found = []
    for rs in lab.items("replicasets"):
        notes = rs["metadata"]["annotations"]
        found.append(
            {
                "revision": notes["deployment.kubernetes.io/revision"],
                "annotations": lab.view(notes),
                "labels": lab.view(rs["metadata"]["labels"]),
                "wanted": rs["spec"]["replicas"],
                "status": lab.view(rs["status"]),
                "env": rs["spec"]["template"]["spec"]["containers"][0].get("env"),
                "owners": lab.view(rs["metadata"]["ownerReferences"]),
            }
        )
    return sorted(found, key=lambda s: int(s["revision"]))


def _change(lab: Lab, value: str, name: str = "web") -> Object:
    env = [{"name": "V", "value": value}]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "env": env}]}}}}
    return lab.patch(f"deployments/{name}", body, STRATEGIC)


def _owner(obj: Object) -> str:
    return obj["metadata"]["ownerReferences"][0]["name"]


def deployment_as_created(lab: Lab) -> Any:
    return lab.view(lab.create(deployment("web", 2)))


def deployment_rolls_out(lab: Lab) -> Any:
    lab.create(deployment("web", 2))
    found = _rolled(lab)
    pods = lab.items("pods")
    return {
        "deployment": lab.view(found, *ROLLED),
        "sets": _sets(lab),
        "events": lab.events("web", "ScalingReplicaSet", kind="Deployment"),
        "pod": {k: lab.view(pods[0]["metadata"].get(k)) for k in ("generateName", "labels", "ownerReferences")},
        "pods": len(pods),
        "get": lab.kubectl("get", "deploy,rs"),
        "wide": lab.kubectl("get", "deploy", "-o", "wide"),
        "status": lab.kubectl("rollout", "status", "deploy/web"),
    }


def deployment_rolls_on_and_back(lab: Lab) -> Any:
    lab.create(deployment("web", 1))
    _rolled(lab)
    lab.kubectl("annotate", "deploy/web", "kubernetes.io/change-cause=second")
    _change(lab, "2")
    _rolled(lab)
    history = lab.kubectl("rollout", "history", "deploy/web")
    undone = lab.kubectl("rollout", "undo", "deploy/web")
    found = _rolled(lab)
    return {
        "history": history,
        "revision": lab.kubectl("rollout", "history", "deploy/web", "--revision=2"),
        "undone": undone,
        "deployment": lab.view(found, *ROLLED),
        "sets": [{k: s[k] for k in ("revision", "annotations", "wanted", "env")} for s in _sets(lab)],
        "after": lab.kubectl("rollout", "history", "deploy/web"),
        "absent": lab.kubectl("rollout", "undo", "deploy/web", "--to-revision=9"),
    }


def deployment_scales(lab: Lab) -> Any:
    lab.create(deployment("web", 1))
    _rolled(lab)
    up = lab.kubectl("scale", "deploy/web", "--replicas=3")
    _rolled(lab)
    wrong = lab.kubectl("scale", "deploy/web", "--replicas=1", "--current-replicas=9")
    negative = lab.kubectl("scale", "deploy/web", "--replicas=-1")
    scale = lab.get("deployments/web/scale")
    lab.patch("deployments/web/scale", {"spec": {"replicas": 0}})
    found = _rolled(lab)
    return {
        "up": up,
        "wrong": wrong,
        "negative": negative,
        "scale": lab.view(scale),
        "zero": lab.view(found, *ROLLED),
        "events": lab.events("web", "ScalingReplicaSet: from 3 to 0", kind="Deployment"),
        "absent": lab.kubectl("scale", "deploy/zz", "--replicas=1"),
    }


def deployment_paused(lab: Lab) -> Any:
    lab.create(deployment("web", 1))
    _rolled(lab)
    paused = lab.kubectl("rollout", "pause", "deploy/web")
    found = lab.until(
        "deployments", "web", lambda d: any(c["reason"] == "DeploymentPaused" for c in d["status"]["conditions"])
    )
    _change(lab, "2")
    undo = lab.kubectl("rollout", "undo", "deploy/web")
    again = lab.kubectl("rollout", "pause", "deploy/web")
    resumed = lab.kubectl("rollout", "resume", "deploy/web")
    after = _rolled(lab)
    return {
        "paused": paused,
        "status": lab.view(found, *ROLLED),
        "undo": undo,
        "again": again,
        "resumed": resumed,
        "after": lab.view(after, *ROLLED),
        "twice": lab.kubectl("rollout", "resume", "deploy/web"),
    }


def deployment_with_an_image_that_is_not_there(lab: Lab) -> Any:
    lab.create(deployment("web", 2))
    _rolled(lab)
    lab.kubectl("set", "image", "deploy/web", "main=registry.invalid/none:1")

    def stuck(obj: Object) -> bool:
        status = obj["status"]
        return status.get("updatedReplicas") == 1 and status.get("observedGeneration") == obj["metadata"]["generation"]

    lab.until("deployments", "web", stuck)
    found = lab.patch("deployments/web", {"spec": {"progressDeadlineSeconds": 2}})
    found = lab.until(
        "deployments",
        "web",
        lambda d: any(c["reason"] == "ProgressDeadlineExceeded" for c in d["status"]["conditions"]),
    )
    return {
        "status": lab.view(found, "status"),
        "rollout": lab.kubectl("rollout", "status", "deploy/web"),
        "get": lab.kubectl("get", "deploy", "web"),
    }


def deployment_recreates(lab: Lab) -> Any:
    lab.create(deployment("web", 2, strategy={"type": "Recreate"}))
    _rolled(lab)
    _change(lab, "2")
    found = _rolled(lab)
    (new,) = [rs["metadata"]["name"] for rs in lab.items("replicasets") if rs["spec"]["replicas"]]
    events = lab.events("web", f"ScalingReplicaSet: Scaled up replica set {new}", kind="Deployment")
    return {"deployment": lab.view(found, *ROLLED), "events": events}


def deployment_never_available(lab: Lab) -> Any:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    lab.create(deployment("web", 1, pods={"main": {"readinessProbe": probe}}, progressDeadlineSeconds=1))
    found = lab.until(
        "deployments",
        "web",
        lambda d: any(c["reason"] == "ProgressDeadlineExceeded" for c in d["status"].get("conditions", ())),
    )
    return {"status": lab.view(found, "status"), "get": lab.kubectl("get", "deploy,rs")}


def deployment_heals(lab: Lab) -> Any:
    lab.create(deployment("web", 1))
    _rolled(lab)
    (old,) = lab.items("pods")
    lab.delete(f"pods/{old['metadata']['name']}")
    lab.gone("pods", old["metadata"]["name"])
    found = _rolled(lab)
    (new,) = lab.items("pods")
    name = new["metadata"]["name"]
    return {
        "another": new["metadata"]["uid"] != old["metadata"]["uid"],
        "status": lab.view(found, "status"),
        "events": lab.events(_owner(new), f"SuccessfulCreate: {name}", kind="ReplicaSet"),
    }


def deployment_deleted(lab: Lab) -> Any:
    lab.create(deployment("web", 1))
    _rolled(lab)
    answer = lab.delete("deployments/web", propagationPolicy="Orphan")
    lab.gone("deployments", "web")
    (rs,) = lab.items("replicasets")
    lab.patch(f"replicasets/{rs['metadata']['name']}", {"spec": {"replicas": 0}})
    other = lab.create(deployment("next", 1))
    _rolled(lab, "next")
    foreground = lab.delete("deployments/next", propagationPolicy="Foreground")
    lab.gone("deployments", "next")
    left = [o["metadata"]["name"] for o in lab.items("replicasets", "app=next")]
    return {
        "orphaned": lab.says(answer),
        "owners": lab.view(rs["metadata"].get("ownerReferences")),
        "foreground": [foreground.code, lab.view(foreground.body["metadata"].get("finalizers"))],
        "made": other["kind"],
        "left": left,
        "wrong": lab.refused("DELETE", "deployments/zz", {"propagationPolicy": "Maybe"}),
        "both": lab.refused("DELETE", "deployments/zz", {"propagationPolicy": "Orphan", "orphanDependents": True}),
    }


def deployment_described(lab: Lab) -> Any:
    lab.create(deployment("web", 1))
    _rolled(lab)
    lab.events("web", "ScalingReplicaSet", kind="Deployment")
    return lab.kubectl("describe", "deploy", "web")


def replicaset_described(lab: Lab) -> Any:
    lab.create(deployment("web", 1))
    _rolled(lab)
    (rs,) = lab.items("replicasets")
    lab.events(rs["metadata"]["name"], "SuccessfulCreate", kind="ReplicaSet")
    return lab.kubectl("describe", "rs")


def applied_by_kubectl(lab: Lab) -> Any:
    made = deployment("web", 0)
    first = lab.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    same = lab.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    made["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    diff = lab.run("diff", "-f", "-", stdin=json.dumps(made)).returncode
    changed = lab.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    made["spec"]["selector"]["matchLabels"]["more"] = "1"
    refused = lab.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    server = lab.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(configmap("s", a="1")))
    lab.kubectl("patch", "cm", "s", "-p", '{"data":{"a":"2"}}')
    conflict = lab.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(configmap("s", a="3")))
    return {
        "first": first,
        "same": same,
        "diff": diff,
        "changed": changed,
        "refused": refused,
        "server": server,
        "conflict": conflict,
        "created over": lab.kubectl("create", "-f", "-", stdin=json.dumps(deployment("web", 0))),
        "replaced": lab.kubectl("replace", "-f", "-", stdin=json.dumps(configmap("s", b="1"))),
        "deleted": lab.kubectl("delete", "deploy/web", "cm/s"),
        "again": lab.kubectl("delete", "cm/s"),
        "ignored": lab.kubectl("delete", "cm/s", "--ignore-not-found"),
    }


def _done(lab: Lab, name: str = "job", kind: str = "Complete", seconds: float = 90) -> Object:
    return lab.condition("jobs", name, kind, seconds=seconds)


def _job(lab: Lab, made: Object, kind: str = "Complete", *last: str) -> Any:
    lab.create(made)
    found = _done(lab, kind=kind)
    return {
        "status": lab.view(found, "status"),
        "events": lab.events("job", *(last or ("Completed",)), kind="Job"),
        "get": lab.kubectl("get", "job", "job"),
    }


def job_as_created(lab: Lab) -> Any:
    made = lab.create(job(suspend=True))
    return lab.view(made)


def job_completes(lab: Lab) -> Any:
    found = _job(lab, job())
    (pod,) = lab.items("pods")
    meta = pod["metadata"]
    kept = {k: lab.view(meta.get(k)) for k in ("generateName", "labels", "ownerReferences", "finalizers")}
    return found | {"pod": kept, "pods": lab.kubectl("get", "pods"), "logs": lab.kubectl("logs", "job/job")}


def job_completes_several(lab: Lab) -> Any:
    return _job(lab, job(completions=3, parallelism=2))


def job_of_a_work_queue(lab: Lab) -> Any:
    return _job(lab, job(parallelism=2))


def job_fails(lab: Lab) -> Any:
    return _job(lab, job("job", "exit 3", backoffLimit=0), "Failed", "BackoffLimitExceeded")


def job_tries_again(lab: Lab) -> Any:
    return _job(lab, job("job", "exit 1", backoffLimit=1), "Failed", "BackoffLimitExceeded")


def job_restarts_in_place(lab: Lab) -> Any:
    made = job("job", "exit 1", backoffLimit=1, pods={"restartPolicy": "OnFailure"})
    return _job(lab, made, "Failed", "SuccessfulDelete", "BackoffLimitExceeded")


def job_past_its_deadline(lab: Lab) -> Any:
    return _job(
        lab, job("job", "sleep 1000", activeDeadlineSeconds=1), "Failed", "SuccessfulDelete", "DeadlineExceeded"
    )


def job_indexed(lab: Lab) -> Any:
    made = job("job", "echo $JOB_COMPLETION_INDEX", completions=3, parallelism=3, completionMode="Indexed")
    found = _job(lab, made)
    pods = lab.items("pods")
    described = lab.kubectl("describe", "job", "job")["out"]
    return found | {
        "names": [lab.normal.text(p["metadata"]["name"]) for p in pods],
        "logs": [lab.log(p["metadata"]["name"]) for p in pods],
        "labels": lab.view(pods[0]["metadata"]["labels"]),
        "annotations": lab.view(pods[0]["metadata"].get("annotations")),
        "hostname": pods[0]["spec"].get("hostname"),
        "env": lab.view(pods[0]["spec"]["containers"][0].get("env")),
        "described": described[: described.index("Events:")],
    }


def job_deleted_after_its_time(lab: Lab) -> Any:
    lab.create(job(ttlSecondsAfterFinished=1))
    lab.gone("jobs", "job", 60)
    return {"pods": lab.items("pods"), "events": lab.events("job", "Completed", kind="Job")}


def job_suspended_and_resumed(lab: Lab) -> Any:
    lab.create(job("job", "sleep 1", suspend=True))
    first = lab.condition("jobs", "job", "Suspended")
    get = lab.kubectl("get", "job", "job")
    lab.patch("jobs/job", {"spec": {"suspend": False}})
    found = _done(lab)
    return {
        "first": lab.view(first, "status"),
        "get": get,
        "after": lab.view(found, "status"),
        "events": lab.events("job", "Completed", kind="Job"),
    }


def job_suspended_while_it_runs(lab: Lab) -> Any:
    lab.create(job("job", "exec sleep 1000"))
    lab.until("jobs", "job", lambda j: j["status"].get("ready") == 1)
    lab.patch("jobs/job", {"spec": {"suspend": True}})
    found = lab.until("jobs", "job", lambda j: j["status"].get("active", 0) == 0 and j["status"].get("conditions"))
    events = lab.events("job", "SuccessfulDelete", "Suspended", kind="Job")
    return {"status": lab.view(found, "status.conditions"), "events": events}


def job_of_no_completions(lab: Lab) -> Any:
    lab.create(job(completions=0))
    return lab.view(_done(lab), "status")


def job_scaled(lab: Lab) -> Any:
    lab.create(job("job", "sleep 2", completions=2, parallelism=0))
    first = lab.until("jobs", "job", lambda j: "ready" in j["status"] or "active" in j["status"] or j["status"])
    lab.patch("jobs/job", {"spec": {"parallelism": 2}})
    return {"first": lab.view(first, "spec.parallelism"), "after": lab.view(_done(lab), "status")}


def job_deleted(lab: Lab) -> Any:
    lab.create(job("job", "exec sleep 1000"))
    lab.until("jobs", "job", lambda j: j["status"].get("ready") == 1)
    return lab.says(lab.call("DELETE", "jobs/job"))


def job_described(lab: Lab) -> Any:
    lab.create(job())
    _done(lab)
    lab.events("job", "Completed", kind="Job")
    return lab.kubectl("describe", "job", "job")


def made_by_kubectl(lab: Lab) -> Any:
    commands = {
        "deployment": ["create", "deployment", "d", f"--image={IMAGE}", "--replicas=0"],
        "job": ["create", "job", "j", f"--image={IMAGE}", "--", "true"],
        "configmap": ["create", "configmap", "c", "--from-literal=a=1"],
        "secret": ["create", "secret", "generic", "s", "--from-literal=a=1"],
        "account": ["create", "serviceaccount", "a"],
        "service": ["create", "service", "clusterip", "e", "--tcp=80:8080"],
        "run": ["run", "r", f"--image={IMAGE}", "--restart=Never", "--", "true"],
        "expose": ["expose", "deploy/d", "--port=80", "--target-port=8080"],
        "role": ["create", "role", "ro", "--verb=get", "--resource=pods"],
        "binding": ["create", "rolebinding", "rb", "--role=ro", "--serviceaccount=x:y"],
        "label": ["label", "cm/c", "a=b"],
        "label again": ["label", "cm/c", "a=c"],
        "annotate": ["annotate", "cm/c", "a=b"],
        "image": ["set", "image", "deploy/d", f"busybox={IMAGE}"],
        "env": ["set", "env", "deploy/d", "A=1"],
        "resources": ["set", "resources", "deploy/d", "--limits=cpu=1"],
        "restart": ["rollout", "restart", "deploy/d"],
        "again": ["create", "configmap", "c", "--from-literal=a=1"],
        "bad image": ["run", "q", "--image=Bad Image"],
    }
    said = {name: lab.kubectl(*command) for name, command in commands.items()}
    made = {
        path: lab.view(lab.get(path))
        for path in ("deployments/d", "services/d", "services/e", "secrets/s", "roles/ro", "rolebindings/rb")
    }
    for obj in made.values():
        obj.pop("status", None)
        notes = obj["spec"].get("template", {}).get("metadata", {}) if "spec" in obj else {}
        notes.pop("annotations", None)
    return said | {"made": made}


def waited_for(lab: Lab) -> Any:
    lab.create(job())
    return {
        "complete": lab.kubectl("wait", "job/job", "--for=condition=Complete", "--timeout=60s"),
        "path": lab.kubectl("wait", "job/job", "--for=jsonpath={.status.succeeded}=1", "--timeout=60s"),
        "timeout": lab.kubectl("wait", "job/job", "--for=condition=Failed", "--timeout=1s"),
        "absent": lab.kubectl("wait", "job/zz", "--for=condition=Complete", "--timeout=1s"),
        "deleted": lab.kubectl("wait", "job/zz", "--for=delete", "--timeout=1s"),
    }
