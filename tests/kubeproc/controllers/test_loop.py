"""The work queues: what is queued, when it is tried again, what a start does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import Any

import pytest

from kubeproc.controllers import loop
from kubeproc.controllers.loop import Controller, Queue, settle
from kubeproc.resources import CONFIGMAPS, NAMESPACES, SECRETS
from kubeproc.store import Object, Store


@pytest.fixture
def store() -> Store:
    made = Store(None)
    made.create(NAMESPACES, {"metadata": {"name": "default"}})
    return made


def add(store: Store, name: str, **meta: Any) -> Object:
    return store.create(CONFIGMAPS, {"metadata": {"name": name, **meta}})


def test_an_item_waits_only_once() -> None:
    queue = Queue()
    for name in ("a", "b", "a"):
        queue.add(("x", "default", name))
    assert [queue.pop(), queue.pop(), queue.pop()] == [("x", "default", "a"), ("x", "default", "b"), None]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def running(controllers: list[Controller], store: Store) -> Any:
    task = asyncio.create_task(loop.run(controllers, store))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_a_start_reconciles_existing_objects_and_events_reconcile_new_ones(store: Store) -> None:
    seen: list[str] = []
    controller = Controller("c", CONFIGMAPS, lambda o, s: seen.append(o["metadata"]["name"]))

    async def go() -> None:
        add(store, "old")
        async with running([controller], store):
            await until(lambda: seen == ["old"])
            add(store, "new")
            await until(lambda: seen == ["old", "new"])

    asyncio.run(go())


def test_a_failure_is_tried_again_with_growing_delays(store: Store) -> None:
    times: list[float] = []

    def fail(obj: Object, store: Store) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) < 6:
            raise RuntimeError("not yet")

    async def go() -> None:
        add(store, "a")
        async with running([Controller("c", CONFIGMAPS, fail)], store):
            await until(lambda: len(times) == 6)

    asyncio.run(go())
    for i, wait in enumerate([0.005, 0.01, 0.02, 0.04, 0.08]):
        assert times[i + 1] - times[i] >= wait * 0.9


def test_a_controller_is_called_again_when_it_asks(store: Store) -> None:
    calls: list[int] = []

    def count(obj: Object, store: Store) -> float | None:
        calls.append(1)
        return 0.01 if len(calls) < 3 else None

    async def go() -> None:
        add(store, "a")
        async with running([Controller("c", CONFIGMAPS, count)], store):
            await until(lambda: len(calls) == 3)
            await asyncio.sleep(0.05)

    asyncio.run(go())
    assert len(calls) == 3


def test_what_takes_long_is_called_less_often_and_misses_nothing(store: Store) -> None:
    calls: list[tuple[float, float, str]] = []  # begin, end, what was there

    def slow(obj: Object, store: Store) -> None:
        begun = asyncio.get_running_loop().time()
        time.sleep(0.02)
        calls.append((begun, asyncio.get_running_loop().time(), (obj.get("data") or {}).get("n", "")))

    async def go() -> None:
        add(store, "a")
        async with running([Controller("c", CONFIGMAPS, slow)], store):
            for n in range(40):
                store.modify(CONFIGMAPS, "default", "a", lambda o, n=n: o.__setitem__("data", {"n": str(n)}))
                await asyncio.sleep(0.002)
            await until(lambda: calls[-1][2] == "39")

    asyncio.run(go())
    for (begun, ended, _), (following, _, _) in itertools.pairwise(calls):
        assert following - ended >= loop.REST * (ended - begun) * 0.9
    assert len(calls) < 40


def test_a_delay_that_a_controller_asks_for_is_kept_to_while_its_item_rests(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REST", 1e6)  # an event would wait for hours
    calls: list[int] = []

    def slow(obj: Object, store: Store) -> float | None:
        time.sleep(0.05)
        calls.append(1)
        return 0.0 if len(calls) < 3 else None

    async def go() -> None:
        add(store, "a")
        async with running([Controller("c", CONFIGMAPS, slow)], store):
            await until(lambda: len(calls) == 3)

    asyncio.run(go())


def test_events_of_other_threads_are_heard(store: Store) -> None:
    seen: list[str] = []
    controller = Controller("c", CONFIGMAPS, lambda o, s: seen.append(o["metadata"]["name"]))

    async def go() -> None:
        async with running([controller], store):
            await asyncio.to_thread(add, store, "a")
            await until(lambda: seen == ["a"])

    asyncio.run(go())


def test_a_mapper_that_fails_does_not_break_the_writer(store: Store) -> None:
    seen: list[str] = []

    def broken(event: Any) -> list[Any]:
        raise RuntimeError("broken")

    controllers = [
        Controller("broken", SECRETS, lambda o, s: None, watches={CONFIGMAPS: broken}),
        Controller("sound", CONFIGMAPS, lambda o, s: seen.append(o["metadata"]["name"])),
    ]

    async def go() -> None:
        async with running(controllers, store):
            add(store, "a")
            await until(lambda: seen == ["a"])

    asyncio.run(go())


def test_an_owned_object_wakes_its_controller(store: Store) -> None:
    owner = add(store, "owner")
    seen: list[str] = []
    controller = Controller("c", CONFIGMAPS, lambda o, s: seen.append(o["metadata"]["name"]), watches={SECRETS: None})
    settle([controller], store)
    seen.clear()
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }

    def touch(obj: Object, store: Store) -> None:
        if not store.list(SECRETS):
            store.create(SECRETS, {"metadata": {"name": "s", "ownerReferences": [reference]}})

    settle([controller, Controller("d", NAMESPACES, touch)], store)
    assert seen == ["owner", "owner"]


def test_controllers_that_never_rest_are_noticed(store: Store) -> None:
    def grow(obj: Object, store: Store) -> None:
        obj["data"] = {"n": str(int((obj.get("data") or {}).get("n", "0")) + 1)}
        store.update(CONFIGMAPS, obj)

    add(store, "a")
    with pytest.raises(RuntimeError, match="not come to rest"):
        settle([Controller("c", CONFIGMAPS, grow)], store, limit=50)
