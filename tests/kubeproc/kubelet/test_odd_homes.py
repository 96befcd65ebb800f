"""A cluster whose folder has a name that means something to a shell, a pattern or Python: nothing beside it is touched."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, watch

from clusters import let_workflows_run, running_cluster, space
from kubeproc import engine
from kubeproc.folder import ClusterFolder, portable

NAMES = {"space": "my disk/lab", "all": "-n my 'disk' \"$HOME\" $(x) `x` * ? [a-z] {} %d #; & | \\ über"}
WAYS = [(way, name) for way in (["portable"] if portable() else ["portable", "linux"]) for name in NAMES]
SCRIPT = """
set -e
rm -rf /tmp/cache /data/old $(pwd)/here; mkdir /tmp/cache
echo kept > /tmp/cache/x; cp /tmp/cache/x /data/x; cat /config/word /tmp/cache/x /data/x
cd /data; rm -rf $(pwd -P)/gone; ls $(pwd -P)
python3 -c "import os; open('/data/y', 'w').write(os.path.realpath('/data/x')); print(open(b'/data/x').read())"
"""


@pytest.fixture(params=WAYS, ids=["-".join(way) for way in WAYS])
def home(request: pytest.FixtureRequest) -> Iterator[ClusterFolder]:
    way, name = request.param
    with tempfile.TemporaryDirectory(prefix="labkit-home-") as base:
        root = Path(base, NAMES[name])
        canaries = [Path(base, "my/thesis.txt"), Path(base, "thesis.txt"), Path(base, "-n/thesis.txt")]
        for canary in canaries:
            canary.parent.mkdir(parents=True, exist_ok=True)
            canary.write_text("do not delete")
        root.mkdir(parents=True)
        before = {path for path in Path(base).rglob("*") if root not in path.parents}
        with running_cluster(root, way == "portable") as folder:
            yield folder
            assert all(canary.read_text() == "do not delete" for canary in canaries)
            assert {path for path in Path(base).rglob("*") if root not in path.parents} == before
        engine.down(folder, purge=True)
        assert not folder.plain.exists()
        assert not folder.root.exists()


def test_pods_write_delete_and_read_what_is_theirs(home: ClusterFolder) -> None:
    kube = space(home, "odd")
    kube.core.create_namespaced_config_map(
        kube.namespace, {"metadata": {"name": "c"}, "data": {"word": "configured\n"}}
    )
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
             "resources": {"requests": {"storage": "1Mi"}}}}  # fmt: skip
    kube.core.create_namespaced_persistent_volume_claim(kube.namespace, claim)
    volumes = [
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ]
    mounts = [{"name": "config", "mountPath": "/config"}, {"name": "data", "mountPath": "/data"}]
    kube.pod("p", ["sh", "-c", SCRIPT], "python:3", volumes=volumes, container={"volumeMounts": mounts})
    ended = kube.ended("p", 30)
    assert ended["status"]["phase"] == "Succeeded", kube.log("p")
    assert kube.log("p") == "configured\nkept\nkept\nx\nkept\n\n"
    assert (home.volumes / kube.namespace / "data" / "x").read_text() == "kept\n"

    sub = [{"name": "data", "mountPath": "/data", "subPath": "with a blank"}]
    kube.pod("s", ["sh", "-c", "rm -rf /data/a; echo 1 > /data/b"], volumes=volumes, container={"volumeMounts": sub})
    assert kube.ended("s", 30)["status"]["phase"] == "Succeeded", kube.log("s")
    assert (home.volumes / kube.namespace / "data" / "with a blank" / "b").read_text() == "1\n"
    engine.down(home)
    engine.up(home)
    assert (home.volumes / kube.namespace / "data" / "x").read_text() == "kept\n"


def test_a_workflow_hands_artifacts_on(home: ClusterFolder) -> None:
    kube = space(home, "odd-w")
    let_workflows_run(kube.api, kube.namespace)
    make = {
        "image": "busybox",
        "command": ["sh", "-c", "rm -rf /out; mkdir -p /out; echo made > /out/f; echo deep > /tmp/g"],
    }
    files = [{"name": "f", "path": "/out/f"}, {"name": "g", "path": "/tmp/g"}]
    links = [{"name": n, "from": f"{{{{steps.a.outputs.artifacts.{n}}}}}"} for n in "fg"]
    read = {"image": "busybox", "command": ["sh", "-c", "cat /in/f /tmp/h; rm -rf /in"]}
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"},
        "spec": {"entrypoint": "main", "templates": [
            {"name": "main", "steps": [[{"name": "a", "template": "make"}],
                                       [{"name": "b", "template": "read", "arguments": {"artifacts": links}}]]},
            {"name": "make", "container": make, "outputs": {"artifacts": files}},
            {"name": "read", "container": read,
             "inputs": {"artifacts": [{"name": "f", "path": "/in/f"}, {"name": "g", "path": "/tmp/h"}]}},
        ]},
    }  # fmt: skip
    objects = client.CustomObjectsApi(kube.api)
    objects.create_namespaced_custom_object("argoproj.io", "v1alpha1", kube.namespace, "workflows", workflow)
    stream = watch.Watch().stream(
        objects.list_namespaced_custom_object,
        "argoproj.io",
        "v1alpha1",
        kube.namespace,
        "workflows",
        timeout_seconds=60,
    )
    states = (event["object"].get("status", {}) for event in stream)
    status = next(status for status in states if status.get("phase") in ("Succeeded", "Failed", "Error"))
    assert status["phase"] == "Succeeded", [node.get("message") for node in status["nodes"].values()]
    pods = kube.core.list_namespaced_pod(kube.namespace).items
    name = next(pod.metadata.name for pod in pods if "read" in pod.metadata.name)
    assert kube.log(name, container="main") == "made\ndeep\n"


def test_an_emptydir_that_grows_too_large_is_noticed(home: ClusterFolder) -> None:
    kube = space(home, "odd-e")
    volumes = [{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}]
    script = "head -c 4000000 /dev/zero > /e/large; sleep 60"
    kube.pod("e", ["sh", "-c", script], volumes=volumes, container={"volumeMounts": [{"name": "e", "mountPath": "/e"}]})
    assert kube.ended("e", 40)["status"]["reason"] == "Evicted"
