from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from kubeproc.api.rest import options
from kubeproc.api.rest.targets import Target
from kubeproc.api.rest.watch import Hub, Watcher
from kubeproc.resources import CONFIGMAPS, NAMESPACES
from kubeproc.store import Store

Events = Iterator[dict[str, Any]]


@contextmanager
def watching(http: httpx.Client, url: str, headers: dict[str, str] | None = None, **params: str) -> Iterator[Events]:
    """The events of a watch; it is over when the block ends, or after 10 seconds."""
    query = {"watch": "true", "timeoutSeconds": "10"} | params
    with http.stream("GET", url, params=query, headers=headers) as answer:
        assert answer.status_code == 200
        yield (json.loads(line) for line in answer.iter_lines() if line)


def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


def put(http: httpx.Client, namespace: str, name: str, **labels: str) -> dict:
    url = maps(namespace)
    body = {"metadata": {"name": name, "labels": labels}}
    answer = http.post(url, json=body)
    if answer.status_code == 409:
        answer = http.put(f"{url}/{name}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def told(event: dict[str, Any]) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


@pytest.mark.parametrize("version", ["", "0"])
def test_a_watch_without_a_version_begins_with_the_existing_objects(
    http: httpx.Client, namespace: str, version: str
) -> None:
    put(http, namespace, "a")
    put(http, namespace, "b")
    with watching(http, maps(namespace), resourceVersion=version) as events:
        assert [told(next(events)) for _ in range(2)] == [("ADDED", "a"), ("ADDED", "b")]
        put(http, namespace, "a", x="y")
        assert told(next(events)) == ("MODIFIED", "a")
        http.delete(f"{maps(namespace)}/b")
        assert told(next(events)) == ("DELETED", "b")


def test_a_watch_from_a_version_tells_what_came_after(http: httpx.Client, namespace: str) -> None:
    version = put(http, namespace, "a")["metadata"]["resourceVersion"]
    put(http, namespace, "b")
    with watching(http, maps(namespace), resourceVersion=version) as events:
        assert told(next(events)) == ("ADDED", "b")


def test_a_version_from_before_a_restart_is_an_error_event(servers: Any) -> None:
    server = servers()
    server.kill()
    server.restart()
    with server.client() as http, watching(http, maps("default"), resourceVersion="1") as events:
        error = next(events)
        assert error["type"] == "ERROR"
        assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")
        assert next(events, None) is None


def test_what_begins_or_ceases_to_match_is_added_or_deleted(http: httpx.Client, namespace: str) -> None:
    version = put(http, namespace, "a", role="none")["metadata"]["resourceVersion"]
    with watching(http, maps(namespace), resourceVersion=version, labelSelector="role=chief") as events:
        put(http, namespace, "a", role="chief")
        put(http, namespace, "a", role="chief", more="x")
        last = put(http, namespace, "a", role="none")
        put(http, namespace, "b", role="chief")
        seen = [next(events) for _ in range(4)]
    assert [told(e) for e in seen] == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]
    assert seen[2]["object"]["metadata"]["resourceVersion"] == last["metadata"]["resourceVersion"]
    assert seen[2]["object"]["metadata"]["labels"]["role"] == "chief"


def test_one_object_is_watched_by_its_name(http: httpx.Client, namespace: str) -> None:
    put(http, namespace, "a")
    put(http, namespace, "b")
    with watching(http, maps(namespace), fieldSelector="metadata.name=b") as events:
        assert told(next(events)) == ("ADDED", "b")


def test_initial_events_end_with_a_bookmark(http: httpx.Client, namespace: str) -> None:
    put(http, namespace, "a")
    wanted = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with watching(http, maps(namespace), **wanted) as events:
        assert told(next(events)) == ("ADDED", "a")
        mark = next(events)
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["kind"] == "Secret"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        put(http, namespace, "b")
        assert told(next(events)) == ("ADDED", "b")


def test_initial_events_need_a_version_match(http: httpx.Client, namespace: str) -> None:
    refused = http.get(maps(namespace), params={"watch": "1", "sendInitialEvents": "true"})
    assert refused.status_code == 422


def test_a_watch_ends_when_its_time_is_over(http: httpx.Client, namespace: str) -> None:
    with watching(http, maps(namespace), timeoutSeconds="1") as events:
        assert list(events) == []


def test_a_watch_that_is_never_short_of_events_ends_in_time() -> None:
    store = Store(None)
    store.create(NAMESPACES, {"metadata": {"name": "default"}})
    bodies: list[bytes] = []

    async def send(message: Any) -> None:
        """Take what comes, while the next change happens already."""
        bodies.append(message.get("body", b""))
        assert len(bodies) < 5000, "it goes on"
        store.create(CONFIGMAPS, {"metadata": {"generateName": "c-", "namespace": "default"}})

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def watch() -> None:
        request = Request({"type": "http", "method": "GET", "headers": [], "query_string": b""})
        chosen = options.listing({"watch": "true", "timeoutSeconds": "1"})
        await Watcher(request, store, Hub(), Target(CONFIGMAPS), chosen)({}, receive, send)

    asyncio.run(watch())
    told = [json.loads(line)["object"]["metadata"]["resourceVersion"] for line in b"".join(bodies).splitlines()]
    assert len(told) == len(set(told)) == store.count(CONFIGMAPS) - 1  # all but that of the last `send`


def test_a_watch_can_not_be_continued_as_a_list_is(http: httpx.Client, namespace: str) -> None:
    answer = http.get(maps(namespace), params={"watch": "true", "continue": "x", "timeoutSeconds": "1"})
    assert answer.status_code == 422
    assert "resourceVersionMatch is forbidden when continue is provided" in answer.json()["message"]
    assert http.get(maps(namespace), params={"watch": "true", "continue": "x", "timeoutSeconds": "1",
                                             "resourceVersion": "1"}).status_code == 200  # fmt: skip


def test_a_watch_gives_tables(http: httpx.Client, namespace: str) -> None:
    put(http, namespace, "a")
    put(http, namespace, "b")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    with watching(http, maps(namespace), headers=accept) as events:
        first, second = next(events)["object"], next(events)["object"]
    assert first["kind"] == second["kind"] == "Table"
    assert first["columnDefinitions"]
    assert not second["columnDefinitions"]
    assert second["rows"][0]["cells"][0] == "b"


def test_twenty_watchers_see_every_event_in_order(http: httpx.Client, api_server: Any, namespace: str) -> None:
    count, seen, started = 100, [], threading.Barrier(21, timeout=20)

    def watch() -> None:
        with api_server.client() as mine, watching(mine, maps(namespace), resourceVersion="0") as events:
            started.wait()
            seen.append([told(next(events)) for _ in range(count)])

    threads = [threading.Thread(target=watch) for _ in range(20)]
    for thread in threads:
        thread.start()
    started.wait()
    for i in range(count):
        put(http, namespace, f"s{i}")
    for thread in threads:
        thread.join(20)
    assert seen == [[("ADDED", f"s{i}") for i in range(count)]] * 20
