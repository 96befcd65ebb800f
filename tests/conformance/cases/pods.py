"""Lives of pods, and what kubectl and the clients see of them."""

from __future__ import annotations

from typing import Any

from ..lab import Lab, Object
from ._make import configmap, container, pod, service

STATUS = ("status.phase", "status.reason", "status.message", "status.containerStatuses", "status.conditions")


def _ended(lab: Lab, made: Object, *fields: str) -> Any:
    name = lab.create(made)["metadata"]["name"]
    lab.ended(name)
    found = lab.condition("pods", name, "PodReadyToStartContainers", "False")  # all is cleared away
    return {"pod": lab.view(found, *STATUS, *fields), "events": lab.events(name)}


def _waiting(pod: Object, reason: str) -> bool:
    every = pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
    return any(s["state"].get("waiting", {}).get("reason") == reason for s in every)


def _until_waiting(lab: Lab, name: str, reason: str) -> Object:
    return lab.until("pods", name, lambda p: _waiting(p, reason))


def succeeds(lab: Lab) -> Any:
    return _ended(lab, pod("x", "echo hello")) | {"log": lab.log("x")}


def fails_with_code(lab: Lab) -> Any:
    return _ended(lab, pod("x", "echo bad >&2; exit 3")) | {"log": lab.log("x")}


def as_created(lab: Lab) -> Any:
    """The whole object, with all defaults, as the server answers to the creation."""
    made = lab.create(pod("x", "true", main={"ports": [{"containerPort": 8080, "name": "http"}]}))
    return lab.view(made)


def as_running(lab: Lab) -> Any:
    lab.create(pod("x", "sleep 1000"))
    running = lab.condition("pods", "x", "Ready")
    return lab.view(running)


def termination_message(lab: Lab) -> Any:
    return _ended(lab, pod("x", "echo because > /dev/termination-log; exit 2"))


def termination_message_from_logs(lab: Lab) -> Any:
    main = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    return _ended(lab, pod("x", "echo one; echo two; exit 1", main=main))


def killed_by_a_signal(lab: Lab) -> Any:
    return _ended(lab, pod("x", "sh -c 'kill -9 $PPID'; sleep 5 & wait", shareProcessNamespace=True))


def program_that_is_not_there(lab: Lab) -> Any:
    made = pod("x", main={"command": ["/no/such/program"]})
    lab.create(made)
    found = lab.ended("x")
    state = found["status"]["containerStatuses"][0]["state"]["terminated"]
    return {k: lab.normal.value(state.get(k)) for k in ("exitCode", "reason", "startedAt")}


def runs_again_in_place(lab: Lab) -> Any:
    lab.create(pod("x", "exit 1", restartPolicy="OnFailure"))
    found = lab.until("pods", "x", lambda p: _waiting(p, "CrashLoopBackOff"))
    shown = lab.view(found, *STATUS)
    for status in shown["status.containerStatuses"]:
        status.pop("restartCount")
        status["state"]["waiting"].pop("message")
    events = lab.events("x", "BackOff")
    return {"pod": shown, "events": events}


def back_off_message(lab: Lab) -> Any:
    lab.create(pod("x", "exit 1", restartPolicy="Always"))
    found = _until_waiting(lab, "x", "CrashLoopBackOff")
    return lab.view(found["status"]["containerStatuses"][0]["state"])


def succeeds_at_the_second_try(lab: Lab) -> Any:
    script = "test -e /v/tried || { touch /v/tried; exit 1; }; echo second"
    volumes = [{"name": "v", "emptyDir": {}}]
    main = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    found = _ended(lab, pod("x", script, restartPolicy="OnFailure", volumes=volumes, main=main))
    for status in found["pod"]["status.containerStatuses"]:
        status.pop("lastState")  # a real node has cleared it away or has not
    return found | {"log": lab.log("x")}


def image_that_is_not_there(lab: Lab) -> Any:
    lab.create(pod("x", "true", main={"image": "registry.invalid/no/such:1"}))
    found = _until_waiting(lab, "x", "ImagePullBackOff")
    shown = lab.view(found, *STATUS)
    shown["status.containerStatuses"][0]["state"]["waiting"].pop("message")
    reasons = sorted({e.split(":")[0] for e in lab.events("x", "BackOff")})
    return {"pod": shown, "reasons": reasons, "log": lab.refused("GET", "pods/x/log")}


