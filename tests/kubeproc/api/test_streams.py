"""Logs, exec and port-forward: refusals in the real server's words, and the official Python client's streams."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from kubeproc import engine
from kubeproc.folder import ClusterFolder

PODS = "/api/v1/namespaces/default/pods"


def make(http: httpx.Client, name: str, containers: tuple[str, ...] = ("main",), **status: Any) -> str:
    """A pod in the given state, as a kubelet would report it; returns its path."""
    spec = {"containers": [{"name": c, "image": "busybox"} for c in containers]}
    http.delete(f"{PODS}/{name}?gracePeriodSeconds=0")
    made = http.post(PODS, json={"metadata": {"name": name}, "spec": spec})
    assert made.status_code == 201, made.text
    if status:
        binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "labkit"}}
        assert http.post(f"{PODS}/{name}/binding", json=binding).status_code == 201
        patch = {"content-type": "application/merge-patch+json"}
        assert http.patch(f"{PODS}/{name}/status", json={"status": status}, headers=patch).status_code == 200
    return f"{PODS}/{name}"


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"name": "main", "image": "busybox", "imageID": "", "ready": False, "restartCount": 0}
    return {"phase": "Pending", "containerStatuses": [about | {"state": state} | more]}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def test_an_unscheduled_pod_has_an_empty_log(http: httpx.Client) -> None:
    answer = http.get(make(http, "unscheduled") + "/log")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("status", "query", "words"),
    [
        ({"phase": "Pending"}, "", "is waiting to start: ContainerCreating"),
        ({"phase": "Failed"}, "", "is not available"),
        (container({"waiting": {"reason": "ErrImagePull"}}), "", "is waiting to start: image can't be pulled"),
        (container({"waiting": {"reason": "ImagePullBackOff"}}), "",
         "is waiting to start: trying and failing to pull image"),
        (container({"waiting": {"reason": "PodInitializing"}}), "", "is waiting to start: PodInitializing"),
        (container({}), "", "is waiting to start - no logs yet"),
        (container({"running": {}}), "previous=True", 'previous terminated container "main" in pod "p" not found'),
    ],
)  # fmt: skip
def test_a_container_without_a_log_says_why(http: httpx.Client, status: Any, query: str, words: str) -> None:
    code, message = refusal(http.get(make(http, "p", **status) + f"/log?{query}"))
    assert code == 400
    assert message == (words if words.startswith("previous") else f'container "main" in pod "p" {words}')


def test_the_container_must_be_named_and_known(http: httpx.Client) -> None:
    path = make(http, "two", ("a", "b"))
    code, message = refusal(http.get(f"{path}/log"))
    assert (code, message) == (400, "a container name must be specified for pod two, choose one of: [a b]")
    assert refusal(http.get(f"{path}/log?container=c")) == (400, "container c is not valid for pod two")
    assert refusal(http.get(f"{PODS}/none/log")) == (404, 'pods "none" not found')


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z", "at most one of `sinceTime` or `sinceSeconds`"),
    ],
)
def test_options_of_a_log_are_checked(http: httpx.Client, query: str, words: str) -> None:
    code, message = refusal(http.get(make(http, "checked") + f"/log?{query}"))
    assert code == 422
    assert words in message


def test_without_a_kubelet_the_log_is_unavailable_and_says_what_to_do(http: httpx.Client) -> None:
    code, message = refusal(http.get(make(http, "alone", **container({"running": {}})) + "/log"))
    assert code == 503
    assert "`python -m kubeproc up` starts it again" in message


def test_exec_by_a_plain_request_is_told_to_upgrade(http: httpx.Client) -> None:
    over = make(http, "over", **container({"terminated": {"exitCode": 0}}))
    assert refusal(http.post(f"{over}/attach?stdout=true")) == (404, 'container not found ("main")')
    path = make(http, "plain", **container({"running": {}}))
    code, message = refusal(http.post(f"{path}/exec?command=ls&stdout=true"))
    assert code == 400
    assert message.startswith("Upgrade request required")
    code, message = refusal(http.post(f"{path}/portforward"))
    assert code == 400
    assert message.startswith("Upgrade request required")
    assert "KUBECTL_PORT_FORWARD_WEBSOCKETS" in message


# -- the official Python client, on a whole cluster ------------------------------------------------------------------


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The client's CoreV1Api, on a cluster with one pod `p` that sleeps and one `served` with an HTTP server."""
    from kubernetes import client, config, utils

    folder = ClusterFolder(
        tmp_path_factory.mktemp("streams") / "a-name-so-long-that-a-unix-socket-below-it-has-no-address"
    )
    engine.up(folder)
    try:
        api = config.new_client_from_config(str(folder.kubeconfig))
        for name, command, ports in (
            ("p", ["sh", "-c", "echo started; exec sleep 100"], []),
            (
                "served",
                ["sh", "-c", "exec python3 -m http.server ${PORT:-80} --bind ${HOST:-0.0.0.0}"],
                [{"containerPort": 80}],
            ),
        ):
            image = "labkit/lab:1" if ports else "busybox"
            spec = {"containers": [{"name": "main", "image": image, "command": command, "ports": ports}],
                    "terminationGracePeriodSeconds": 0}  # fmt: skip
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
            utils.create_from_dict(api, pod)
        made = client.CoreV1Api(api)
        for name in ("p", "served"):
            _wait_ready(made, name)
        yield made
    finally:
        engine.down(folder, purge=True)


