from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kubeproc import names
from kubeproc.api_errors import ApiError
from kubeproc.errors import HintedError
from kubeproc.resources import CONFIGMAPS, NAMESPACES, PODS, REPLICASETS, SECRETS
from kubeproc.store import Event, Store, database, history


def new_store(path: Path | None = None, **options: Any) -> Store:
    made = Store(path, **options)
    if made.find(NAMESPACES, "", "default") is None:
        made.create(NAMESPACES, {"metadata": {"name": "default"}})
    return made


@pytest.fixture
def store() -> Store:
    return new_store()


def body(name: str = "m", data: dict | None = None, **meta: Any) -> dict:
    return {"metadata": {"name": name, "namespace": "default"} | meta, "data": data or {}}


def refusal(code: int) -> Any:
    return pytest.raises(ApiError, check=lambda e: e.code == code)


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    first = new_store(tmp_path / "state.db")
    made = first.create(CONFIGMAPS, body())
    first.create(CONFIGMAPS, body("gone"))
    first.delete(CONFIGMAPS, "default", "gone")
    version = first.version
    first.close()
    again = Store(tmp_path / "state.db")
    assert again.get(CONFIGMAPS, "default", "m") == made
    assert again.find(CONFIGMAPS, "default", "gone") is None
    assert again.version == version
    with refusal(410):
        again.watch(lambda event: None, since=version - 1)
    assert again.watch(lambda event: None, since=version)


def test_only_its_owner_may_read_the_database(tmp_path: Path) -> None:
    path, before = tmp_path / "state.db", os.umask(0)
    try:
        store = Store(path)
        store.create(NAMESPACES, {"metadata": {"name": "a"}})
        files = sorted(tmp_path.iterdir())
        assert {file.name for file in files} == {"state.db", "state.db-shm", "state.db-wal"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        store.close()
        path.chmod(0o644)  # as an older version left it
        Store(path).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_database_from_the_future_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "state.db").close()
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(HintedError, match="schema 99"):
        Store(tmp_path / "state.db")


class Mortal(sqlite3.Connection):
    """A connection whose process dies by SIGKILL before its statement number `left`."""

    left = -1

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if Mortal.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        Mortal.left -= 1
        return super().execute(*arguments)


def opened_by_one_that_dies(path: Path, statement: int) -> bool:
    """Open the database in a process that is killed before its `statement`; False where it made fewer."""
    pid = os.fork()
    if pid == 0:
        try:
            Mortal.left = statement
            connect = sqlite3.connect
            sqlite3.connect = lambda *a, **k: connect(*a, **k, factory=Mortal)  # type: ignore[assignment]
            Store(path)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


NEXT = [
    "ALTER TABLE object ADD COLUMN size INTEGER",
    "CREATE TABLE more(name TEXT)",
    "UPDATE object SET size = length(body)",
    "INSERT INTO more(name) SELECT name FROM object",
]


@pytest.mark.parametrize("from_version", [0, 1])
def test_a_kill_at_any_statement_of_the_schema_or_of_an_upgrade_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_version: int
) -> None:
    before = tmp_path / "before.db"
    if from_version:
        new_store(before).create(CONFIGMAPS, body())
    old = database.SCHEMA_VERSION
    path, statement, killed = tmp_path / "state.db", 0, True
    while killed:
        for part in tmp_path.glob("state.db*"):
            part.unlink()
        for part in tmp_path.glob("before.db*"):
            shutil.copyfile(part, tmp_path / part.name.replace("before", "state"))
        with monkeypatch.context() as patch:
            patch.setattr(database, "UPGRADES", [*database.UPGRADES, NEXT, NEXT[-1:]])
            patch.setattr(database, "SCHEMA_VERSION", old + 2)
            killed = opened_by_one_that_dies(path, statement)
            if killed and statement % 2:  # who runs an older labkit after the kill must be able to
                patch.undo()
                plain = sqlite3.connect(path)
                if plain.execute("PRAGMA user_version").fetchone()[0] == from_version:
                    assert Store(path).find(CONFIGMAPS, "default", "m") or not from_version
                plain.close()
                patch.setattr(database, "UPGRADES", [*database.UPGRADES, NEXT, NEXT[-1:]])
                patch.setattr(database, "SCHEMA_VERSION", old + 2)
            again = Store(path)
            assert again.database.connection.execute("PRAGMA user_version").fetchone()[0] == old + 2
            if from_version:
                assert again.get(CONFIGMAPS, "default", "m")["data"] == {}
                names = again.database.connection.execute("SELECT name FROM more").fetchall()
                assert sorted(names) == [("default",)] * 2 + [("m",)] * 2
            again.close()
        statement += 1
    assert statement > len(NEXT) + 8


