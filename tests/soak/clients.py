"""Who writes and who watches while the server dies: each holds the server to what it has acknowledged.

A request whose answer was lost may have been carried out or not; everything else is known exactly, and is compared with
what the server has after every restart.
"""

from __future__ import annotations

import json
import random
import threading
import time

import httpx
from api import MAPS, MERGE, Object, Worker, listing, patiently

from labkit.paths import ClusterFolder

PAUSE = 0.01  # seconds between two writes of one writer: the two cores are for others as well
MOST = 25  # objects of one writer


class Writer(Worker):
    """Creates, patches and deletes ConfigMaps of its own."""

    def __init__(self, folder: ClusterFolder, stop: threading.Event, name: str) -> None:
        super().__init__(folder, stop)
        self.name = name
        self.random = random.Random(name)
        self.values: dict[str, set[str | None]] = {}  # what each object may hold; None: it may not be there
        self.acknowledged = self.lost = self.checks = self.number = self.version = 0

    def work(self) -> None:
        while not self.stop.wait(PAUSE):
            self.write()
        self.check()

    def write(self) -> None:
        self.number += 1
        value, kind = str(self.number), self.random.random()
        if len(self.values) < 5 or (kind < 0.3 and len(self.values) < MOST):
            name = f"{self.name}-{self.number}"
            labels = {"writer": self.name, "soak": "load"}
            body = {"metadata": {"name": name, "labels": labels}, "data": {"v": value}}
            self.values[name] = {None}
            self.send(name, value, "POST", MAPS, json=body)
        else:
            name = self.random.choice(list(self.values))
            path = f"{MAPS}/{name}"
            if kind < 0.75:
                self.send(name, value, "PATCH", path, json={"data": {"v": value}}, headers=MERGE)
            else:
                self.send(name, None, "DELETE", path)

    def send(self, name: str, value: str | None, method: str, path: str, **more: object) -> None:
        self.values[name] |= {value}
        try:
            answer = self.http.request(method, path, **more)  # type: ignore[arg-type]
        except httpx.TransportError:
            self.lost += 1
            self.check()
            return
        assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
        self.acknowledged += 1
        self.values[name] = {value}
        if value is None:
            del self.values[name]
        else:
            version = int(answer.json()["metadata"]["resourceVersion"])
            assert version > self.version, "a resourceVersion was given twice"
            self.version = version

    def check(self) -> None:
        """What the server has is what it has acknowledged."""
        self.checks += 1
        items = listing(self.http, MAPS, labelSelector=f"writer={self.name}")["items"]
        found = {i["metadata"]["name"]: i["data"]["v"] for i in items}
        assert not set(found) - set(self.values), "a deletion that was acknowledged is undone"
        for name, allowed in list(self.values.items()):
            assert found.get(name) in allowed, f"{name}: {found.get(name)} instead of {allowed}"
            self.values[name] = {found.get(name)}
            if name not in found:
                del self.values[name]


class Counter(Worker):
    """Counts up one ConfigMap that others count up as well, by its resourceVersion."""

    PATH = f"{MAPS}/counter"

    def __init__(self, folder: ClusterFolder, stop: threading.Event) -> None:
        super().__init__(folder, stop)
        self.acknowledged = self.lost = 0

    def work(self) -> None:
        while not self.stop.wait(PAUSE * 5):
            now = patiently(self.http, "GET", self.PATH).json()
            now["data"]["n"] = str(int(now["data"]["n"]) + 1)
            try:
                answer = self.http.put(self.PATH, json=now)
            except httpx.TransportError:
                self.lost += 1
                continue
            assert answer.status_code in (200, 409), answer.text
            self.acknowledged += answer.status_code == 200


class Watcher(Worker):
    """Keeps a copy of a collection by list and watch, and resumes where its watch broke."""

    def __init__(self, folder: ClusterFolder, stop: threading.Event, path: str, **params: str) -> None:
        super().__init__(folder, stop)
        self.path, self.params = path, params
        self.copy: dict[str, Object] = {}
        self.uids: dict[str, set[str]] = {}  # all that were ever seen under a name
        self.version = 0
        self.broken = False
        self.resumed = self.expired = self.events = 0

    def work(self) -> None:
        self.relist()
        while not self.stop.is_set():
            try:
                if not self.follow():
                    self.expired += 1
                    self.relist()
            except httpx.TransportError:
                self.broken = True
                time.sleep(0.05)

    def relist(self) -> None:
        found = listing(self.http, self.path, **self.params)
        version = int(found["metadata"]["resourceVersion"])
        assert version >= self.version, "versions went back"
        self.version = version
        self.copy = {i["metadata"]["name"]: i for i in found["items"]}
        for obj in self.copy.values():
            self.see(obj)

    def see(self, obj: Object) -> None:
        self.uids.setdefault(obj["metadata"]["name"], set()).add(obj["metadata"]["uid"])

    def follow(self) -> bool:
        """Watch until the stream ends; False where the version is too old."""
        asked = self.params | {"watch": "true", "resourceVersion": str(self.version), "timeoutSeconds": "3"}
        with self.http.stream("GET", self.path, params=asked) as answer:
            if answer.status_code == 410:
                return False
            assert answer.status_code == 200, answer.read()
            self.resumed += self.broken
            self.broken = False
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    assert event["object"]["code"] == 410, event
                    return False
                self.take(event["type"], event["object"])
                if self.stop.is_set():
                    return True
        return True

    def take(self, type: str, obj: Object) -> None:
        name, version = obj["metadata"]["name"], int(obj["metadata"]["resourceVersion"])
        assert version > self.version, f"{type} {name} at {version} after {self.version}"
        assert (name in self.copy) == (type != "ADDED"), f"{type} of {name} is no news that fits"
        self.version, self.events = version, self.events + 1
        if type == "DELETED":
            del self.copy[name]
        else:
            self.copy[name] = obj
            self.see(obj)