def _wait_ready(core: Any, name: str) -> None:
    from kubernetes import watch

    selector = f"metadata.name={name}"
    for event in watch.Watch().stream(core.list_namespaced_pod, "default", field_selector=selector, timeout_seconds=30):
        if any(c.ready for c in event["object"].status.container_statuses or []):
            return
    raise AssertionError(f"pod {name} is not ready after 30 s")


def test_the_python_client_reads_and_follows_logs(core: Any) -> None:
    assert core.read_namespaced_pod_log("p", "default") == "started\n"
    stamped = core.read_namespaced_pod_log("p", "default", timestamps=True, tail_lines=1)
    assert re.fullmatch(r"\S+Z started\n", stamped)


def test_the_python_client_execs(core: Any) -> None:
    from kubernetes.stream import stream

    command = ["sh", "-c", "echo out; echo err >&2; exit 7"]
    run = stream(core.connect_get_namespaced_pod_exec, "p", "default", command=command, stdout=True, stderr=True,
                 stdin=False, tty=False, _preload_content=False)  # fmt: skip
    run.run_forever(timeout=20)
    assert (run.read_stdout(), run.read_stderr(), run.returncode) == ("out\n", "err\n", 7)


def test_the_python_client_talks_to_a_programs_input(core: Any) -> None:
    from kubernetes.stream import stream

    shell = stream(core.connect_get_namespaced_pod_exec, "p", "default", command=["sh"], stdout=True, stderr=True,
                   stdin=True, tty=False, _preload_content=False)  # fmt: skip
    shell.write_stdin("echo $((6 * 7))\n")
    assert shell.readline_stdout(timeout=20) == "42"
    shell.write_stdin("exit 0\n")
    shell.run_forever(timeout=20)
    assert shell.returncode == 0


def test_a_terminal_has_the_size_that_was_asked_for(core: Any) -> None:
    from kubernetes.stream import stream
    from kubernetes.stream.ws_client import RESIZE_CHANNEL

    shell = stream(core.connect_get_namespaced_pod_exec, "p", "default", command=["sh"], stdout=True, stderr=True,
                   stdin=True, tty=True, _preload_content=False)  # fmt: skip
    shell.write_channel(RESIZE_CHANNEL, '{"Width":93,"Height":31}')
    shell.write_stdin("stty size; exit\n")
    shell.run_forever(timeout=20)
    assert "31 93" in shell.read_stdout()


def test_a_wrong_container_is_refused_before_the_upgrade(core: Any) -> None:
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream import stream

    with pytest.raises(ApiException) as refused:
        stream(core.connect_get_namespaced_pod_exec, "p", "default", command=["ls"], container="no", stdout=True)
    assert "400" in str(refused.value)


def test_the_python_client_forwards_a_port(core: Any) -> None:
    from kubernetes.stream import portforward

    forward = portforward(core.connect_get_namespaced_pod_portforward, "served", "default", ports="80")
    sock = forward.socket(80)
    sock.settimeout(20)
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while piece := sock.recv(1 << 16):
        answer += piece
    assert answer.startswith(b"HTTP/1.0 200 OK")
    assert forward.error(80) is None


def test_binary_data_comes_through_unchanged(core: Any) -> None:
    from kubernetes.stream import stream

    run = stream(core.connect_get_namespaced_pod_exec, "p", "default", command=["cat"], stdout=True, stderr=True,
                 stdin=True, tty=False, binary=True, _preload_content=False)  # fmt: skip
    data, got = os.urandom(200_000), b""
    for at in range(0, len(data), 50_000):
        run.write_stdin(data[at : at + 50_000])
    while len(got) < len(data):
        run.update(timeout=20)
        piece = run.read_stdout(timeout=0)
        assert piece, "nothing came for 20 s"
        got += piece
    run.close()
    assert got == data
