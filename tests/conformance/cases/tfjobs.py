"""TFJobs: the webhook, TF_CONFIG, conditions, restart policies, clean-up, suspension, as training-operator 1.9 does them."""

from __future__ import annotations

import json
from typing import Any

from ..lab import Lab, Object
from ._make import IMAGE

WAITS = "trap 'exit 0' TERM; while true; do sleep 0.1; done"


def _replica(script: str = "true", replicas: int = 1, restart: str = "", **more: Any) -> Object:
    container = {"name": "tensorflow", "image": IMAGE, "command": ["sh", "-c", script]} | more
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    return {"replicas": replicas, "template": {"spec": spec}} | ({"restartPolicy": restart} if restart else {})


def _tfjob(policy: Object | None = None, name: str = "job", **replicas: Any) -> Object:
    spec: Object = {"tfReplicaSpecs": replicas}
    spec |= policy or {}
    return {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": name}, "spec": spec}


def _ended(lab: Lab, kind: str = "Succeeded", name: str = "job", seconds: float = 120) -> Object:
    return lab.condition("tfjobs", name, kind, seconds=seconds)


def _conditions(obj: Object, but: str = "") -> list[Any]:
    found = [[c[k] for k in ("type", "status", "reason", "message")] for c in obj["status"].get("conditions") or ()]
    return [c for c in found if c[0] != but]


def _seen(lab: Lab, obj: Object, but: str = "") -> Any:
    """Conditions and counts; `but` leaves out a condition that a short job may or may not have had."""
    counts = lab.view(obj["status"].get("replicaStatuses"))
    return {"conditions": lab.normal.value(_conditions(obj, but)), "counts": counts}


def _pods(lab: Lab) -> list[str]:
    return [p["metadata"]["name"] for p in lab.items("pods")]


def refused(lab: Lab) -> Any:
    two = _replica()
    two["template"]["spec"]["containers"].append({"name": "other", "image": ""})
    other = _replica()
    other["template"]["spec"]["containers"][0]["name"] = "main"
    none = _replica()
    none["template"]["spec"]["containers"] = []
    made = {
        "name": _tfjob(name="Upper", Worker=_replica()),
        "digit": _tfjob(name="1job", Worker=_replica()),
        "long": _tfjob(name="a" * 64, Worker=_replica()),
        "no replicas": _tfjob(),
        "no container": _tfjob(Worker=none),
        "wrong container": _tfjob(Worker=other),
        "no image": _tfjob(Worker=_replica(image="")),
        "second without image": _tfjob(Worker=two),
        "chief and master": _tfjob(Chief=_replica(), Master=_replica()),
        "two chiefs": _tfjob(Chief=_replica(replicas=2)),
        "no template": _tfjob(Worker={"replicas": 1}),
        "replicas text": _tfjob(Worker=_replica() | {"replicas": "two"}),
        "no spec": {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": "job"}},
        "restart": _tfjob(Worker=_replica(restart="Sometimes")),
        "type": _tfjob(Helper=_replica()),
        "negative": _tfjob(Worker=_replica(replicas=-1)),
        "success policy": _tfjob({"successPolicy": "Some"}, Worker=_replica()),
        "clean policy": _tfjob({"runPolicy": {"cleanPodPolicy": "Some"}}, Worker=_replica()),
    }
    return {name: lab.refused("POST", "tfjobs", body, dryRun="All") for name, body in made.items()}


def refused_to_kubectl(lab: Lab) -> Any:
    made = _tfjob(Worker=_replica(image=""))
    unknown = _tfjob(Worker=_replica()) | {"metadata": {"name": "x"}}
    unknown["spec"]["tfReplicaSpec"] = {}
    return [
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(made)),
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(unknown)),
        lab.refused("PATCH", "tfjobs/x", {"spec": {}}, "application/strategic-merge-patch+json"),
    ]


def as_created(lab: Lab) -> Any:
    return lab.view(lab.create(_tfjob(Worker=_replica("sleep 1000"))))


def succeeds(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica("echo done")))
    found = _ended(lab)
    status = lab.view(found["status"])
    status["conditions"] = [c for c in status["conditions"] if c["type"] != "Running"]
    return {
        "status": status,
        "events": lab.events("job", "TFJobSucceeded", kind="TFJob"),
        "get": lab.kubectl("get", "tfjob", "job"),
        "logs": lab.log("job-worker-0"),
        "services": [s["metadata"]["name"] for s in lab.items("services")],
    }


