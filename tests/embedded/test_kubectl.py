"""The wheel's kubectl, unmodified, against a running cluster: every verb that the course uses does what it should."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labkit.embedded import engine
from labkit.paths import ClusterFolder

KUBECTL = str(Path(sys.executable).with_name("kubectl"))
SECONDS = 30


@dataclass
class Result:
    code: int
    out: str
    err: str


@dataclass
class Kubectl:
    """Runs kubectl in one namespace; calling it gives what it prints, and fails the test when it fails."""

    environment: dict[str, str]
    namespace: str = "default"

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Result:
        command = [KUBECTL, "-n", self.namespace, *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=SECONDS, env=self.environment | environment
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> str:
        done = self.run(*arguments, stdin=stdin, **environment)
        assert done.code == 0, f"kubectl {' '.join(arguments)}: {done.err}"
        return done.out

    def json(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any], verb: str = "apply") -> str:
        return self(verb, "-f", "-", stdin="\n---\n".join(json.dumps(o) for o in objects))

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        command = [KUBECTL, "-n", self.namespace, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.environment)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    home = tmp_path_factory.mktemp("kubectl")
    folder = ClusterFolder(home / "cluster")
    engine.up(folder)
    try:
        yield Kubectl(os.environ | {"KUBECONFIG": str(folder.kubeconfig), "KUBECACHEDIR": str(home), "NO_PROXY": "*"})
    finally:
        engine.down(folder, purge=True)


@pytest.fixture
def kubectl(cluster: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """kubectl in a namespace of the test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
    cluster("create", "namespace", name)
    return Kubectl(cluster.environment, name)


def until_event(kubectl: Kubectl, reason: str) -> None:
    """Return once there is an event of that reason: a node writes its events some time after what they tell."""
    watching = kubectl.started("get", "events", "-w", "--field-selector", f"reason={reason}", "--no-headers")
    assert watching.stdout
    try:
        assert reason in watching.stdout.readline()
    finally:
        watching.kill()
        watching.communicate()


def table(text: str) -> list[dict[str, str]]:
    """The rows of what `kubectl get` prints, by column."""
    lines = text.rstrip("\n").split("\n")
    heads = [(m.group().strip(), m.start()) for m in re.finditer(r"\S+(?: \S+)*", lines[0])]
    ends = [start for _, start in heads[1:]] + [None]
    return [
        {name: line[start:end].strip() for (name, start), end in zip(heads, ends, strict=True)} for line in lines[1:]
    ]


def pod(name: str, script: str = "sleep 100", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, "restartPolicy": "Never"} | spec,
    }


def deployment(name: str = "web", replicas: int = 1, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "busybox", "command": ["sleep", "100"]} | container
    spec = {"containers": [main], "terminationGracePeriodSeconds": 0}
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def tfjob(name: str) -> dict[str, Any]:
    container = {"name": "tensorflow", "image": "busybox", "command": ["true"]}
    worker = {"replicas": 1, "template": {"spec": {"containers": [container]}}}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name},
        "spec": {"tfReplicaSpecs": {"Worker": worker}},
    }


def workflow(name: str) -> dict[str, Any]:
    template = {"name": "main", "container": {"image": "busybox", "command": ["echo", "hi"]}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"entrypoint": "main", "templates": [template]},
    }


# -- reading ---------------------------------------------------------------------------------------------------------


def test_api_resources_names_every_kind(cluster: Kubectl) -> None:
    rows = {r["NAME"]: r for r in table(cluster("api-resources"))}
    assert rows["deployments"]["SHORTNAMES"] == "deploy"
    assert rows["tfjobs"]["APIVERSION"] == "kubeflow.org/v1"
    assert rows["nodes"]["NAMESPACED"] == "false"
    assert {"workflows", "workflowtemplates", "pods", "events", "endpointslices"} <= set(rows)


