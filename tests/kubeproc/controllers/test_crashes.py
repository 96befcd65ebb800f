"""A server that dies after any of its writes: the controllers of the next one make nothing twice and forget nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubeproc.admission import admit
from kubeproc.resources import JOBS, PODS, TFJOBS
from kubeproc.store import Event, Object, Store

from .conftest import IMAGE, Cluster

DEATHS = st.lists(st.integers(1, 40), min_size=1, max_size=4)  # writes that each life lasts
POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": IMAGE}]}


class Killed(BaseException):
    """The process is no more; nobody catches this."""


class Mortal(Store):
    """A store whose process dies as soon as so many writes have reached the database: `left`."""

    left = 0

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        commit = self.database.commit

        def once_more(statement: str, values: tuple[Any, ...], version: int) -> None:
            commit(statement, values, version)
            self.left -= 1
            if self.left == 0:
                raise Killed

        self.database.commit = once_more  # type: ignore[method-assign]


class Lives:
    """A cluster that goes on with the next server after each death; `made` has every pod's uids by its name."""

    def __init__(self, path: Path, deaths: list[int]) -> None:
        path.unlink(missing_ok=True)
        self.path, self.deaths = path, [*deaths, 0]
        self.made: dict[str, set[str]] = {}
        self.cluster = Cluster(self.open())

    def open(self) -> Mortal:
        store = Mortal(self.path, admit=admit)
        for pod in store.list(PODS):
            self.see(Event("ADDED", PODS, pod, None, 0, b""))
        store.watch(self.see)
        return store

    def see(self, event: Event) -> None:
        if event.resource is PODS and event.type == "ADDED":
            meta = event.object["metadata"]
            self.made.setdefault(meta["name"], set()).add(meta["uid"])

    def live(self, done: Callable[[], bool], code: Callable[[Object], int | None]) -> None:
        """Kubelet and controllers until `done`, through all deaths; `code` is a running pod's exit code, or None."""
        store = self.cluster.store
        for death in self.deaths:
            assert isinstance(store, Mortal)
            store.left = death
            try:
                self.until(done, code)
                break
            except Killed:
                store.close()
                store = self.cluster.store = self.open()
        store.close()

    def until(self, done: Callable[[], bool], code: Callable[[Object], int | None]) -> None:
        for _ in range(60):
            self.cluster.settle()
            if done():
                return
            self.cluster.play()
            for pod in self.cluster.pods(lambda p: p["status"]["phase"] == "Running"):
                if "deletionTimestamp" not in pod["metadata"] and (ended := code(pod)) is not None:
                    self.cluster.set_phase(pod, "Failed" if ended else "Succeeded", code=ended)
        raise AssertionError("it does not come to its end")


def true(obj: Object, type: str) -> bool:
    return any(c["type"] == type and c["status"] == "True" for c in (obj.get("status") or {}).get("conditions") or ())


@settings(max_examples=25, deadline=None)
@given(deaths=DEATHS)
@example(deaths=[3, 3, 3, 3])
def test_a_job_makes_each_pod_once_however_often_its_server_dies(tmp_path_factory: Any, deaths: list[int]) -> None:
    lives = Lives(tmp_path_factory.mktemp("job") / "state.db", deaths)
    spec = {"completions": 5, "parallelism": 2, "template": {"spec": POD}}
    lives.cluster.store.create(JOBS, {"metadata": {"name": "j"}, "spec": spec})
    seen: list[Object] = []

    def done() -> bool:
        seen.append(lives.cluster.store.get(JOBS, "default", "j"))
        return true(seen[-1], "Complete")

    lives.live(done, lambda pod: 0)
    assert (seen[-1]["status"]["succeeded"], seen[-1]["status"].get("failed", 0)) == (5, 0), seen[-1]["status"]
    assert len(lives.made) == 5, lives.made


@settings(max_examples=25, deadline=None)
@given(deaths=DEATHS)
@example(deaths=[3, 3, 3, 3])
def test_a_tfjob_makes_each_attempt_once_however_often_its_server_dies(
    tmp_path_factory: Any, deaths: list[int]
) -> None:
    lives = Lives(tmp_path_factory.mktemp("tfjob") / "state.db", deaths)

    def replica(restart: str) -> Object:
        template = {"spec": {"containers": [{"name": "tensorflow", "image": IMAGE}]}}
        return {"replicas": 1, "restartPolicy": restart, "template": template}

    replicas = {"Chief": replica("Never"), "Worker": replica("Never"), "PS": replica("ExitCode")}
    spec = {"runPolicy": {"cleanPodPolicy": "Running"}, "tfReplicaSpecs": replicas}
    lives.cluster.store.create(TFJOBS, {"metadata": {"name": "t"}, "spec": spec})
    seen: list[Object] = []

    def done() -> bool:
        seen.append(lives.cluster.store.get(TFJOBS, "default", "t"))
        return true(seen[-1], "Succeeded") or true(seen[-1], "Failed")

    def code(pod: Object) -> int | None:
        """The parameter server fails once; the chief succeeds when it is there again."""
        again = len(lives.made.get("t-ps-0", ())) == 2
        return {"t-ps-0": None if again else 138, "t-chief-0": 0 if again else None}.get(pod["metadata"]["name"])

    lives.live(done, code)
    assert true(seen[-1], "Succeeded"), seen[-1]["status"]
    assert {name: len(uids) for name, uids in lives.made.items()} == {"t-chief-0": 1, "t-worker-0": 1, "t-ps-0": 2}