@pytest.mark.parametrize("table", ["object", "meta"])
def test_a_database_that_an_older_labkit_left_half_made_is_finished(tmp_path: Path, table: str) -> None:
    path = tmp_path / "state.db"
    half = sqlite3.connect(path)
    half.execute(next(s for s in database.UPGRADES[0] if f" {table}(" in s).replace(" IF NOT EXISTS", ""))
    half.close()
    made = new_store(path)
    made.create(CONFIGMAPS, body())
    made.close()
    assert Store(path).get(CONFIGMAPS, "default", "m")


def test_a_full_disk_is_reported_and_leaves_memory_unchanged(tmp_path: Path) -> None:
    store = new_store(tmp_path / "state.db")
    pages = store.database.connection.execute("PRAGMA page_count").fetchone()[0]
    store.database.connection.execute(f"PRAGMA max_page_count={pages + 2}")

    def fill() -> None:
        for i in range(100):
            store.create(CONFIGMAPS, body(f"m{i}", {"x": "y" * 1000}))

    with pytest.raises(ApiError, match="can't be written", check=lambda e: e.code == 507):
        fill()
    kept = {o["metadata"]["name"] for o in store.list(CONFIGMAPS)}
    store.close()
    assert {o["metadata"]["name"] for o in Store(tmp_path / "state.db").list(CONFIGMAPS)} == kept


def test_syncing_brings_the_log_into_the_database(tmp_path: Path) -> None:
    store = new_store(tmp_path / "state.db")
    store.create(CONFIGMAPS, body("m", {"x": "needle"}))
    assert b"needle" not in (tmp_path / "state.db").read_bytes()
    store.sync()
    assert b"needle" in (tmp_path / "state.db").read_bytes()
    store.close()
    store.sync()  # a thread may still be at it


def test_every_change_makes_a_later_version(store: Store) -> None:
    seen: list[Event] = []
    store.watch(seen.append)
    made = store.create(CONFIGMAPS, body())
    store.update(CONFIGMAPS, made | {"data": {"a": "b"}})
    store.delete(CONFIGMAPS, "default", "m")
    assert [e.type for e in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert [e.version for e in seen] == sorted({e.version for e in seen})
    assert [e.object["metadata"]["resourceVersion"] for e in seen] == [str(e.version) for e in seen]
    assert seen[1].previous == seen[0].object


def test_an_update_that_changes_nothing_makes_no_version(store: Store) -> None:
    made = store.create(CONFIGMAPS, body())
    version = store.version
    assert store.update(CONFIGMAPS, made) == made
    assert store.version == version


def test_a_stale_resource_version_is_refused(store: Store) -> None:
    made = store.create(CONFIGMAPS, body())
    store.update(CONFIGMAPS, made | {"data": {"a": "b"}})
    with refusal(409):
        store.update(CONFIGMAPS, made | {"data": {"a": "c"}})
    del made["metadata"]["resourceVersion"]
    assert store.update(CONFIGMAPS, made | {"data": {"a": "c"}})["data"] == {"a": "c"}


def test_an_object_of_another_uid_is_refused(store: Store) -> None:
    made = store.create(CONFIGMAPS, body())
    store.delete(CONFIGMAPS, "default", "m")
    store.create(CONFIGMAPS, body())
    del made["metadata"]["resourceVersion"]
    with refusal(409):
        store.update(CONFIGMAPS, made)


def test_what_is_handed_out_is_the_callers_own(store: Store) -> None:
    made = store.create(CONFIGMAPS, body(data={"a": "b"}))
    made["data"]["a"] = "changed"
    store.get(CONFIGMAPS, "default", "m")["data"]["a"] = "changed"
    store.list(CONFIGMAPS)[0]["data"]["a"] = "changed"
    assert store.get(CONFIGMAPS, "default", "m")["data"] == {"a": "b"}


def test_a_name_is_generated(store: Store) -> None:
    made = store.create(CONFIGMAPS, {"metadata": {"generateName": "x-", "namespace": "default"}})
    assert made["metadata"]["name"].startswith("x-")
    assert len(made["metadata"]["name"]) == 7
    with refusal(422):
        store.create(CONFIGMAPS, {"metadata": {"namespace": "default"}})


def test_a_generated_name_that_is_taken_is_generated_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "ALPHABET", "bc")  # 32 names in all
    monkeypatch.setattr(names, "random", random.Random(0))
    made = {store.create(CONFIGMAPS, body("", generateName="x-"))["metadata"]["name"] for _ in range(16)}
    assert len(made) == 16
    monkeypatch.setattr(names, "ALPHABET", "d")
    assert store.create(CONFIGMAPS, body("", generateName="x-"))["metadata"]["name"] == "x-ddddd"
    with refusal(409):
        store.create(CONFIGMAPS, body("", generateName="x-"))