def test_get_prints_each_output_format(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("one", a="1"), configmap("two", a="1", b="2"))
    rows = {r["NAME"]: r["DATA"] for r in table(kubectl("get", "cm"))}
    assert (rows["one"], rows["two"]) == ("1", "2")
    assert kubectl("get", "cm", "two", "-o", "jsonpath={.data.b}") == "2"
    assert '\n  b: "2"\n' in kubectl("get", "cm", "two", "-o", "yaml")
    assert kubectl("get", "cm", "one", "two", "-o", "name") == "configmap/one\nconfigmap/two\n"
    columns = kubectl("get", "cm", "-o", "custom-columns=N:.metadata.name,D:.data.b", "--sort-by=.metadata.name")
    assert [r["D"] for r in table(columns) if r["N"] in ("one", "two")] == ["<none>", "2"]


def test_get_selects_and_sorts(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("b", x="1"), configmap("a", x="1", y="2"))
    kubectl("label", "cm", "a", "tier=front")
    assert kubectl("get", "cm", "-l", "tier in (front)", "-o", "name") == "configmap/a\n"
    assert kubectl("get", "cm", "--field-selector", "metadata.name=b", "-o", "name") == "configmap/b\n"
    assert [r["NAME"] for r in table(kubectl("get", "cm", "--sort-by=.data.y"))][-1] == "a"
    assert table(kubectl("get", "cm", "a", "-L", "tier", "--show-labels"))[0]["TIER"] == "front"
    assert kubectl.namespace in {r["NAMESPACE"] for r in table(kubectl("get", "cm", "-A"))}
    assert kubectl.run("get", "cm", "-l", "tier=back").err == f"No resources found in {kubectl.namespace} namespace.\n"


def test_what_is_not_there_is_not_found(kubectl: Kubectl) -> None:
    assert kubectl.run("get", "pod", "no").err == 'Error from server (NotFound): pods "no" not found\n'
    assert kubectl.run("get", "nothings").err == 'error: the server doesn\'t have a resource type "nothings"\n'
    assert kubectl.run("get", "cronjobs").code == 1


def test_get_wide_shows_where_a_pod_runs(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", f"--timeout={SECONDS}s")
    row = table(kubectl("get", "pods", "-o", "wide"))[0]
    assert (row["READY"], row["STATUS"], row["IP"], row["NODE"]) == ("1/1", "Running", "127.0.0.1", "labkit")


def test_get_watches(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("seen", a="1"))
    watching = kubectl.started("get", "cm", "seen", "-w", "-o", 'jsonpath={.data.a}{"\\n"}')
    rows = kubectl.started("get", "cm", "--field-selector", "metadata.name=seen", "-w")
    assert watching.stdout
    assert rows.stdout
    try:
        assert watching.stdout.readline() == "1\n"
        assert rows.stdout.readline().split() == ["NAME", "DATA", "AGE"]
        assert rows.stdout.readline().split()[:2] == ["seen", "1"]
        kubectl("patch", "cm", "seen", "-p", '{"data":{"a":"2","b":"3"}}')
        assert watching.stdout.readline() == "2\n"
        assert rows.stdout.readline().split()[:2] == ["seen", "2"]
    finally:
        for process in (watching, rows):
            process.kill()
            process.communicate()


# -- describe, explain -----------------------------------------------------------------------------------------------


def test_describe_tells_a_pods_story(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", f"--timeout={SECONDS}s")
    until_event(kubectl, "Started")
    text = kubectl("describe", "pod", "p")
    assert re.search(r"Status: +Running", text)
    assert re.search(r"Node: +labkit/127.0.0.1", text)
    assert re.search(r"Normal +Scheduled .* Successfully assigned", text)
    assert re.search(r"Normal +Started", text)


def test_describe_knows_the_other_kinds(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(), tfjob("tf"), workflow("wf"))
    kubectl("create", "job", "j", "--image=busybox", "--", "true")
    kubectl("expose", "deployment", "web", "--port=80")
    kubectl("rollout", "status", "deployment", "web", f"--timeout={SECONDS}s")
    assert re.search(r"NewReplicaSet: +web-\w+ \(1/1 replicas created\)", kubectl("describe", "deployment", "web"))
    assert re.search(r"Parallelism: +1", kubectl("describe", "job", "j"))
    assert re.search(r"Endpoints: +127.0.0.1:\d+", kubectl("describe", "service", "web"))
    assert "Tf Replica Specs" in kubectl("describe", "tfjob", "tf")
    assert "Entrypoint:  main" in kubectl("describe", "workflow", "wf")
    node = kubectl("describe", "node", "labkit")
    assert re.search(r"Ready +True", node)
    assert re.search(r"Non-terminated Pods: +\(\d+ in total\)", node)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("pod.spec.containers.livenessProbe", "Periodic probe of container liveness"),
        ("deployment.spec.strategy", "The deployment strategy to use to replace existing pods with new ones."),
        ("job.spec.backoffLimit", "Specifies the number of retries before marking this job failed."),
        ("tfjob", "distributed TensorFlow program"),
        ("tfjob.spec.runPolicy", "CleanPodPolicy defines the policy to kill pods after the job completes."),
        ("tfjob.spec.tfReplicaSpecs.template.spec.containers", "Arguments to the entrypoint."),
        ("workflow.spec.templates.dag.tasks", "Depends are name of other targets which this depends on"),
        ("workflowtemplate.spec", "Entrypoint is a template reference to the starting point"),
        ("storageclass", "StorageClass describes the parameters for a class of storage"),
    ],
)
def test_explain_knows_the_fields(cluster: Kubectl, path: str, words: str) -> None:
    assert words in " ".join(cluster("explain", path).split())


