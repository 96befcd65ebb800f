"""The executor's init and wait containers against a real API server, main's part played by the test."""

from __future__ import annotations

import asyncio
import stat

import httpx
import pytest
from argo_serving import Pod, Served, free_port, parameters, result

from kubeproc.api.rest import auth
from kubeproc.argo.executor import api_calls, outputs
from kubeproc.folder import ClusterFolder
from kubeproc.resources import SERVICEACCOUNTS, WORKFLOWTASKRESULTS


def run(served: Served, template: dict, play, container: str = "wait", **environment: str):
    """Play main, then run one container; its outcome and the pod."""

    async def go():
        async with served.client() as api:
            pod = Pod(served.home, api, template, **environment)
            play(pod)
            return await pod.run(container), pod

    return asyncio.run(go())


def test_a_template_without_outputs_leaves_no_result(served: Served) -> None:
    outcome, _ = run(served, {"name": "a", "container": {}}, lambda pod: pod.print("hello"))
    assert (outcome.code, outcome.message) == (0, "")
    assert served.store.list(WORKFLOWTASKRESULTS) == []
    assert result(served) is None


def test_stdout_is_the_result_when_it_is_asked_for(served: Served) -> None:
    def play(pod: Pod) -> None:
        pod.print("one")
        pod.print("noise", "stderr")
        pod.print("tw", full="P")
        pod.print("o")
        pod.print("")

    outcome, _ = run(served, {"name": "a", "script": {"source": ""}}, play, ARGO_INCLUDE_SCRIPT_OUTPUT="true")
    assert outcome.code == 0
    found = result(served)
    assert found is not None
    assert found["outputs"]["result"] == "one\ntwo\n"
    assert found["metadata"]["labels"]["workflows.argoproj.io/workflow"] == "wf"
    assert found["metadata"]["labels"]["workflows.argoproj.io/report-outputs-completed"] == "true"


def test_the_result_is_the_last_256_kB(served: Served) -> None:
    def play(pod: Pod) -> None:
        for number in range(1000):
            pod.print(f"{number:04d}" + "x" * 1020)

    run(served, {"name": "a", "script": {}}, play, ARGO_INCLUDE_SCRIPT_OUTPUT="true")
    text = result(served)["outputs"]["result"]  # type: ignore[index]
    assert len(text) == 256 * 1024
    assert text.rsplit("\n", 1)[1].startswith("0999")


def test_output_parameters_are_files_without_their_last_newline(served: Served) -> None:
    asked = [
        {"name": "a", "valueFrom": {"path": "/tmp/a"}},
        {"name": "b", "valueFrom": {"path": "/tmp/b", "default": "none"}},
        {"name": "link", "valueFrom": {"path": "/tmp/link"}, "globalName": "g"},
    ]

    def play(pod: Pod) -> None:
        pod.write("/tmp/a", "x\n\n")
        pod.write("/data/real", "seen as main sees it")
        pod.path("main", "/tmp/link").symlink_to("/data/real")

    outcome, _ = run(served, {"name": "t", "container": {}, "outputs": {"parameters": asked}}, play)
    assert outcome.code == 0
    found = result(served)
    assert parameters(found) == {"a": "x\n", "b": "none", "link": "seen as main sees it"}
    assert found["outputs"]["parameters"][2]["globalName"] == "g"  # type: ignore[index]


def test_a_missing_output_parameter_fails_in_the_words_of_argo(served: Served) -> None:
    asked = [{"name": "a", "valueFrom": {"path": "/tmp/a"}}]
    outcome, _ = run(served, {"name": "t", "container": {}, "outputs": {"parameters": asked}}, lambda pod: None)
    assert outcome.code == 64
    assert outcome.message == "open /var/run/argo/outputs/parameters/tmp/a: no such file or directory"


def test_a_missing_output_artifact_fails_unless_it_is_optional(served: Served) -> None:
    asked = [{"name": "a", "path": "/tmp/a"}, {"name": "o", "path": "/tmp/o", "optional": True}]
    outcome, _ = run(served, {"name": "t", "container": {}, "outputs": {"artifacts": asked}}, lambda pod: None)
    assert outcome.message == "open /var/run/argo/outputs/artifacts/tmp/a.tgz: no such file or directory; "
    asked.pop(0)
    outcome, _ = run(served, {"name": "t", "container": {}, "outputs": {"artifacts": asked}}, lambda pod: None)
    assert outcome.code == 0


