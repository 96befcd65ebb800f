"""Garbage collection in the background, in the foreground and with orphans, on small and on random trees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeproc.controllers import garbage
from kubeproc.controllers.loop import settle
from kubeproc.resources import CONFIGMAPS, NAMESPACES, SECRETS
from kubeproc.store import Object, Store


@pytest.fixture
def store() -> Store:
    return new_store()


def new_store() -> Store:
    made = Store(None)
    made.create(NAMESPACES, {"metadata": {"name": "default"}})
    return made


def add(store: Store, name: str, *owners: Object, block: bool = False, finalizers: list[str] | None = None) -> Object:
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": o["metadata"]["name"], "uid": o["metadata"]["uid"],
                   "blockOwnerDeletion": block} for o in owners]  # fmt: skip
    meta: dict[str, Any] = {"name": name} | ({"ownerReferences": references} if references else {})
    return store.create(CONFIGMAPS, {"metadata": meta | ({"finalizers": finalizers} if finalizers else {})})


def names(store: Store) -> list[str]:
    return [o["metadata"]["name"] for o in store.list(CONFIGMAPS)]


def delete(store: Store, name: str, policy: str = "Background") -> None:
    store.delete(CONFIGMAPS, "default", name, policy=policy)
    settle([garbage.CONTROLLER], store)


def test_dependents_follow_their_owner(store: Store) -> None:
    a = add(store, "a")
    b = add(store, "b", a)
    add(store, "c", b)
    delete(store, "a")
    assert names(store) == []


def test_an_object_with_another_owner_stays_and_forgets_the_lost_one(store: Store) -> None:
    a, b = add(store, "a"), add(store, "b")
    add(store, "c", a, b)
    delete(store, "a")
    assert names(store) == ["b", "c"]
    (reference,) = store.get(CONFIGMAPS, "default", "c")["metadata"]["ownerReferences"]
    assert reference["uid"] == b["metadata"]["uid"]


def test_orphans_stay(store: Store) -> None:
    a = add(store, "a")
    add(store, "b", a)
    delete(store, "a", "Orphan")
    assert names(store) == ["b"]
    assert "ownerReferences" not in store.get(CONFIGMAPS, "default", "b")["metadata"]


def test_the_foreground_waits_for_dependents_that_block(store: Store) -> None:
    a = add(store, "a")
    add(store, "b", a, block=True, finalizers=["example.com/hold"])
    delete(store, "a", "Foreground")
    assert names(store) == ["a", "b"]
    assert store.get(CONFIGMAPS, "default", "a")["metadata"]["finalizers"] == ["foregroundDeletion"]
    held = store.get(CONFIGMAPS, "default", "b")
    held["metadata"]["finalizers"] = []
    store.update(CONFIGMAPS, held)
    settle([garbage.CONTROLLER], store)
    assert names(store) == []


def test_the_foreground_does_not_wait_for_dependents_that_don_t_block(store: Store) -> None:
    a = add(store, "a")
    add(store, "b", a, finalizers=["example.com/hold"])
    delete(store, "a", "Foreground")
    assert names(store) == ["b"]


def test_an_owner_is_known_by_its_uid_not_its_name(store: Store) -> None:
    a = add(store, "a")
    store.delete(CONFIGMAPS, "default", "a")
    add(store, "a")
    add(store, "b", a)
    settle([garbage.CONTROLLER], store)
    assert names(store) == ["a"]


def test_an_owner_of_an_unknown_kind_protects(store: Store) -> None:
    reference = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "1"}
    store.create(SECRETS, {"metadata": {"name": "s", "ownerReferences": [reference]}})
    settle([garbage.CONTROLLER], store)
    assert store.count(SECRETS) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 8), max_size=2), min_size=2, max_size=9), st.data())
def test_exactly_what_no_living_owner_holds_is_collected(tree: list[list[int]], data: st.DataObject) -> None:
    store, made, parents = new_store(), list[Object](), list[set[int]]()
    for i, above in enumerate(tree):
        parents.append({p for p in above if p < i})
        made.append(add(store, f"n{i}", *(made[p] for p in sorted(parents[i])), block=data.draw(st.booleans())))
    victim = data.draw(st.integers(0, len(tree) - 1))
    alive: set[int] = set()
    for i, above in enumerate(parents):
        if i != victim and (not above or above & alive):
            alive.add(i)
    delete(store, f"n{victim}", data.draw(st.sampled_from(["Background", "Foreground"])))
    assert names(store) == sorted(f"n{i}" for i in alive)