def test_a_namespace_must_be_there(store: Store) -> None:
    with refusal(404):
        store.create(CONFIGMAPS, body(namespace="nowhere"))


def test_a_status_is_written_by_itself(store: Store) -> None:
    made = store.create(REPLICASETS, {"metadata": {"name": "r", "namespace": "default"}, "spec": {"replicas": 1}})
    store.update_status(REPLICASETS, made | {"spec": {"replicas": 9}, "status": {"replicas": 1}})
    now = store.get(REPLICASETS, "default", "r")
    assert (now["spec"], now["status"]) == ({"replicas": 1}, {"replicas": 1})
    assert now["metadata"]["generation"] == 1
    store.update(REPLICASETS, now | {"spec": {"replicas": 2}, "status": {}})
    now = store.get(REPLICASETS, "default", "r")
    assert (now["spec"], now["status"]) == ({"replicas": 2}, {"replicas": 1})
    assert now["metadata"]["generation"] == 2


def test_a_controller_replaces_the_whole_object_at_the_version_that_it_read(store: Store) -> None:
    pod = store.create(PODS, {"metadata": {"name": "p"}, "spec": {"containers": []}})
    first, second = store.get(PODS, "default", "p"), store.get(PODS, "default", "p")
    first["status"], first["metadata"]["labels"] = {"phase": "Running"}, {"a": "b"}
    made = store.replace(PODS, first)
    assert made is not None
    assert (made["status"], made["metadata"]["labels"]) == ({"phase": "Running"}, {"a": "b"})
    assert made["metadata"]["uid"] == pod["metadata"]["uid"]
    first["status"]["phase"] = "its own copy"
    assert store.get(PODS, "default", "p")["status"]["phase"] == "Running"
    assert store.find(PODS, "default", "p", shared=True)["status"]["phase"] == "Running"  # type: ignore[index]
    with refusal(409):
        store.replace(PODS, second)
    version = store.version
    store.replace(PODS, store.get(PODS, "default", "p"))
    assert store.version == version, "nothing was changed"
    store.delete(PODS, "default", "p")
    assert store.replace(PODS, second) is None


def test_a_finalizer_holds_a_deleted_object(store: Store) -> None:
    store.create(CONFIGMAPS, body(finalizers=["a.io/x"]))
    waiting = store.delete(CONFIGMAPS, "default", "m")
    assert waiting["metadata"]["deletionTimestamp"]
    waiting["metadata"]["finalizers"] = []
    store.update(CONFIGMAPS, waiting)
    assert store.find(CONFIGMAPS, "default", "m") is None


def test_a_pod_that_runs_is_deleted_in_two_steps(store: Store) -> None:
    spec = {"nodeName": "labkit", "terminationGracePeriodSeconds": 7}
    store.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    asked = datetime.now(UTC).timestamp()
    for grace, want in ((None, 7), (3, 3), (5, 3)):
        meta = store.delete(PODS, "default", "p", grace=grace)["metadata"]
        assert meta["deletionGracePeriodSeconds"] == want, "it may only get shorter"
        ends = datetime.fromisoformat(meta["deletionTimestamp"]).timestamp()
        assert -1 <= ends - (asked + want) <= 5, "the moment when the grace is over"
    store.delete(PODS, "default", "p", grace=0)
    assert store.find(PODS, "default", "p") is None


def test_preconditions_guard_a_deletion(store: Store) -> None:
    made = store.create(CONFIGMAPS, body())
    with refusal(409):
        store.delete(CONFIGMAPS, "default", "m", uid="other")
    with refusal(409):
        store.delete(CONFIGMAPS, "default", "m", version="1")
    store.delete(CONFIGMAPS, "default", "m", uid=made["metadata"]["uid"], version=made["metadata"]["resourceVersion"])


def test_owned_objects_are_found_by_their_owners_uid(store: Store) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "u"}
    store.create(CONFIGMAPS, body(ownerReferences=[owner]))
    store.create(SECRETS, body("s", ownerReferences=[owner]))
    assert [o["metadata"]["name"] for o in store.owned("u")] == ["m", "s"]
    assert [o["metadata"]["name"] for o in store.owned("u", SECRETS)] == ["s"]
    store.delete(CONFIGMAPS, "default", "m")
    assert [o["metadata"]["name"] for o in store.owned("u")] == ["s"]


def test_a_watch_resumes_from_a_version(store: Store) -> None:
    since = store.version
    made = store.create(CONFIGMAPS, body())
    store.update(CONFIGMAPS, made | {"data": {"a": "b"}})
    seen: list[Event] = []
    stop = store.watch(seen.append, since)
    store.create(CONFIGMAPS, body("n"))
    stop()
    store.create(CONFIGMAPS, body("o"))
    assert [(e.type, e.key[1]) for e in seen] == [("ADDED", "m"), ("MODIFIED", "m"), ("ADDED", "n")]
    assert seen[1].previous == seen[0].object


