"""Killed and stopped under load: the cluster loses nothing, doubles nothing and leaves nothing behind."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import clients
import jobs
import psutil
import pytest
from api import MAPS, NAMESPACE, PODS, Worker, connect, listing, patiently

from clusters import running_cluster
from kubeproc import engine
from labkit.engines import embedded
from labkit.paths import ClusterFolder

LASTING = "app=lasting"
KILLS = int(os.environ.get("SOAK_KILLS", "200"))


@pytest.fixture
def token() -> Iterator[str]:
    """A word in the environment of every program of the load; at the end nobody has it any more."""
    word = uuid.uuid4().hex
    yield word
    assert not having(word), "programs are left"


@pytest.fixture
def folder(tmp_path: Path, token: str) -> Iterator[ClusterFolder]:
    with running_cluster(tmp_path) as found:
        yield found


def having(word: str) -> list[list[str]]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SOAK_TOKEN") == word and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


def ran(folder: ClusterFolder, name: str = "") -> Counter[str]:
    """How often the programs of each pod ran, of all pods whose names begin so."""
    path = folder.volumes / NAMESPACE / "soak" / "ran"
    return Counter(line for line in path.read_text().split() if line.startswith(name and f"{name}-"))


class Load:
    """Writers, watchers, a lasting Deployment, and things that end: submitted in sets, one set after the other."""

    def __init__(self, folder: ClusterFolder, token: str) -> None:
        self.folder, self.token = folder, token
        self.http = connect(folder)
        self.stop, self.quiet = threading.Event(), threading.Event()  # for all, for those who write
        self.sets = 0
        jobs.prepare(self.http, token)
        self.pids = self.lasting()
        self.writers = [clients.Writer(folder, self.quiet, f"writer-{n}") for n in range(3)]
        self.counters = [clients.Counter(folder, self.quiet) for _ in range(2)]
        self.writing: list[clients.Writer | clients.Counter] = [*self.writers, *self.counters]
        self.watchers = [clients.Watcher(folder, self.stop, MAPS, labelSelector="soak=load") for _ in range(2)]
        self.pods = clients.Watcher(folder, self.stop, PODS)
        self.setter = Sets(self)
        self.workers: list[Worker] = [*self.writing, *self.watchers, self.pods, self.setter]
        for worker in self.workers:
            worker.start()

    def lasting(self) -> dict[str, int]:
        """The pids of the Deployment's programs by their pods' uids, as the kubelet has them."""
        found = {}
        for pod in listing(self.http, PODS, labelSelector=LASTING)["items"]:
            uid = pod["metadata"]["uid"]
            record = json.loads((self.folder.pods / uid / "containers/main/process.json").read_text())
            found[uid] = record["pid"]
            assert pod["status"]["containerStatuses"][0]["restartCount"] == 0, pod["status"]
        return found

    def healthy(self) -> None:
        for worker in self.workers:
            if worker.failure:
                raise worker.failure

    def adopted(self) -> None:
        """The programs that ran before run on."""
        assert self.lasting() == self.pids
        assert all(psutil.pid_exists(pid) for pid in self.pids.values())

    def ran(self, name: str = "") -> Counter[str]:
        return ran(self.folder, name)

    def end(self) -> dict[str, int]:
        """Stop everything, and compare what all have seen."""
        self.setter.finish = True
        self.setter.ended()
        self.adopted()
        self.quiet.set()
        for worker in self.writing:
            worker.ended()
        self.agree()
        self.stop.set()
        for watcher in [*self.watchers, self.pods]:
            watcher.ended()
        self.count()
        doubled = {n: u for n, u in self.pods.uids.items() if len(u) > (2 if n.endswith("-ps-0") else 1)}
        assert not doubled, f"pods made more than once: {doubled}"
        self.http.close()
        return self.numbers()

    def agree(self) -> None:
        """Every watcher's copy becomes the list."""
        wanted = {i["metadata"]["name"]: i for i in listing(self.http, MAPS, labelSelector="soak=load")["items"]}
        for watcher in self.watchers:
            deadline = time.monotonic() + 10
            while watcher.copy != wanted and not watcher.failure:
                assert time.monotonic() < deadline, f"a watcher has missed {watcher.copy.keys() ^ wanted.keys()}"
                time.sleep(0.05)

    def count(self) -> None:
        value = int(patiently(self.http, "GET", f"{MAPS}/counter").json()["data"]["n"])
        sure = sum(c.acknowledged for c in self.counters)
        assert sure <= value <= sure + sum(c.lost for c in self.counters)

    def numbers(self) -> dict[str, int]:
        watchers = [*self.watchers, self.pods]
        return {
            "writes acknowledged": sum(w.acknowledged for w in self.writing),
            "answers lost": sum(w.lost for w in self.writing),
            "comparisons": sum(w.checks for w in self.writers),
            "events": sum(w.events for w in watchers),
            "broken watches asked for again": sum(w.resumed for w in watchers),
            "of these expired": sum(w.expired for w in watchers),
            "sets of Job, TFJob and Workflow": self.sets,
            "programs run": sum(self.ran().values()),
        }


class Sets(Worker):
    """Submits a Job, a TFJob and a Workflow, sees them to their right end and deletes them; again until `finish`."""

    def __init__(self, load: Load) -> None:
        super().__init__(load.folder, load.stop)
        self.load = load
        self.finish = False

    def work(self) -> None:
        while True:
            self.once(self.load.sets)
            self.load.sets += 1
            if self.finish:
                return

    def once(self, number: int) -> None:
        names = {kind: f"{kind}-{number}" for kind in jobs.KINDS}
        for kind, (path, make, _) in jobs.KINDS.items():
            jobs.create(self.http, path, make(names[kind], self.load.token))
        for kind, (_, _, right) in jobs.KINDS.items():
            right(self.http, names[kind], self.load.ran)
        for kind, (path, _, _) in jobs.KINDS.items():
            params = {"propagationPolicy": "Background"}
            answer = patiently(self.http, "DELETE", f"{path}/{names[kind]}", params=params)
            assert answer.status_code in (200, 404), answer.text