def image_never_pulled(lab: Lab) -> Any:
    lab.create(pod("x", "true", main={"image": "nobody/nothing:1", "imagePullPolicy": "Never"}))
    found = _until_waiting(lab, "x", "ErrImageNeverPull")
    return {"pod": lab.view(found, *STATUS), "events": lab.events("x", "ErrImageNeverPull", "Failed")}


def image_with_a_wrong_name(lab: Lab) -> Any:
    lab.create(pod("x", "true", main={"image": "Upper/Case"}))
    found = _until_waiting(lab, "x", "InvalidImageName")
    return {"pod": lab.view(found, *STATUS), "events": lab.events("x", "InspectFailed", "Failed: InvalidImageName")}


def configmap_that_is_not_there(lab: Lab) -> Any:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "a"}}}]
    lab.create(pod("x", "true", main={"env": env}))
    found = _until_waiting(lab, "x", "CreateContainerConfigError")
    return {"pod": lab.view(found, *STATUS), "events": lab.events("x", "Failed")}


def key_that_is_not_there(lab: Lab) -> Any:
    lab.create(configmap("here", b="1"))
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "here", "key": "a"}}}]
    lab.create(pod("x", "true", main={"env": env}))
    found = _until_waiting(lab, "x", "CreateContainerConfigError")
    return {"pod": lab.view(found, *STATUS), "events": lab.events("x", "Failed")}


def secret_that_is_not_there(lab: Lab) -> Any:
    lab.create(pod("x", "true", main={"envFrom": [{"secretRef": {"name": "absent"}}]}))
    found = _until_waiting(lab, "x", "CreateContainerConfigError")
    return {"pod": lab.view(found, *STATUS), "events": lab.events("x", "Failed")}


def configmap_comes_later(lab: Lab) -> Any:
    lab.create(pod("x", "echo $A", main={"envFrom": [{"configMapRef": {"name": "late"}}]}))
    _until_waiting(lab, "x", "CreateContainerConfigError")
    lab.create(configmap("late", A="here"))
    lab.ended("x", seconds=150)
    return lab.log("x")


def volume_of_an_absent_configmap(lab: Lab) -> Any:
    volumes = [{"name": "v", "configMap": {"name": "absent"}}]
    lab.create(pod("x", "true", volumes=volumes, main={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))
    found = _until_waiting(lab, "x", "ContainerCreating")
    return {"pod": lab.view(found, *STATUS), "events": lab.events("x", "FailedMount")}


def optional_sources(lab: Lab) -> Any:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "a", "optional": True}}}]
    volumes = [{"name": "v", "secret": {"secretName": "absent", "optional": True}}]
    mounts = [{"name": "v", "mountPath": "/v"}]
    made = pod("x", "echo A=${A-unset}; ls -A /v | wc -l", volumes=volumes, main={"env": env, "volumeMounts": mounts})
    return _ended(lab, made) | {"log": lab.log("x")}


def expansion(lab: Lab) -> Any:
    env = [
        {"name": "A", "value": "one"},
        {"name": "B", "value": "$(A) and $$(A)"},
        {"name": "C", "value": "$(NOT_THERE) $(D)"},
        {"name": "D", "value": "later"},
        {"name": "E", "value": "$A $$ $$$(A) $(A"},
    ]
    command = ["sh", "-c", 'for x in "$0" "$@"; do echo "[$x]"; done; env | grep "^[A-E]=" | sort']
    args = ["$(A)", "$$(A)", "$$$$(B)", "$(NOPE)", "a$$b", "$(B)$(D)", "$", "$(", "$("]
    lab.create(pod("x", main={"command": command, "args": args, "env": env}))
    lab.ended("x")
    return lab.log("x").split("\n")


