"""What a container finds: environment, volumes, arguments."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

from clusters import Kube, container, phase

DUMP = ["sh", "-c", "env -0 | tr '\\0' '\\n'"]


def environment(kube: Kube, name: str = "p") -> dict[str, str]:
    assert phase(kube.ended(name)) == "Succeeded"
    return dict(line.split("=", 1) for line in kube.log(name).splitlines() if "=" in line)


def test_variables_are_expanded_in_order(kube: Kube):
    env = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)-$(NONE)-$$(A)"},
        {"name": "C", "value": "$(LATER)"},
        {"name": "LATER", "value": "x"},
    ]
    kube.pod("p", DUMP, container={"env": env})
    found = environment(kube)
    assert (found["B"], found["C"]) == ("a-$(NONE)-$(A)", "$(LATER)")


def test_variables_come_from_objects_fields_and_limits(kube: Kube):
    kube.core.create_namespaced_config_map(
        kube.namespace, {"metadata": {"name": "c"}, "data": {"k": "v", "other": "o"}}
    )
    secret = base64.b64encode(b"hidden").decode()
    kube.core.create_namespaced_secret(kube.namespace, {"metadata": {"name": "s"}, "data": {"password": secret}})
    env = [
        {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        {"name": "GONE", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "k", "optional": True}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "MIB", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    kube.pod("p", DUMP, container={
        "env": env, "envFrom": [{"prefix": "X_", "configMapRef": {"name": "c"}}],
        "resources": {"limits": {"memory": "64Mi"}},
    })  # fmt: skip
    found = environment(kube)
    wanted = {
        "K": "v",
        "P": "hidden",
        "POD": "p",
        "APP": "p",
        "IP": kube.get("p")["status"]["podIP"],
        "MIB": "64",
        "X_k": "v",
        "X_other": "o",
    }
    assert wanted.items() <= found.items()
    assert "GONE" not in found


def test_a_missing_config_map_holds_the_container_until_it_is_there(kube: Kube):
    kube.pod("p", DUMP, container={"env": [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]})
    pod = kube.until(
        "p", lambda p: container(p)["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError"
    )
    assert container(pod)["state"]["waiting"]["message"] == 'configmap "c" not found'
    kube.core.create_namespaced_config_map(kube.namespace, {"metadata": {"name": "c"}, "data": {"k": "v"}})
    assert environment(kube)["K"] == "v"


def test_services_and_ports_are_in_the_environment(kube: Kube):
    service = {"metadata": {"name": "my-web"}, "spec": {"selector": {"app": "none"}, "ports": [{"port": 80}]}}
    made = kube.core.create_namespaced_service(kube.namespace, service)
    ports = [{"containerPort": 8080}, {"containerPort": 9090, "name": "side-door"}]
    pod = kube.pod("p", DUMP, container={"ports": ports})
    found = environment(kube)
    if kube.own_network:
        assert (found["MY_WEB_SERVICE_HOST"], found["MY_WEB_SERVICE_PORT"]) == (made.spec.cluster_ip, "80")
        assert not {"PORT", "PORT_SIDE_DOOR", "HOST"} & found.keys()
        assert (found["KUBERNETES_SERVICE_HOST"], found["KUBERNETES_SERVICE_PORT"]) == ("10.96.0.1", "443")
        return
    port = str(json.loads(made.metadata.annotations["labkit.dev/ports"])["80"])
    mapped = [str(p["hostPort"]) for p in pod["spec"]["containers"][0]["ports"]]
    assert (found["MY_WEB_SERVICE_HOST"], found["MY_WEB_SERVICE_PORT"]) == ("127.0.0.1", port)
    assert (found["PORT"], found["PORT_SIDE_DOOR"], found["HOST"]) == (mapped[0], mapped[1], "127.0.0.1")
    api = kube.api.configuration.host.rpartition(":")[2]
    assert (found["KUBERNETES_SERVICE_HOST"], found["KUBERNETES_SERVICE_PORT"]) == ("127.0.0.1", api)


def test_command_arguments_and_folder_are_the_pods(kube: Kube):
    kube.pod("p", ["sh", "-c"], container={
        "args": ["pwd; echo $(A) '$$(A)'"], "workingDir": "/tmp/here", "env": [{"name": "A", "value": "a"}],
    })  # fmt: skip
    assert phase(kube.ended("p")) == "Succeeded"
    first, second = kube.log("p").splitlines()
    assert first.endswith("/tmp/here")
    assert second == "a $(A)"


def test_a_config_map_volume_has_its_keys_and_follows_changes(kube: Kube):
    kube.core.create_namespaced_config_map(kube.namespace, {"metadata": {"name": "c"}, "data": {"k": "old", "j": "x"}})
    program = "cat /etc/c/deep/k; ls /etc/c; until grep -q new /etc/c/deep/k; do sleep 0.05; done; cat /etc/c/deep/k"
    kube.pod("p", ["sh", "-c", program],
             volumes=[{"name": "c", "configMap": {"name": "c", "items": [{"key": "k", "path": "deep/k"}]}}],
             container={"volumeMounts": [{"name": "c", "mountPath": "/etc/c"}]})  # fmt: skip
    kube.running("p")
    while "deep" not in kube.log("p"):
        time.sleep(0.02)
    kube.core.patch_namespaced_config_map("c", kube.namespace, {"data": {"k": "new"}})
    assert phase(kube.ended("p")) == "Succeeded"
    assert kube.log("p") == "olddeep\nnew\n"


def test_secrets_projections_and_the_downward_api_are_files(kube: Kube):
    value = base64.b64encode(b"\x00\xff").decode()
    kube.core.create_namespaced_secret(kube.namespace, {"metadata": {"name": "s"}, "data": {"bin": value}})
    volumes = [
        {"name": "s", "secret": {"secretName": "s", "defaultMode": 0o400}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"secret": {"name": "s"}},
                    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
                ]
            },
        },
    ]
    program = "od -An -tx1 /s/bin; stat -Lc %a /s/bin; od -An -tx1 /all/bin; cat /all/labels; echo; wc -c < /all/token"
    kube.pod("p", ["sh", "-c", program], volumes=volumes, container={
        "volumeMounts": [{"name": "s", "mountPath": "/s"}, {"name": "all", "mountPath": "/all"}],
    })  # fmt: skip
    assert phase(kube.ended("p")) == "Succeeded"
    lines = [line.strip() for line in kube.log("p").splitlines()]
    assert lines[:4] == ["00 ff", "400", "00 ff", 'app="p"']
    assert int(lines[4]) > 20


def test_an_empty_dir_is_shared_and_a_sub_path_shows_a_part_of_it(kube: Kube):
    kube.pod("p", ["cat", "/part/f"], volumes=[{"name": "d", "emptyDir": {"medium": "Memory"}}],
             initContainers=[{"name": "i", "image": "busybox", "command": ["sh", "-c", "mkdir -p /d/a; echo x > /d/a/f"],
                              "volumeMounts": [{"name": "d", "mountPath": "/d"}]}],
             container={"volumeMounts": [{"name": "d", "mountPath": "/part", "subPath": "a"}]})  # fmt: skip
    assert phase(kube.ended("p")) == "Succeeded"
    assert kube.log("p") == "x\n"


def test_a_claim_outlives_its_pods(kube: Kube):
    claim = {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
             "resources": {"requests": {"storage": "1Mi"}}}}  # fmt: skip
    kube.core.create_namespaced_persistent_volume_claim(kube.namespace, claim)
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]
    mounts = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}
    kube.pod("p", ["sh", "-c", "echo kept > /d/f"], volumes=volumes, container=mounts)
    kube.ended("p")
    kube.pod("q", ["cat", "/d/f"], volumes=volumes, container=mounts)
    kube.ended("q")
    assert kube.log("q") == "kept\n"


def test_a_missing_volume_source_is_told_and_awaited(kube: Kube):
    kube.pod("p", ["cat", "/c/k"], volumes=[{"name": "c", "configMap": {"name": "late"}}],
             container={"volumeMounts": [{"name": "c", "mountPath": "/c"}]})  # fmt: skip
    words = kube.events("p", "FailedMount")
    assert words == ['MountVolume.SetUp failed for volume "c" : configmap "late" not found']
    kube.core.create_namespaced_config_map(kube.namespace, {"metadata": {"name": "late"}, "data": {"k": "v"}})
    assert phase(kube.ended("p")) == "Succeeded"


def test_a_pod_talks_to_the_api_with_its_own_account(kube: Kube):
    where = "/var/run/secrets/kubernetes.io/serviceaccount"
    program = f"cat {where}/namespace; echo; head -c 20 {where}/ca.crt; echo; ls {where}"
    kube.pod("p", ["sh", "-c", program], automountServiceAccountToken=True)
    if phase(kube.ended("p")) != "Succeeded":
        pytest.fail(kube.log("p"))
    first, second, *names = kube.log("p").splitlines()
    assert (first, second) == (kube.namespace, "-----BEGIN CERTIFICA")
    assert set(names) == {"ca.crt", "namespace", "token"}


def test_logs_are_cut_as_asked(kube: Kube):
    kube.pod("p", ["sh", "-c", "for i in 1 2 3 4; do echo line $i; done; printf tail"])
    kube.ended("p")
    assert kube.log("p") == "line 1\nline 2\nline 3\nline 4\ntail\n"
    assert kube.log("p", tail_lines=2) == "line 4\ntail\n"
    assert kube.log("p", limit_bytes=6) == "line 1"
    assert kube.log("p", since_seconds=3600).count("line") == 4
    when, text = kube.log("p", tail_lines=1, timestamps=True).rstrip().split(" ", 1)
    assert (when[10], when[-1], text) == ("T", "Z", "tail")
    with pytest.raises(ApiException, match="not found"):
        kube.log("p", previous=True)


def test_following_a_log_ends_with_the_container(kube: Kube):
    kube.pod("p", ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"])
    kube.running("p")
    answer = kube.core.read_namespaced_pod_log("p", kube.namespace, follow=True, _preload_content=False)
    assert b"".join(answer.stream()) == b"1\n2\n3\n"


NAME = "import os, socket; name = socket.gethostname(); print(os.environ['HOSTNAME'], name, socket.gethostbyname(name))"


def test_a_pod_knows_its_own_name_and_address(kube: Kube):
    command, env = ["python3", "-c", NAME], [{"name": "PYTHONHASHSEED", "value": "1"}]  # no need of a warm parent
    long = "a" * 62 + "-b"
    for name, more in (("one", {}), (long, {}), ("two", {"hostname": "other", "subdomain": "group"})):
        kube.pod(name, command, "python:3", container={"env": env}, metadata={"labels": {}}, **more)
    for name, expected in (("one", "one"), ("two", "other"), (long, "a" * 62)):
        address = kube.ended(name)["status"]["podIP"]
        variable, *known = kube.log(name).split()
        assert variable == expected
        assert known == [expected, address] or not isolated(kube)


def isolated(kube: Kube) -> bool:
    return "namespaces" in kube.core.read_node("labkit").metadata.annotations["labkit.dev/mechanisms"]


def test_a_script_in_a_config_map_means_the_containers_paths(kube: Kube):
    script = "echo $NAME > /tmp/labkit-script; cp /tmp/labkit-script /data/$NAME; . /scripts/more.sh; sleep 60"
    more = "cat /tmp/labkit-script /scripts/same.py; touch /data/$NAME.done"
    files = {"run.sh": script, "more.sh": more, "same.py": "print('/tmp/labkit-script')\n"}
    kube.core.create_namespaced_config_map(kube.namespace, {"metadata": {"name": "scripts"}, "data": files})
    mounts = [
        {"name": "scripts", "mountPath": "/scripts"},
        {"name": "scripts", "mountPath": "/srv/run.sh", "subPath": "run.sh"},
        {"name": "data", "mountPath": "/data"},
    ]
    probe = {"exec": {"command": ["test", "-e", "/data/one.done", "-a", "-e", "/data/two.done"]}, "periodSeconds": 1}
    common = {"image": "busybox", "volumeMounts": mounts, "readinessProbe": probe}
    containers = [
        common | {"name": "one", "command": ["sh", "/scripts/run.sh"], "env": [{"name": "NAME", "value": "one"}]},
        common | {"name": "two", "command": ["sh", "/srv/run.sh"], "env": [{"name": "NAME", "value": "two"}]},
    ]
    volumes = [{"name": "scripts", "configMap": {"name": "scripts"}}, {"name": "data", "emptyDir": {}}]
    kube.pod("p", None, containers=containers, volumes=volumes)
    kube.until("p", lambda pod: all(container(pod, name).get("ready") for name in ("one", "two")))
    for name in ("one", "two"):
        assert kube.log("p", container=name) == f"{name}\nprint('/tmp/labkit-script')\n"
    assert not Path("/tmp/labkit-script").exists()

    kube.core.patch_namespaced_config_map(
        "scripts", kube.namespace, {"data": {"more.sh": "cat /tmp/labkit-script; exit 9"}}
    )
    check = ["sh", "-c", "until grep -q 9 /scripts/more.sh; do sleep 0.1; done; . /scripts/more.sh"]
    options = {"command": check, "container": "one", "stdout": True, "stderr": True}
    assert stream(kube.core.connect_get_namespaced_pod_exec, "p", kube.namespace, **options) == "one\n"