def its_pods_and_services(lab: Lab) -> Any:
    lab.create(_tfjob(Chief=_replica("sleep 1000"), Worker=_replica("sleep 1000", 2), PS=_replica("sleep 1000")))
    found = lab.condition("tfjobs", "job", "Running")
    pods = lab.items("pods")
    services = lab.items("services")
    meta = ("labels", "ownerReferences", "annotations", "generateName")
    return {
        "status": _seen(lab, found)["conditions"],
        "pods": {p["metadata"]["name"]: {k: lab.view(p["metadata"].get(k)) for k in meta} for p in pods},
        "policy": [p["spec"]["restartPolicy"] for p in pods],
        "services": {s["metadata"]["name"]: lab.view(s["metadata"]["labels"]) for s in services},
        "headless": [s["spec"]["clusterIP"] for s in services],
        "ports": [[p.get("name"), p["port"]] for p in services[0]["spec"]["ports"]],
        "container ports": [[p["name"], p["containerPort"]] for p in pods[0]["spec"]["containers"][0].get("ports", ())],
    }


def cluster_described_to_each(lab: Lab) -> Any:
    """TF_CONFIG's shape; addresses are each engine's own."""
    script = "echo $TF_CONFIG; sleep 1000"
    lab.create(_tfjob(Chief=_replica(script), Worker=_replica(script, 2), PS=_replica(script)))
    found = {}
    for name in ("job-chief-0", "job-worker-0", "job-worker-1", "job-ps-0"):
        lab.condition("pods", name, "Ready")
        config = lab.call("GET", f"pods/{name}/log").body
        config["cluster"] = {kind: len(addresses) for kind, addresses in config["cluster"].items()}
        found[name] = config
    return found


def no_cluster_for_a_single_one(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica("echo ${TF_CONFIG-unset}")))
    _ended(lab)
    return lab.log("job-worker-0")


def fails(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica("exit 1", restart="Never")))
    found = _ended(lab, "Failed")
    return _seen(lab, found, "Running") | {
        "events": [e for e in lab.events("job", "TFJobFailed", kind="TFJob") if not e.startswith("Warning Error:")],
        "get": lab.kubectl("get", "tfjob"),
        "times": {k: found["status"].get(k) is not None for k in ("startTime", "completionTime", "lastReconcileTime")},
    }


def restarts_in_place(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica("sleep 1; exit 1", restart="OnFailure"),
                      ) | {"metadata": {"name": "job"}})  # fmt: skip
    lab.until("pods", "job-worker-0", lambda p: (p["status"].get("containerStatuses") or [{}])[0].get("restartCount"))
    found = lab.get("tfjobs/job")
    return {"types": [c["type"] for c in found["status"]["conditions"]], "pods": _pods(lab),
            "policy": lab.items("pods")[0]["spec"]["restartPolicy"]}  # fmt: skip


def permanent_exit_code(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica("exit 3", restart="ExitCode")))
    found = _ended(lab, "Failed")
    events = lab.events("job", "TFJobFailed: is failing", kind="TFJob")
    return _seen(lab, found, "Running") | {
        "events": [e for e in events if not e.startswith(("Warning Error:", "Normal TFJobFailed"))]
    }


def retryable_exit_code(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica("sleep 2; exit 130", restart="ExitCode")))
    found = lab.condition("tfjobs", "job", "Restarting")
    pod = lab.until("pods", "job-worker-0", lambda p: p["status"].get("phase") == "Running")
    events = [e for e in lab.events("job", "TFJobRestarting", kind="TFJob") if "Restarting" in e or "Exited" in e]
    return {
        "conditions": lab.normal.value(_conditions(found)),
        "policy": pod["spec"]["restartPolicy"],
        "events": events,
    }


def first_worker_decides(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica('case "$HOSTNAME" in *-0) sleep 3;; *) sleep 1000;; esac', 2)))
    found = _ended(lab)
    return _seen(lab, found) | {"pods": _pods(lab)}


def chief_decides(lab: Lab) -> Any:
    lab.create(_tfjob(Chief=_replica("sleep 3"), Worker=_replica("sleep 1000"), PS=_replica("sleep 1000")))
    found = _ended(lab)
    return _seen(lab, found) | {"pods": _pods(lab)}


def all_workers_decide(lab: Lab) -> Any:
    script = 'case "$HOSTNAME" in *-0) true;; *) sleep 4;; esac'
    lab.create(_tfjob({"successPolicy": "AllWorkers"}, Worker=_replica(script, 2)))
    found = _ended(lab)
    phases = sorted(p["status"]["phase"] for p in lab.items("pods"))
    return _seen(lab, found) | {"phases": phases}


def worker_fails_beside_others(lab: Lab) -> Any:
    script = 'case "$HOSTNAME" in *-1) sleep 2; exit 1;; *) sleep 1000;; esac'
    lab.create(_tfjob(Worker=_replica(script, 2)))
    found = _ended(lab, "Failed")
    return _seen(lab, found)


def running_ones_cleaned(lab: Lab) -> Any:
    policy = {"runPolicy": {"cleanPodPolicy": "Running"}}
    lab.create(_tfjob(policy, Chief=_replica("sleep 3"), Worker=_replica(WAITS)))
    found = _ended(lab)
    lab.gone("pods", "job-worker-0")
    left = {"pods": _pods(lab), "services": [s["metadata"]["name"] for s in lab.items("services")]}
    return left | {"conditions": _seen(lab, found, "Running")["conditions"]}