def test_explain_shows_the_whole_tree(cluster: Kubectl) -> None:
    text = cluster("explain", "tfjob.spec", "--recursive")
    assert re.search(r"tfReplicaSpecs\t<map\[string\]ReplicaSpec> -required-", text)
    assert "livenessProbe" in text
    assert 'field "nothing" does not exist' in cluster.run("explain", "pod.nothing").err


# -- making ----------------------------------------------------------------------------------------------------------


def _main(workload: Any) -> Any:
    return workload["spec"]["template"]["spec"]["containers"][0]


CREATED: dict[str, tuple[list[str], Callable[[Any], bool]]] = {
    "configmap": (["--from-literal=a=b"], lambda o: o["data"] == {"a": "b"}),
    "secret": (["--from-literal=k=v"], lambda o: o["data"] == {"k": "dg=="} and o["type"] == "Opaque"),
    "serviceaccount": ([], lambda o: o["kind"] == "ServiceAccount"),
    "deployment": (
        ["--image=busybox", "--replicas=0", "--port=80"],
        lambda o: (o["spec"]["replicas"], _main(o)["ports"]) == (0, [{"containerPort": 80, "protocol": "TCP"}]),
    ),
    "job": (
        ["--image=busybox", "--", "echo", "hi"],
        lambda o: _main(o)["command"] == ["echo", "hi"],
    ),
    "role": (
        ["--verb=get,list", "--resource=pods,deployments.apps"],
        lambda o: o["rules"][1] == {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
    ),
    "rolebinding": (
        ["--role=r", "--user=jane", "--serviceaccount=a:b"],
        lambda o: o["roleRef"]["name"] == "r" and o["subjects"][1] == {"kind": "ServiceAccount", "name": "b", "namespace": "a"},
    ),
    "clusterrole": (["--verb=get", "--resource=nodes"], lambda o: o["rules"][0]["resources"] == ["nodes"]),
    "clusterrolebinding": (["--clusterrole=c", "--group=g"], lambda o: o["subjects"][0]["kind"] == "Group"),
    "service": (
        ["--tcp=80:8080"],
        lambda o: (o["spec"]["ports"][0]["targetPort"], o["spec"]["clusterIP"]) == (8080, "127.0.0.1"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CREATED)
def test_create_makes_it_from_a_line(cluster: Kubectl, kind: str) -> None:
    arguments, right = CREATED[kind]
    verb = ["service", "clusterip"] if kind == "service" else ["secret", "generic"] if kind == "secret" else [kind]
    assert cluster("create", *verb, "made", *arguments).endswith("/made created\n")
    found = cluster.json(kind, "made")
    assert right(found), found
    again = cluster.run("create", *verb, "made", *arguments)
    assert "already exists" in again.err
    cluster("delete", kind, "made")


def test_create_from_a_file_checks_the_fields(kubectl: Kubectl) -> None:
    assert kubectl.apply(configmap("c", a="1"), verb="create") == "configmap/c created\n"
    wrong = configmap("d") | {"dat": {}}
    refused = kubectl.run("create", "-f", "-", stdin=json.dumps(wrong))
    assert 'strict decoding error: unknown field "dat"' in refused.err
    typed = deployment()
    typed["spec"]["replicas"] = "three"
    assert "spec.replicas" in kubectl.run("apply", "-f", "-", stdin=json.dumps(typed)).err
    unknown = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "t"}}
    assert (
        'no matches for kind "Thing" in version "example.org/v1"'
        in kubectl.run("create", "-f", "-", stdin=json.dumps(unknown)).err
    )


def test_generate_name_and_dry_run(kubectl: Kubectl) -> None:
    named = workflow("x") | {"metadata": {"generateName": "run-"}}
    assert re.fullmatch(r"workflow.argoproj.io/run-\w{5} created\n", kubectl.apply(named, verb="create"))
    assert "created (server dry run)" in kubectl("create", "cm", "dry", "--dry-run=server")
    assert kubectl.run("get", "cm", "dry").code == 1


def test_run_makes_a_pod_and_expose_a_service(kubectl: Kubectl) -> None:
    assert kubectl("run", "web", "--image=busybox", "--port=80", "--", "sleep", "100") == "pod/web created\n"
    assert kubectl("expose", "pod", "web", "--port=80", "--target-port=80") == "service/web exposed\n"
    assert table(kubectl("get", "svc", "web", "-o", "wide"))[0]["SELECTOR"] == "run=web"
    kubectl("delete", "pod", "web", "--grace-period=0", "--force")


def test_a_token_for_a_service_account_opens_the_api(kubectl: Kubectl) -> None:
    token = kubectl("create", "token", "default").strip()
    text = kubectl("auth", "whoami", "-o", "json", f"--token={token}", f"--kubeconfig={_without_user(kubectl)}")
    assert json.loads(text)["status"]["userInfo"]["username"] == f"system:serviceaccount:{kubectl.namespace}:default"


def _without_user(kubectl: Kubectl) -> str:
    """A kubeconfig that knows the cluster but brings no credentials."""
    source = Path(kubectl.environment["KUBECONFIG"])
    config = json.loads(source.read_text())
    config["users"] = [{"name": u["name"], "user": {}} for u in config["users"]]
    path = source.with_name("anonymous")
    path.write_text(json.dumps(config))
    return str(path)


# -- changing --------------------------------------------------------------------------------------------------------


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


# -- workloads -------------------------------------------------------------------------------------------------------


def test_scale_and_rollouts(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    kubectl("scale", "deployment/web", "--replicas=2")
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    assert table(kubectl("get", "deployment", "web"))[0]["READY"] == "2/2"
    kubectl("set", "image", "deployment/web", "main=bash")
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    history = kubectl("rollout", "history", "deployment/web")
    assert re.findall(r"^(\d+) ", history, re.M) == ["1", "2"]
    assert "busybox" in kubectl("rollout", "history", "deployment/web", "--revision=1")
    assert kubectl("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back\n"
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    images = kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert images == "busybox"
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    assert "restartedAt" in json.dumps(kubectl.json("deployment", "web")["spec"]["template"]["metadata"]["annotations"])
    kubectl("rollout", "pause", "deployment/web")
    kubectl("rollout", "resume", "deployment/web")


def test_wait_for_conditions_values_and_deletion(kubectl: Kubectl) -> None:
    kubectl("create", "job", "j", "--image=busybox", "--", "true")
    assert (
        kubectl("wait", "--for=condition=complete", "job/j", f"--timeout={SECONDS}s") == "job.batch/j condition met\n"
    )
    assert table(kubectl("get", "jobs"))[0]["STATUS"] == "Complete"
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/p", f"--timeout={SECONDS}s")
    waiting = kubectl.started("wait", "--for=delete", "pod/p", f"--timeout={SECONDS}s")
    kubectl("delete", "pod", "p")
    assert waiting.wait(SECONDS) == 0
    waiting.communicate()
    late = kubectl.run("wait", "--for=condition=Failed", "job/j", "--timeout=1s")
    assert "timed out waiting for the condition" in late.err


def test_delete_takes_the_owned_along(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(replicas=2))
    kubectl("rollout", "status", "deployment/web", f"--timeout={SECONDS}s")
    assert "deleted" in kubectl("delete", "deployment", "web", "--cascade=foreground")
    assert kubectl("get", "pods,rs", "-o", "name") == ""
    kubectl.apply(configmap("a"), configmap("b"))
    kubectl("label", "cm", "a", "b", "x=y")
    assert kubectl("delete", "cm", "-l", "x=y").count("deleted") == 2
    kubectl("delete", "cm", "--all")
    assert kubectl.run("delete", "cm", "gone").code == 1
    assert kubectl("delete", "cm", "gone", "--ignore-not-found") == ""


def test_a_namespace_goes_with_all_that_is_in_it(cluster: Kubectl) -> None:
    cluster("create", "namespace", "going")
    inner = Kubectl(cluster.environment, "going")
    inner.apply(configmap("c"), pod("p"))
    cluster("delete", "namespace", "going")
    assert cluster.run("get", "namespace", "going").code == 1
    assert inner("get", "cm,pods", "-o", "name") == ""


def test_drain_evicts_and_uncordon_brings_back(kubectl: Kubectl) -> None:
    kubectl.apply(pod("drained"))
    kubectl("wait", "--for=condition=Ready", "pod/drained", f"--timeout={SECONDS}s")
    try:
        text = kubectl("drain", "labkit", "--force", "--pod-selector=app=drained", f"--timeout={SECONDS}s")
        assert "pod/drained evicted\n" in text
        assert kubectl.run("get", "pod", "drained").code == 1
        assert table(kubectl("get", "nodes"))[0]["STATUS"] == "Ready,SchedulingDisabled"
    finally:
        kubectl("uncordon", "labkit")
    assert table(kubectl("get", "nodes"))[0]["STATUS"] == "Ready"


# -- inside a pod ----------------------------------------------------------------------------------------------------


def test_logs_of_a_pod(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "echo one; echo two >&2; echo three"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/p", f"--timeout={SECONDS}s")
    assert sorted(kubectl("logs", "p").split()) == ["one", "three", "two"]
    assert kubectl("logs", "p", "--tail=1") in ("three\n", "two\n")  # two pipes have no order
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \w+\n", kubectl("logs", "p", "--timestamps"))
    assert kubectl("logs", "p", "--limit-bytes=2") in ("on", "tw")
    assert kubectl("logs", "-l", "app=p", "--prefix").startswith("[pod/p/main] ")
    refused = kubectl.run("logs", "p", "--previous")
    assert refused.err.strip().endswith('previous terminated container "main" in pod "p" not found')
    assert "container no is not valid for pod p" in kubectl.run("logs", "p", "-c", "no").err


def test_logs_follow_until_the_end(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "for i in 1 2 3; do echo $i; sleep 0.2; done"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/p", f"--timeout={SECONDS}s")
    assert kubectl("logs", "-f", "p") == "1\n2\n3\n"


def test_logs_of_a_job_and_of_two_containers(kubectl: Kubectl) -> None:
    kubectl("create", "job", "j", "--image=busybox", "--", "echo", "done")
    kubectl("wait", "--for=condition=complete", "job/j", f"--timeout={SECONDS}s")
    assert kubectl("logs", "job/j") == "done\n"
    two = pod("two", "echo a")
    two["spec"]["containers"].append({"name": "b", "image": "busybox", "command": ["echo", "b"]})
    kubectl.apply(two)
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/two", f"--timeout={SECONDS}s")
    assert kubectl("logs", "two", "-c", "b") == "b\n"
    assert sorted(kubectl("logs", "two", "--all-containers").split()) == ["a", "b"]


def test_logs_before_there_are_any(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", containers=[{"name": "main", "image": "no/such:image"}]))
    kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff", "pod/p",
            f"--timeout={SECONDS}s")  # fmt: skip
    words = 'container "main" in pod "p" is waiting to start: trying and failing to pull image'
    assert kubectl.run("logs", "p").err == f"Error from server (BadRequest): {words}\n"
    assert table(kubectl("get", "pods"))[0]["STATUS"] == "ImagePullBackOff"


def test_exec_runs_a_program_in_the_container(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", f"--timeout={SECONDS}s")
    result = kubectl.run("exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (result.code, result.out, result.err) == (3, "out\n", "err\ncommand terminated with exit code 3\n")
    assert kubectl("exec", "-i", "p", "--", "cat", stdin="x" * 100_000) == "x" * 100_000
    assert kubectl("exec", "-i", "p", "--", "wc", "-c", stdin="").strip() == "0"
    assert len(kubectl("exec", "p", "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' a")) == 3_000_000
    assert "executable file not found" in kubectl.run("exec", "p", "--", "no-such-program").err
    assert "container no is not valid for pod p" in kubectl.run("exec", "p", "-c", "no", "--", "true").err


def test_cp_copies_files_both_ways(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply(pod("p"))
    kubectl("wait", "--for=condition=Ready", "pod/p", f"--timeout={SECONDS}s")
    content = os.urandom(300_000)
    (tmp_path / "there").write_bytes(content)
    kubectl("cp", str(tmp_path / "there"), "p:/tmp/here")
    kubectl("cp", "p:/tmp/here", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    kubectl("exec", "p", "--", "sh", "-c", "mkdir -p /tmp/d/e; echo x > /tmp/d/e/f")
    kubectl("cp", "p:/tmp/d", str(tmp_path / "folder"))
    assert (tmp_path / "folder" / "e" / "f").read_text() == "x\n"


def test_attach_shows_what_a_program_prints(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "while [ ! -e /tmp/stop ]; do echo tick; sleep 0.1; done"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/p", f"--timeout={SECONDS}s")
    attached = kubectl.started("attach", "p")
    assert attached.stdout
    assert attached.stdout.readline() == "tick\n"
    kubectl("exec", "p", "--", "touch", "/tmp/stop")
    attached.communicate(timeout=SECONDS)
    assert attached.returncode == 0


# -- who and what ----------------------------------------------------------------------------------------------------


def test_auth_says_who_i_am_and_what_i_may(cluster: Kubectl) -> None:
    assert cluster("auth", "can-i", "create", "deployments") == "yes\n"
    rows = {r["ATTRIBUTE"]: r["VALUE"] for r in table(cluster("auth", "whoami"))}
    assert rows == {"Username": "kubernetes-admin", "Groups": "[system:masters system:authenticated]"}
    assert "*.*" in cluster("auth", "can-i", "--list")


def test_top_is_refused_with_a_hint(cluster: Kubectl) -> None:
    for what in ("nodes", "pods"):
        refused = cluster.run("top", what)
        assert refused.code == 1
        assert "--engine kind" in refused.err


def test_a_wrong_token_is_unauthorized(kubectl: Kubectl) -> None:
    refused = kubectl.run("get", "pods", "--token=wrong", f"--kubeconfig={_without_user(kubectl)}")
    assert "You must be logged in to the server" in refused.err


def test_version_and_health(cluster: Kubectl) -> None:
    assert json.loads(cluster("version", "-o", "json"))["serverVersion"]["minor"] == "34"
    assert cluster("get", "--raw", "/readyz") == "ok"
    assert cluster("cluster-info").startswith("\x1b") or "is running at" in cluster("cluster-info")


def test_events_are_listed_in_time(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "true"))
    until_event(kubectl, "Started")
    rows = table(kubectl("events", "--for", "pod/p"))
    assert rows[0]["REASON"] == "Scheduled"
    assert {"TYPE", "OBJECT", "MESSAGE"} <= set(rows[0])
    assert "Started" in {r["REASON"] for r in table(kubectl("get", "events"))}
