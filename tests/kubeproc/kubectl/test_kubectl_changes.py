"""apply, patch, edit, replace and their like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubectl_client import Kubectl, Result, configmap, deployment, tfjob


def test_apply_changes_what_the_file_changes_and_nothing_else(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("c", a="1", b="2"))
    assert kubectl.apply(configmap("c", a="1", b="2")) == "configmap/c unchanged\n"
    kubectl("patch", "cm", "c", "-p", '{"data":{"other":"x"}}')
    assert kubectl.apply(configmap("c", a="3")) == "configmap/c configured\n"
    assert kubectl.json("cm", "c")["data"] == {"a": "3", "other": "x"}


def test_apply_merges_containers_by_name(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(replicas=0, env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    kubectl("patch", "deployment", "web", "-p",
            '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox"}]}}}}')  # fmt: skip
    kubectl.apply(deployment(replicas=0, image="bash", env=[{"name": "B", "value": "3"}]))
    containers = kubectl.json("deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert {c["name"]: c["image"] for c in containers} == {"main": "bash", "side": "busybox"}
    main = next(c for c in containers if c["name"] == "main")
    assert main["env"] == [{"name": "B", "value": "3"}]


def test_apply_of_custom_resources(kubectl: Kubectl) -> None:
    job = tfjob("tf")
    assert kubectl.apply(job) == "tfjob.kubeflow.org/tf created\n"
    job["spec"]["runPolicy"] = {"cleanPodPolicy": "Running"}
    assert kubectl.apply(job) == "tfjob.kubeflow.org/tf configured\n"
    assert kubectl.json("tfjob", "tf")["spec"]["runPolicy"] == {"cleanPodPolicy": "Running"}


def test_server_side_apply_owns_fields(kubectl: Kubectl) -> None:
    def apply(manager: str, obj: dict[str, Any], *more: str) -> Result:
        flags = ["--server-side", f"--field-manager={manager}", *more]
        return kubectl.run("apply", "-f", "-", *flags, stdin=json.dumps(obj))

    assert apply("one", configmap("c", a="1", b="1")).out == "configmap/c serverside-applied\n"
    refused = apply("two", configmap("c", a="2"))
    assert 'conflict with "one": .data.a' in refused.err
    assert apply("two", configmap("c", a="2"), "--force-conflicts").code == 0
    assert apply("one", configmap("c", b="1")).code == 0
    assert kubectl.json("cm", "c")["data"] == {"a": "2", "b": "1"}
    managers = kubectl.json("cm", "c", "--show-managed-fields")["metadata"]["managedFields"]
    assert {(m["manager"], m["operation"]) for m in managers} == {("one", "Apply"), ("two", "Apply")}


def test_diff_shows_what_apply_would_change(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("c", a="1"))
    assert kubectl.run("diff", "-f", "-", stdin=json.dumps(configmap("c", a="1"))).code == 0
    changed = kubectl.run("diff", "-f", "-", stdin=json.dumps(configmap("c", a="2")))
    assert changed.code == 1
    assert '-  a: "1"\n+  a: "2"' in changed.out
    assert kubectl.json("cm", "c")["data"] == {"a": "1"}


def test_edit_writes_back_what_the_editor_leaves(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply(configmap("c", a="old"), tfjob("tf"))
    assert kubectl("edit", "cm", "c", EDITOR="sed -i s/old/new/") == "configmap/c edited\n"
    assert kubectl.json("cm", "c")["data"] == {"a": "new"}
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/^spec:/spec:\\n  successPolicy: AllWorkers/' $1\n")
    editor.chmod(0o700)
    assert kubectl("edit", "tfjob", "tf", EDITOR=str(editor)) == "tfjob.kubeflow.org/tf edited\n"
    assert kubectl.json("tfjob", "tf")["spec"]["successPolicy"] == "AllWorkers"
    assert kubectl.run("edit", "cm", "c", EDITOR="true").err == "Edit cancelled, no changes made.\n"


def test_three_kinds_of_patch(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(replicas=0))
    add = '{"spec":{"template":{"spec":{"containers":[{"name":"b","image":"busybox"}]}}}}'
    kubectl("patch", "deployment", "web", "-p", add)
    names = [c["name"] for c in kubectl.json("deployment", "web")["spec"]["template"]["spec"]["containers"]]
    assert sorted(names) == ["b", "main"]
    kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"minReadySeconds":3}}')
    change = (
        '[{"op":"test","path":"/spec/minReadySeconds","value":3},{"op":"replace","path":"/spec/replicas","value":2}]'
    )
    kubectl("patch", "deployment", "web", "--type=json", "-p", change)
    assert kubectl.json("deployment", "web")["spec"]["replicas"] == 2
    refused = kubectl.run("patch", "deployment", "web", "--type=json", "-p", change.replace("3}", "4}"))
    assert refused.code == 1
    status = '{"status":{"conditions":[]}}'
    kubectl("patch", "deployment", "web", "--subresource=status", "--type=merge", "-p", status)
    assert kubectl.run("patch", "tfjob", "no", "-p", "{}").code == 1


def test_labels_annotations_and_images(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(replicas=0))
    kubectl("label", "deployment", "web", "tier=front")
    assert "already has a value" in kubectl.run("label", "deployment", "web", "tier=back").err
    kubectl("label", "deployment", "web", "tier=back", "--overwrite")
    kubectl("annotate", "deployment", "web", "note=hello")
    kubectl("set", "image", "deployment/web", "main=bash")
    kubectl("set", "env", "deployment/web", "X=1")
    found = kubectl.json("deployment", "web")
    assert found["metadata"]["labels"] == {"tier": "back"}
    assert found["metadata"]["annotations"]["note"] == "hello"
    main = found["spec"]["template"]["spec"]["containers"][0]
    assert (main["image"], main["env"]) == ("bash", [{"name": "X", "value": "1"}])
    kubectl("label", "deployment", "web", "tier-")
    assert "labels" not in kubectl.json("deployment", "web")["metadata"]


def test_replace_needs_the_current_version(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("c", a="1"))
    old = kubectl.json("cm", "c")
    kubectl("patch", "cm", "c", "-p", '{"data":{"a":"2"}}')
    refused = kubectl.run("replace", "-f", "-", stdin=json.dumps(old))
    assert "the object has been modified" in refused.err
    assert kubectl.apply(configmap("c", a="3"), verb="replace") == "configmap/c replaced\n"