def test_a_history_too_short_for_a_version_is_gone() -> None:
    store = new_store(history=3)
    since = store.version
    for i in range(3):
        store.create(CONFIGMAPS, body(f"m{i}"))
    seen: list[Event] = []
    store.watch(seen.append, since)
    assert len(seen) == 3
    store.create(CONFIGMAPS, body("one more"))
    with refusal(410):
        store.watch(seen.append, since)


def test_the_history_is_bounded_in_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BYTES", 10_000)
    since = store.version
    for i in range(20):
        store.create(CONFIGMAPS, body(f"m{i}", {"x": "y" * 1000}))
    with refusal(410):
        store.watch(lambda event: None, since)
    assert sum(len(past.raw) for past in store.history.past) <= 10_000


def test_admission_decides_what_is_stored() -> None:
    def admit(store: Store, operation: str, resource: Any, new: dict, old: dict | None) -> dict:
        if new.get("data", {}).get("bad"):
            raise ApiError(422, "Invalid", "bad")
        return new | {"seen": [*new.get("seen", []), operation]}

    store = new_store(admit=admit)
    made = store.create(CONFIGMAPS, body())
    assert store.update(CONFIGMAPS, made | {"data": {"x": "y"}})["seen"] == ["CREATE", "UPDATE"]
    with refusal(422):
        store.create(CONFIGMAPS, body("n", {"bad": "yes"}))
    assert store.find(CONFIGMAPS, "default", "n") is None


class Machine(RuleBasedStateMachine):
    """Random writes against a dict: the store, a watcher and a second store on the same file must agree with it."""

    names = st.sampled_from(["a", "b", "c"])

    @initialize()
    def start(self) -> None:
        self.store = new_store(history=10_000)
        self.model: dict[str, dict] = {}
        self.followed: dict[str, dict] = {}
        self.store.watch(self.follow)

    def follow(self, event: Event) -> None:
        if event.type == "DELETED":
            del self.followed[event.key[1]]
        else:
            assert (event.key[1] in self.followed) is (event.type == "MODIFIED")
            self.followed[event.key[1]] = event.object["data"]

    @rule(name=names, value=st.text(max_size=3))
    def create(self, name: str, value: str) -> None:
        if name in self.model:
            with refusal(409):
                self.store.create(CONFIGMAPS, body(name, {"v": value}))
        else:
            self.store.create(CONFIGMAPS, body(name, {"v": value}))
            self.model[name] = {"v": value}

    @rule(name=names, value=st.text(max_size=3))
    def update(self, name: str, value: str) -> None:
        if name not in self.model:
            with refusal(404):
                self.store.update(CONFIGMAPS, body(name, {"v": value}))
        else:
            self.store.update(CONFIGMAPS, body(name, {"v": value}))
            self.model[name] = {"v": value}

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self.model.pop(name, None) is None:
            with refusal(404):
                self.store.delete(CONFIGMAPS, "default", name)
        else:
            self.store.delete(CONFIGMAPS, "default", name)

    @invariant()
    def everybody_agrees(self) -> None:
        stored = {o["metadata"]["name"]: o["data"] for o in self.store.list(CONFIGMAPS, "default")}
        assert stored == self.model == self.followed
        assert self.store.count(CONFIGMAPS) == len(self.model)

    def teardown(self) -> None:
        self.store.close()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("damage", ["no database", "cut off", "overwritten"])
def test_a_damaged_database_is_named_with_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state.db"
    store = new_store(path)
    for i in range(50):
        store.create(CONFIGMAPS, body(f"m{i}", {"x": "y" * 1000}))
    store.close()
    whole = path.read_bytes()
    if damage == "no database":
        path.write_bytes(b"this is no database" * 1000)
    elif damage == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(HintedError, match="is damaged", check=lambda e: str(path) in e.message and "--purge" in e.hint):
        Store(path)


def test_a_database_that_cant_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(HintedError, match="can't be opened", check=lambda e: str(tmp_path / "none") in e.message):
        Store(tmp_path / "none" / "state.db")


def test_a_log_that_cant_be_brought_to_the_disk_waits_for_the_next_time(tmp_path: Path) -> None:
    store = new_store(tmp_path / "state.db")
    store.create(CONFIGMAPS, body("m", {"x": "needle"}))
    store.database.disk.close()
    with pytest.raises(sqlite3.Error):
        store.sync()
    store.database.disk = sqlite3.connect(tmp_path / "state.db", check_same_thread=False, isolation_level=None)
    store.sync()
    assert b"needle" in (tmp_path / "state.db").read_bytes()
