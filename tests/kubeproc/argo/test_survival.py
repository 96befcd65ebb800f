"""A server killed by SIGKILL while the executor works: nothing is lost, nothing is made twice."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from argo_serving import Pod

MAPS = "/api/v1/namespaces/default/configmaps"
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/default/workflows"
RESULTS = "/apis/argoproj.io/v1alpha1/namespaces/default/workflowtaskresults"


@pytest.fixture(scope="module")
def server(servers: Callable[[], Any]) -> Iterator[Any]:
    made = servers()
    with made.client() as client:  # an owner: without one the garbage collector takes the results away
        owner = {"metadata": {"name": "wf"}, "spec": {"entrypoint": "a", "templates": [{"name": "a", "suspend": {}}]}}
        made.workflow = client.post(WORKFLOWS, json=owner).json()["metadata"]["uid"]
    yield made
    if made.process.poll() is not None:
        made.restart()


def connect(server: Any) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {server.token}"}
    return httpx.AsyncClient(base_url=server.url, verify=server.context, headers=headers, timeout=10, trust_env=False)


async def cycle(server: Any, times: int) -> None:
    """Kill the server and start it again."""

    def once() -> None:
        server.kill()
        server.restart()

    for _ in range(times):
        await asyncio.to_thread(once)


def test_outputs_of_many_pods_survive_kills_of_the_server(server: Any) -> None:
    asked = [{"name": "a", "valueFrom": {"path": "/tmp/a"}}]
    template = {"name": "t", "container": {}, "outputs": {"parameters": asked}}
    numbers = range(60)

    async def report(api: httpx.AsyncClient, number: int) -> None:
        pod = Pod(server.folder.root, api, template, ARGO_NODE_ID=f"many-{number}", ARGO_WORKFLOW_UID=server.workflow)
        pod.root = pod.root / str(number)
        pod.write("/tmp/a", str(number))
        await asyncio.sleep(number * 0.03)
        outcome = await pod.run("wait")
        assert (outcome.code, outcome.message) == (0, "")

    async def go() -> None:
        async with connect(server) as api:
            work = [asyncio.create_task(report(api, n)) for n in numbers]
            await cycle(server, 3)
            await asyncio.gather(*work)

    asyncio.run(go())
    with server.client() as client:
        items = client.get(RESULTS).json()["items"]
    found = {i["metadata"]["name"]: i["outputs"]["parameters"][0]["value"] for i in items}
    assert found == {f"many-{n}": str(n) for n in numbers}


def test_a_resource_template_keeps_waiting_over_a_kill(server: Any) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "slow"}, "data": {"state": "new"}}
    resource = {"action": "create", "manifest": json.dumps(manifest), "successCondition": "data.state = done"}
    outputs = {"parameters": [{"name": "s", "valueFrom": {"jsonPath": "{.data.state}"}}]}
    template = {"name": "t", "resource": resource, "outputs": outputs}

    async def go() -> None:
        async with connect(server) as api, connect(server) as other:
            names = {"ARGO_NODE_ID": "waits", "ARGO_WORKFLOW_UID": server.workflow}
            working = asyncio.create_task(Pod(server.folder.root, api, template, **names).run("main"))
            while (await other.get(f"{MAPS}/slow")).status_code != 200:
                await asyncio.sleep(0.02)
            await cycle(server, 1)
            assert not working.done()
            merge = {"Content-Type": "application/merge-patch+json"}
            await other.patch(f"{MAPS}/slow", json={"data": {"state": "done"}}, headers=merge)
            outcome = await asyncio.wait_for(working, 20)
            assert (outcome.code, outcome.message) == (0, "")
            found = (await other.get(f"{RESULTS}/waits")).json()
            assert found["outputs"]["parameters"][0]["value"] == "done"

    asyncio.run(go())


def test_a_create_whose_answer_was_lost_is_not_an_error(server: Any) -> None:
    """A relay drops the answer to the first POST: the object is there, and the template knows it for its own."""
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "once-"}}
    template = {"name": "t", "resource": {"action": "create", "manifest": json.dumps(manifest)}}
    lost = threading.Event()

    class Losing(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            if request.method == "POST" and not lost.is_set():
                lost.set()
                await response.aread()
                raise httpx.ReadError("the connection broke")
            return response

    async def go() -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {server.token}"}
        transport = Losing(verify=server.context)
        async with httpx.AsyncClient(base_url=server.url, transport=transport, headers=headers) as api:
            outcome = await Pod(server.folder.root, api, template).run("main")
            return outcome.code, outcome.message

    assert asyncio.run(go()) == (0, "")
    assert lost.is_set()
    with server.client() as client:
        names = [i["metadata"]["name"] for i in client.get(MAPS).json()["items"]]
    assert len([n for n in names if n.startswith("once-")]) == 1