def pid_of(folder: ClusterFolder, name: str) -> int:
    """The daemon's pid, as soon as there is one."""
    deadline = time.monotonic() + 30
    while not (pid := engine.daemon(folder, name).pid):
        assert time.monotonic() < deadline, f"no {name} within 30 s"
        time.sleep(0.01)
    return pid


def kill(folder: ClusterFolder, name: str) -> None:
    pid = pid_of(folder, name)
    os.kill(pid, signal.SIGKILL)
    while engine.daemon(folder, name).pid == pid:
        time.sleep(0.005)


def kill_server(folder: ClusterFolder, load: Load, times: int, longest: float) -> None:
    """Kill it `times` times, each up to `longest` seconds after the last one; some while it is only coming up."""
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    for number in range(times):
        time.sleep(chance.uniform(0, longest))
        kill(folder, "server")
        load.healthy()
        if number == times - 1 or chance.random() < 0.8:
            assert patiently(load.http, "GET", "/readyz").text == "ok"
            load.adopted()


def stop_and_continue(folder: ClusterFolder, seconds: float) -> None:
    """As a laptop that is closed: both daemons stand still, and go on where they were."""
    pids = [pid_of(folder, name) for name in engine.DAEMONS]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_a_few_kills_of_the_server_under_load_lose_and_double_nothing(folder: ClusterFolder, token: str) -> None:
    load = Load(folder, token)
    kill_server(folder, load, 6, 2.0)
    print(load.end())


def test_daemons_that_stood_still_go_on(folder: ClusterFolder, token: str) -> None:
    load = Load(folder, token)
    time.sleep(0.5)
    stop_and_continue(folder, 3)
    print(load.end())


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_two_hundred_kills_of_the_server_under_load(folder: ClusterFolder, token: str) -> None:
    load = Load(folder, token)
    kill_server(folder, load, KILLS, 5.0)
    print(load.end())


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_daemons_that_stood_still_for_a_minute_go_on(folder: ClusterFolder, token: str) -> None:
    load = Load(folder, token)
    time.sleep(1)
    stop_and_continue(folder, 60)
    print(load.end())


class Again:
    """A Job, a TFJob and a Workflow whose programs may be killed; when all have come to their end, the next three."""

    def __init__(self, folder: ClusterFolder, token: str) -> None:
        self.folder, self.token, self.http = folder, token, connect(folder)
        self.sets = 0
        jobs.prepare(self.http, token)
        self.begin()

    def begin(self) -> None:
        self.names = {kind: f"{kind}-{self.sets}" for kind in jobs.KINDS}
        for kind, (path, make, _) in jobs.KINDS.items():
            jobs.create(self.http, path, jobs.tries_again(kind, make(self.names[kind], self.token)))

    def look(self) -> None:
        """Begin the next three where these have ended."""
        found = {kind: patiently(self.http, "GET", self.path(kind)).json() for kind in jobs.KINDS}
        ended = [jobs.has_succeeded(kind, obj) for kind, obj in found.items()]
        if all(ended):
            self.conclude()
            self.begin()

    def end(self) -> dict[str, int]:
        """Wait for the last three; what was run altogether."""
        for kind in jobs.KINDS:
            jobs.until(self.http, self.path(kind), lambda found, kind=kind: jobs.has_succeeded(kind, found))
        self.conclude()
        self.http.close()
        return {"sets of Job, TFJob and Workflow": self.sets, "programs run": sum(ran(self.folder).values())}

    def conclude(self) -> None:
        for kind in jobs.KINDS:
            jobs.ran_enough(kind, self.names[kind], functools.partial(ran, self.folder))
            answer = patiently(self.http, "DELETE", self.path(kind), params={"propagationPolicy": "Background"})
            assert answer.status_code in (200, 404), answer.text
        self.sets += 1

    def path(self, kind: str) -> str:
        return f"{jobs.KINDS[kind][0]}/{self.names[kind]}"


def survive_the_kubelet(folder: ClusterFolder, token: str, times: int, longest: float) -> None:
    """Its pods end with it and are marked; the next command brings it back, and everything comes to its end."""
    load = Again(folder, token)
    for _ in range(times):
        time.sleep(random.uniform(0, longest))  # so that some of what runs comes to its end
        deadline = time.monotonic() + jobs.LONG  # at least the Deployment's: its status may be of the pods before
        while len(having(token)) < 2:
            assert time.monotonic() < deadline, "the Deployment's programs are not back"
            time.sleep(0.1)
        kill(folder, "kubelet")
        deadline = time.monotonic() + 5
        while having(token):
            assert time.monotonic() < deadline, "programs outlive their kubelet"
            time.sleep(0.05)
        embedded.up(folder)
        ready = f"{jobs.DEPLOYMENTS}/lasting"
        jobs.until(load.http, ready, lambda d: d.get("status", {}).get("readyReplicas") == 2)
        load.look()
    print({"kills": times, **load.end()})


def test_everything_comes_to_its_end_after_the_kubelet_was_killed(folder: ClusterFolder, token: str) -> None:
    survive_the_kubelet(folder, token, 1, 0.0)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_kills_of_the_kubelet_let_everything_come_to_its_end(folder: ClusterFolder, token: str) -> None:
    survive_the_kubelet(folder, token, KILLS, 3.0)