def downward_values(lab: Lab) -> Any:
    fields = ("metadata.name", "metadata.labels['app']", "metadata.annotations['note']", "spec.serviceAccountName")
    env = [{"name": f"F{i}", "valueFrom": {"fieldRef": {"fieldPath": path}}} for i, path in enumerate(fields)]
    env += [
        {"name": "R0", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "R1", "valueFrom": {"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}}},
    ]
    resources = {"limits": {"cpu": "300m", "memory": "64Mi"}}
    made = pod("x", "env | grep '^[FR][0-9]=' | sort", {"annotations": {"note": "a b"}})
    made["spec"]["containers"][0] |= {"env": env, "resources": resources}
    return _ended(lab, made, "spec.containers", "status.qosClass") | {"log": lab.log("x").split("\n")}


def downward_volume(lab: Lab) -> Any:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "deep/name", "fieldRef": {"fieldPath": "metadata.name"}},
        {"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}},
    ]
    volumes = [{"name": "v", "downwardAPI": {"items": items}}]
    made = pod("x", "cd /v; for f in labels deep/name notes; do echo $f:; cat $f; echo; done", volumes=volumes)
    made["metadata"]["annotations"] = {"note": 'a "quoted" word', "other": "2"}
    made["metadata"]["labels"]["tier"] = "back"
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    lab.create(made)
    lab.ended("x")
    return {"log": lab.log("x").split("\n"), "volumes": lab.view(lab.get("pods/x"), "spec.volumes")}


def configmap_volume(lab: Lab) -> Any:
    lab.create(configmap("c", a="1", b="two\nlines\n"))
    volumes = [
        {"name": "all", "configMap": {"name": "c"}},
        {"name": "some", "configMap": {"name": "c", "items": [{"key": "b", "path": "deep/b.txt", "mode": 256}]}},
    ]
    mounts = [
        {"name": "all", "mountPath": "/all"},
        {"name": "some", "mountPath": "/some"},
        {"name": "all", "mountPath": "/one/file", "subPath": "a"},
    ]
    script = "ls /all /some/deep; cat /all/b /some/deep/b.txt; cat /one/file; echo; ls -lL /some/deep | cut -c1-10"
    lab.create(pod("x", script, volumes=volumes, main={"volumeMounts": mounts}))
    lab.ended("x")
    return {"log": lab.log("x").split("\n"), "volumes": lab.view(lab.get("pods/x"), "spec.volumes")}


def read_only_volume(lab: Lab) -> Any:
    lab.create(configmap("c", a="1"))
    volumes = [{"name": "c", "configMap": {"name": "c"}}, {"name": "e", "emptyDir": {}}]
    mounts = [{"name": "c", "mountPath": "/c"}, {"name": "e", "mountPath": "/e", "readOnly": True}]
    lab.create(
        pod(
            "x",
            "for f in /c/new /e/new; do touch $f 2>/dev/null || echo $f refused; done",
            volumes=volumes,
            main={"volumeMounts": mounts},
        )
    )
    lab.ended("x")
    return sorted(lab.log("x").split("\n"))


def key_absent_in_a_volume(lab: Lab) -> Any:
    lab.create(configmap("c", a="1"))
    volumes = [{"name": "v", "configMap": {"name": "c", "items": [{"key": "zz", "path": "zz"}]}}]
    lab.create(pod("x", "true", volumes=volumes, main={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))
    return lab.events("x", "FailedMount")


def init_containers(lab: Lab) -> Any:
    volumes = [{"name": "v", "emptyDir": {}}]
    mounts = [{"name": "v", "mountPath": "/v"}]
    inits = [container(f"echo {n} >> /v/f", n, volumeMounts=mounts) for n in ("first", "second")]
    made = pod("x", "cat /v/f", volumes=volumes, initContainers=inits, main={"volumeMounts": mounts})
    return _ended(lab, made, "status.initContainerStatuses") | {"log": lab.log("x", container="main")}


def init_container_that_fails(lab: Lab) -> Any:
    lab.create(pod("x", "true", initContainers=[container("exit 4", "first"), container("true", "second")]))
    lab.ended("x")
    found = lab.condition("pods", "x", "PodReadyToStartContainers", "False")
    events = lab.events("x")
    return {"pod": lab.view(found, *STATUS, "status.initContainerStatuses"), "events": events}


def init_container_runs_at_first(lab: Lab) -> Any:
    lab.create(pod("x", "true", initContainers=[container("sleep 1000", "first")]))
    found = lab.until("pods", "x", lambda p: p["status"].get("initContainerStatuses", [{}])[0].get("started"))
    return {
        "pod": lab.view(found, *STATUS, "status.initContainerStatuses"),
        "get": lab.kubectl("get", "pod", "x"),
        "log": lab.refused("GET", "pods/x/log", container="main"),
    }


def sidecar(lab: Lab) -> Any:
    inits = [container("trap 'exit 0' TERM; while true; do sleep 0.1; done", "side", restartPolicy="Always")]
    lab.create(pod("x", "sleep 2", initContainers=inits))
    running = lab.condition("pods", "x", "Ready")
    get = lab.kubectl("get", "pod", "x")
    lab.ended("x")
    found = lab.condition("pods", "x", "PodReadyToStartContainers", "False")
    fields = (*STATUS, "status.initContainerStatuses")
    return {"running": lab.view(running, *fields), "get": get, "ended": lab.view(found, *fields)}


def two_containers_one_fails(lab: Lab) -> Any:
    made = pod("x", "exit 0")
    made["spec"]["containers"].append(container("sleep 0.5; exit 7", "other"))
    return _ended(lab, made) | {
        "get": lab.kubectl("get", "pod", "x"),
        "log": lab.refused("GET", "pods/x/log"),
        "no such": lab.refused("GET", "pods/x/log", container="third"),
    }


def not_ready_until_the_probe_passes(lab: Lab) -> Any:
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    lab.create(pod("x", "sleep 4; touch /tmp/ready; sleep 1000", main={"readinessProbe": probe}))
    events = lab.events("x", "Unhealthy")
    before = lab.get("pods/x")
    after = lab.condition("pods", "x", "Ready")
    return {"before": lab.view(before, *STATUS), "events": events, "after": lab.view(after, *STATUS)}


def killed_by_its_liveness_probe(lab: Lab) -> Any:
    probe = {"exec": {"command": ["sh", "-c", "echo sick; false"]}, "periodSeconds": 1, "failureThreshold": 1}
    lab.create(pod("x", "exec sleep 1000", restartPolicy="Always", main={"livenessProbe": probe}))
    lab.until("pods", "x", lambda p: (p["status"].get("containerStatuses") or [{}])[0].get("restartCount"))
    last = lab.get("pods/x")["status"]["containerStatuses"][0]["lastState"]
    return {"last": lab.view(last), "events": lab.events("x", "Killing", but=("BackOff",))}


def startup_probe_fails(lab: Lab) -> Any:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    lab.create(pod("x", "exec sleep 1000", main={"startupProbe": probe}))
    lab.ended("x")
    found = lab.condition("pods", "x", "PodReadyToStartContainers", "False")
    return {"pod": lab.view(found, *STATUS), "events": lab.events("x", "Killing")}


def http_probe_refused(lab: Lab) -> Any:
    probe = {"httpGet": {"port": 8099, "path": "/healthz"}, "periodSeconds": 1}
    lab.create(pod("x", "sleep 1000", main={"readinessProbe": probe}))
    return lab.events("x", "Unhealthy")


def deadline(lab: Lab) -> Any:
    lab.create(pod("x", "sleep 1000", activeDeadlineSeconds=1))
    found = lab.ended("x")
    return {
        "pod": lab.view(found, "status.phase", "status.reason", "status.message"),
        "events": lab.events("x", "DeadlineExceeded", but=("Killing",)),
        "get": lab.kubectl("get", "pod", "x"),
    }


def deleted_gracefully(lab: Lab) -> Any:
    script = "trap 'echo ending; exit 0' TERM; while true; do sleep 0.1; done"
    lab.create(pod("x", script, terminationGracePeriodSeconds=30))
    lab.condition("pods", "x", "Ready")
    answer = lab.delete("pods/x")
    told = {k: answer.body["metadata"].get(k) is not None for k in ("deletionTimestamp", "deletionGracePeriodSeconds")}
    lab.gone("pods", "x")
    return {
        "code": answer.code,
        "kind": answer.body["kind"],
        "told": told,
        "grace": answer.body["metadata"].get("deletionGracePeriodSeconds"),
        "events": lab.events("x", "Scheduled", "Killing"),
        "again": lab.says(lab.delete("pods/x")),
    }


def deleted_at_once(lab: Lab) -> Any:
    lab.create(pod("x", "trap '' TERM; while true; do sleep 1; done", terminationGracePeriodSeconds=60))
    lab.condition("pods", "x", "Ready")
    answer = lab.delete("pods/x", gracePeriodSeconds=0)
    lab.gone("pods", "x", 10)
    return {"code": answer.code, "grace": answer.body["metadata"].get("deletionGracePeriodSeconds")}


def deleted_while_finalizers_hold(lab: Lab) -> Any:
    lab.create(configmap("c", a="1") | {"metadata": {"name": "c", "finalizers": ["example.com/hold"]}})
    answer = lab.delete("configmaps/c")
    held = lab.get("configmaps/c")
    again = lab.call("PATCH", "configmaps/c", {"metadata": {"finalizers": ["example.com/hold", "example.com/b"]}},
                     "application/merge-patch+json")  # fmt: skip
    freed = lab.call("PATCH", "configmaps/c", {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    return {
        "answer": lab.says(answer),
        "held": lab.view(held),
        "another": lab.says(again),
        "freed": freed.code,
        "after": lab.refused("GET", "configmaps/c"),
    }


def unschedulable(lab: Lab) -> Any:
    lab.create(pod("x", "true", nodeSelector={"disk": "fast"}))
    found = lab.condition("pods", "x", "PodScheduled", "False")
    return {
        "pod": lab.view(found, *STATUS),
        "events": lab.events("x", "FailedScheduling"),
        "log": lab.says(lab.call("GET", "pods/x/log")),
        "get": lab.kubectl("get", "pod", "x", "-o", "wide"),
    }


def too_much_memory_asked(lab: Lab) -> Any:
    lab.create(pod("x", "true", main={"resources": {"requests": {"memory": "900Ti"}}}))
    lab.condition("pods", "x", "PodScheduled", "False")
    return lab.events("x", "FailedScheduling")


def claim_that_is_not_there(lab: Lab) -> Any:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "absent"}}]
    lab.create(pod("x", "true", volumes=volumes, main={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))
    found = lab.condition("pods", "x", "PodScheduled", "False")
    return {"pod": lab.view(found, *STATUS), "events": lab.events("x", "FailedScheduling")}


def evicted_for_its_volume(lab: Lab) -> Any:
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
    script = "dd if=/dev/zero of=/v/f bs=1M count=8 2>/dev/null; sleep 1000"
    lab.create(pod("x", script, volumes=volumes, main={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))
    found = lab.until("pods", "x", lambda p: p["status"].get("reason") == "Evicted", 90)
    return {
        "pod": lab.view(found, "status.phase", "status.reason", "status.message"),
        "events": lab.events("x", "Evicted", but=("Killing", "ExceededGracePeriod")),
    }


def killed_for_its_memory(lab: Lab) -> Any:
    script = "x=a; while true; do x=$x$x; done"
    lab.create(pod("x", script, main={"resources": {"limits": {"memory": "16Mi"}}}))
    found = lab.ended("x")
    state = found["status"]["containerStatuses"][0]["state"]["terminated"]
    return {"state": lab.view({k: state[k] for k in ("exitCode", "reason")}), "get": lab.kubectl("get", "pod", "x")}


def evicted_through_the_api(lab: Lab) -> Any:
    lab.create(pod("x", "exec sleep 1000"))
    lab.condition("pods", "x", "Ready")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "x"}}
    answer = lab.call("POST", "pods/x/eviction", body)
    lab.gone("pods", "x")
    return lab.says(answer)


def logs_with_options(lab: Lab) -> Any:
    lab.create(pod("x", "for i in 1 2 3 4 5; do echo line $i; done; printf end"))
    lab.ended("x")
    return {
        "all": lab.log("x"),
        "tail": lab.log("x", tailLines=2),
        "none": lab.log("x", tailLines=0),
        "bytes": lab.log("x", limitBytes=9),
        "times": lab.log("x", timestamps="true", tailLines=1),
        "negative": lab.refused("GET", "pods/x/log", tailLines=-1),
        "since both": lab.refused("GET", "pods/x/log", sinceSeconds=1, sinceTime="2026-01-01T00:00:00Z"),
        "previous": lab.refused("GET", "pods/x/log", previous="true"),
        "absent": lab.refused("GET", "pods/y/log"),
        "kubectl": lab.kubectl("logs", "x", "--tail=1"),
    }


def service_variables(lab: Lab) -> Any:
    lab.create(service("my-api", ports=[{"port": 80, "name": "http"}, {"port": 81, "name": "admin"}]))
    lab.create(pod("x", "env | grep ^MY_API | sed 's/=.*//' | sort"), pod("y", "env | grep -c ^MY_API",
               enableServiceLinks=False))  # fmt: skip
    lab.ended("x")
    lab.ended("y")
    return {"x": lab.log("x").split("\n"), "y": lab.log("y")}


def service_account_files(lab: Lab) -> Any:
    script = (
        "cd /var/run/secrets/kubernetes.io/serviceaccount; ls; cat namespace; echo; cut -c1-2 token; head -1 ca.crt"
    )
    lab.create(pod("x", script), pod("y", "ls /var/run/secrets 2>/dev/null; true", automountServiceAccountToken=False))
    lab.ended("x")
    lab.ended("y")
    spec = lab.view(lab.get("pods/x"), "spec.volumes", "spec.containers")
    return {"x": lab.log("x").split("\n"), "y": lab.log("y"), "spec": spec}


def hostname_and_working_folder(lab: Lab) -> Any:
    made = pod("some-name", "hostname; pwd; echo $HOSTNAME; test -t 0 || echo no tty", main={"workingDir": "/w"})
    lab.create(made)
    lab.ended("some-name")
    return lab.log("some-name").split("\n")


def exec_into_it(lab: Lab) -> Any:
    lab.create(pod("x", "sleep 1000"))
    lab.condition("pods", "x", "Ready")
    return {
        "output": lab.kubectl("exec", "x", "--", "sh", "-c", "echo out; echo err >&2"),
        "code": lab.kubectl("exec", "x", "--", "sh", "-c", "exit 3"),
        "stdin": lab.kubectl("exec", "-i", "x", "--", "cat", stdin="given\n"),
        "no container": lab.kubectl("exec", "x", "-c", "nope", "--", "true"),
        "no pod": lab.kubectl("exec", "nope", "--", "true"),
    }


def exec_into_an_ended_one(lab: Lab) -> Any:
    lab.create(pod("x", "true"))
    lab.ended("x")
    return lab.kubectl("exec", "x", "--", "true")


def described(lab: Lab) -> Any:
    main = {
        "env": [{"name": "A", "value": "1"}],
        "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}},
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
    }
    lab.create(pod("x", "sleep 1000", main=main))
    lab.condition("pods", "x", "Ready")
    lab.events("x")
    return lab.kubectl("describe", "pod", "x")


def described_failed(lab: Lab) -> Any:
    lab.create(pod("x", "exit 5", initContainers=[container("true", "first")]))
    lab.ended("x")
    lab.condition("pods", "x", "PodReadyToStartContainers", "False")
    lab.events("x")
    return lab.kubectl("describe", "pod", "x")


def listed(lab: Lab) -> Any:
    lab.create(pod("done", "true"), pod("failed", "false"), pod("runs", "sleep 1000"))
    lab.ended("done")
    lab.ended("failed")
    lab.condition("pods", "runs", "Ready")
    return {
        "get": lab.kubectl("get", "pods"),
        "wide": lab.kubectl("get", "pods", "-o", "wide"),
        "labels": lab.kubectl("get", "pods", "--show-labels"),
        "name": lab.kubectl("get", "pods", "-o", "name"),
        "selected": lab.kubectl("get", "pods", "-l", "app in (done,runs)"),
        "by field": lab.kubectl("get", "pods", "--field-selector", "status.phase=Failed"),
        "columns": lab.kubectl("get", "pods", "-o", "custom-columns=N:.metadata.name,P:.status.phase"),
        "none": lab.kubectl("get", "pods", "-l", "app=zz"),
        "absent": lab.kubectl("get", "pod", "zz"),
    }