def all_cleaned(lab: Lab) -> Any:
    policy = {"runPolicy": {"cleanPodPolicy": "All"}}
    lab.create(_tfjob(policy, Chief=_replica("sleep 3"), Worker=_replica(WAITS)))
    _ended(lab)
    lab.gone("pods", "job-worker-0")
    lab.gone("pods", "job-chief-0")
    deleted = [
        f"SuccessfulDelete{kind}: {name}" for kind in ("Pod", "Service") for name in ("job-chief-0", "job-worker-0")
    ]
    events = [e for e in lab.events("job", *deleted, kind="TFJob") if "Delete" in e]
    return {"pods": _pods(lab), "services": lab.items("services"), "events": events}


def suspended_and_resumed(lab: Lab) -> Any:
    lab.create(_tfjob({"runPolicy": {"suspend": True}}, Worker=_replica("sleep 2")))
    first = lab.condition("tfjobs", "job", "Suspended")
    none = _pods(lab)
    lab.patch("tfjobs/job", {"spec": {"runPolicy": {"suspend": False}}})
    found = _ended(lab)
    return {"first": _seen(lab, first), "pods": none, "after": _seen(lab, found, "Running")}


def suspended_while_it_runs(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica(WAITS, 2)))
    lab.condition("tfjobs", "job", "Running")
    lab.patch("tfjobs/job", {"spec": {"runPolicy": {"suspend": True}}})
    found = lab.condition("tfjobs", "job", "Suspended")
    lab.gone("pods", "job-worker-0")
    lab.gone("pods", "job-worker-1")
    return _seen(lab, found) | {"services": lab.items("services")}


def past_its_deadline(lab: Lab) -> Any:
    policy = {"runPolicy": {"activeDeadlineSeconds": 3}}
    lab.create(_tfjob(policy, Worker=_replica('case "$HOSTNAME" in *-1) sleep 6;; *) sleep 1000;; esac', 2)))
    found = _ended(lab, "Failed")
    return {"conditions": lab.normal.value(_conditions(found, "Running"))}


def worker_deleted_by_hand(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica(WAITS, 2, "OnFailure")))
    lab.condition("tfjobs", "job", "Running")
    lab.condition("pods", "job-worker-1", "Ready")
    lab.condition("pods", "job-worker-0", "Ready")
    lab.delete("pods/job-worker-1")
    found = _ended(lab, "Failed")
    return {"conditions": lab.normal.value(_conditions(found))}


def deleted(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica(WAITS)))
    lab.condition("tfjobs", "job", "Running")
    answer = lab.delete("tfjobs/job")
    lab.gone("pods", "job-worker-0")
    return {"answer": lab.says(answer), "services": lab.items("services")}


def deleted_after_its_time(lab: Lab) -> Any:
    lab.create(_tfjob({"runPolicy": {"ttlSecondsAfterFinished": 1}}, Worker=_replica()))
    lab.gone("tfjobs", "job", 90)
    return lab.refused("GET", "tfjobs/job")


def lower_case_types(lab: Lab) -> Any:
    lab.create(_tfjob(worker=_replica()))
    return _seen(lab, _ended(lab), "Running")


def described(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica("sleep 3")))
    _ended(lab)
    said = lab.kubectl("describe", "tfjob", "job")["out"]
    dropped = ("Annotations:", "  Generation:", "  Resource Version:")
    return [line for line in said[: said.index("Events:")] if not line.startswith(dropped) and "Time:" not in line]


def image_that_is_not_there(lab: Lab) -> Any:
    lab.create(_tfjob(Worker=_replica(image="registry.invalid/none:1")))
    found = lab.condition("tfjobs", "job", "Created")
    return _seen(lab, found)["conditions"]


def through_the_client(lab: Lab) -> Any:
    """What the official TrainingClient returns and raises."""
    from kubeflow.training import TrainingClient

    client = TrainingClient(config_file=str(lab.engine.kubeconfig), namespace=lab.ns, job_kind="TFJob")
    lab.create(_tfjob({"runPolicy": {"cleanPodPolicy": "None"}}, Worker=_replica("echo hello; sleep 3")))
    client.wait_for_job_conditions(
        "job", namespace=lab.ns, polling_interval=1, wait_timeout=int(60 * lab.engine.patience)
    )
    logs, _ = client.get_job_logs("job", namespace=lab.ns)
    try:
        client.get_job("absent", namespace=lab.ns)
        error = ""
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}".split("\n")[0]
    return {
        "pods": client.get_job_pod_names("job", namespace=lab.ns),
        "logs": logs,
        "succeeded": client.is_job_succeeded("job", namespace=lab.ns),
        "conditions": [c.type for c in client.get_job_conditions("job", namespace=lab.ns)],
        "error": lab.normal.text(error),
    }
