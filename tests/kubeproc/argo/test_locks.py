"""Mutexes and semaphores, and memoized results."""

from __future__ import annotations

import json

from play import Object, Play, container, display, world

from kubeproc.argo.workflow.locks import waiting
from kubeproc.resources import CONFIGMAPS, WORKFLOWS
from kubeproc.store import Event

MUTEX = {"mutexes": [{"name": "m"}]}


def one(**more: object) -> Object:
    return {"entrypoint": "main", "templates": [container()], **more}


def loop(synchronization: Object, count: int = 3) -> Object:
    step = {"name": "a", "template": "work", "withSequence": {"count": count}}
    return {
        "entrypoint": "main",
        "templates": [{"name": "main", "steps": [[step]]}, container("work", synchronization=synchronization)],
    }


def test_workflows_share_a_mutex_one_after_the_other() -> None:
    store = world()
    first, second = Play(one(synchronization=MUTEX), store), Play(one(synchronization=MUTEX), store)
    first.settle()
    second.settle()
    assert second.pods() == []
    assert (second.phase, second.message) == ("Pending", "Waiting for default/Mutex/m lock. Lock status: 0/1")
    assert first.status["synchronization"]["mutex"]["holding"] == [
        {"mutex": "default/Mutex/m", "holder": f"default/{first.name}"}
    ]
    told: list[Event] = []
    store.watch(told.append)
    first.run()
    assert "synchronization" not in first.status
    woken = [key for event in told if event.resource is WORKFLOWS for key in waiting(event, store)]
    assert ("default", second.name) in woken
    assert second.run().phase == "Succeeded"


def test_nodes_share_a_mutex() -> None:
    play = Play(loop(MUTEX))
    most = 0
    for _ in range(5):
        play.settle()
        most = max(most, len(play.pods()))
        waits = [n for n in play.nodes.values() if n.get("synchronizationStatus")]
        assert all(n["message"] == "Waiting for default/Mutex/m lock. Lock status: 0/1" for n in waits)
        for pod in play.pods():
            play.end(pod)
    assert (play.phase, most) == ("Succeeded", 1)


def test_a_semaphore_lets_so_many_in() -> None:
    store = world()
    store.create(CONFIGMAPS, {"metadata": {"name": "limits"}, "data": {"two": "2"}})
    play = Play(loop({"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "two"}}]}, 5), store)
    play.settle()
    assert len(play.pods()) == 2
    assert play.run().phase == "Succeeded"


def test_a_semaphore_without_its_configmap_is_an_error() -> None:
    play = Play(loop({"semaphores": [{"configMapKeyRef": {"name": "none", "key": "two"}}]})).run()
    assert 'configmaps "none" not found' in play.message


# -- memoize ---------------------------------------------------------------------------------------------------------


def memoized(age: str = "") -> Object:
    memo: Object = {"key": "k-{{workflow.parameters.p}}", "cache": {"configMap": {"name": "cache"}}}
    outputs = {"parameters": [{"name": "o", "valueFrom": {"path": "/o"}}]}
    work = container("work", memoize=memo | ({"maxAge": age} if age else {}), outputs=outputs)
    show = container("show", inputs={"parameters": [{"name": "m"}]})
    given = {"parameters": [{"name": "m", "value": "{{steps.a.outputs.parameters.o}}"}]}
    main = {
        "name": "main",
        "steps": [[{"name": "a", "template": "work"}], [{"name": "b", "template": "show", "arguments": given}]],
    }
    return {
        "entrypoint": "main",
        "templates": [main, work, show],
        "arguments": {"parameters": [{"name": "p", "value": "1"}]},
    }


def program(pod: Object) -> Object:
    return {"parameters": {"o": "made"}} if display(pod) == "a" else {}


def test_a_result_is_kept_and_used_again() -> None:
    store = world()
    first = Play(memoized(), store).run(program)
    configmap = store.get(CONFIGMAPS, "default", "cache")
    assert configmap["metadata"]["labels"] == {"workflows.argoproj.io/configmap-type": "Cache"}
    entry = json.loads(configmap["data"]["k-1"])
    assert entry["nodeID"] == first.nodes["[0].a"]["id"]
    assert entry["outputs"]["parameters"][0]["value"] == "made"
    assert first.nodes["[0].a"]["memoizationStatus"] == {"hit": False, "key": "k-1", "cacheName": "cache"}

    second = Play(memoized(), store).run(program)
    assert second.order == ["[1].b"]
    assert second.nodes["[0].a"]["memoizationStatus"]["hit"] is True
    assert second.nodes["[1].b"]["inputs"]["parameters"] == [{"name": "m", "value": "made"}]


def test_an_expired_result_is_computed_again() -> None:
    store = world()
    Play(memoized(), store).run(program)
    configmap = store.get(CONFIGMAPS, "default", "cache")
    entry = json.loads(configmap["data"]["k-1"]) | {"creationTimestamp": "2020-01-01T00:00:00Z"}
    configmap["data"]["k-1"] = json.dumps(entry)
    store.update(CONFIGMAPS, configmap)
    assert Play(memoized("1h"), store).run(program).order == ["[0].a", "[1].b"]


def test_a_configmap_that_is_not_a_cache_is_refused() -> None:
    store = world()
    store.create(CONFIGMAPS, {"metadata": {"name": "cache"}, "data": {}})
    play = Play(memoized(), store).run(program)
    assert play.phase == "Failed"
    assert "memoization configmap doesn't have workflows.argoproj.io/configmap-type label" in play.message