def test_the_script_is_staged_for_main(served: Served) -> None:
    outcome, pod = run(served, {"name": "t", "script": {"source": "print('ä')\n"}}, lambda pod: None, "init")
    script = pod.path("main", "/argo/staging/script")
    assert outcome.code == 0
    assert script.read_text() == "print('ä')\n"
    assert stat.S_IMODE(script.stat().st_mode) == 0o755


def test_outputs_survive_a_server_that_is_away_for_a_while(served: Served) -> None:
    """Nobody listens when wait begins to report; the result is there once the server is."""
    asked = [{"name": "a", "valueFrom": {"path": "/tmp/a"}}]

    async def go() -> None:
        late = free_port()
        relay: list[asyncio.Server] = []
        headers = {"Authorization": f"Bearer {served.token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{late}", headers=headers, trust_env=False) as api:
            pod = Pod(served.home, api, {"name": "t", "container": {}, "outputs": {"parameters": asked}})
            pod.write("/tmp/a", "1")
            waiting = asyncio.create_task(pod.run("wait"))
            await asyncio.sleep(0.3)  # some attempts fail
            assert not waiting.done()
            relay.append(await _relay(late, served.port))
            outcome = await asyncio.wait_for(waiting, 10)
            assert outcome.code == 0
            relay[0].close()

    asyncio.run(go())
    assert parameters(result(served)) == {"a": "1"}


async def _relay(port: int, target: int) -> asyncio.Server:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)

    return await asyncio.start_server(one, "127.0.0.1", port)


def test_reporting_twice_leaves_one_result_with_the_last_outputs(served: Served) -> None:
    asked = [{"name": "a", "valueFrom": {"path": "/tmp/a"}}]
    template = {"name": "t", "container": {}, "outputs": {"parameters": asked}}
    run(served, template, lambda pod: pod.write("/tmp/a", "1") and None)
    run(served, template, lambda pod: pod.write("/tmp/a", "2") and None)
    assert parameters(result(served)) == {"a": "2"}


@pytest.mark.parametrize("output", ["true", "false"])
def test_an_account_without_a_role_cannot_report_even_nothing(served: Served, output: str) -> None:
    uid = served.store.uid(SERVICEACCOUNTS, "default", "default")
    served.token = auth.issue(ClusterFolder(served.home), auth.Account("default", "default", uid))
    outcome, _ = run(
        served, {"name": "t", "container": {}}, lambda pod: pod.print("x"), ARGO_INCLUDE_SCRIPT_OUTPUT=output
    )
    assert (outcome.code, outcome.message) == (
        64,
        'workflowtaskresults.argoproj.io is forbidden: User "system:serviceaccount:default:default" cannot create '
        'resource "workflowtaskresults" in API group "argoproj.io" in the namespace "default"',
    )


def test_a_server_that_stays_away_ends_in_an_error(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_calls, "PATIENCE", 0.2)

    async def go() -> str:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port()}", trust_env=False) as api:
            pod = Pod(served.home, api, {"name": "t", "container": {}}, ARGO_INCLUDE_SCRIPT_OUTPUT="true")
            return (await pod.run("wait")).message

    assert "POST /apis/argoproj.io/v1alpha1/namespaces/default/workflowtaskresults" in asyncio.run(go())


def test_a_pod_without_a_template_says_so(served: Served) -> None:
    def play(pod: Pod) -> None:
        for container in pod.object["spec"]["containers"]:
            container["env"] = []

    outcome, _ = run(served, {}, play, "init")
    assert outcome.code == 64
    assert "has no template" in outcome.message


def test_a_parameter_beyond_the_limit_is_refused(served: Served) -> None:
    asked = [{"name": "a", "valueFrom": {"path": "/tmp/a"}}]
    big = b"x" * (outputs.LONGEST_PARAMETER + 1)
    template = {"name": "t", "container": {}, "outputs": {"parameters": asked}}
    outcome, _ = run(served, template, lambda pod: pod.write("/tmp/a", big) and None)
    assert "larger than 1 MiB" in outcome.message
