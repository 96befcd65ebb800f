"""Work queues that reconcile the store's objects with their specs.

Mechanism. Each controller has one queue of keys; an event in the store adds the keys its mappers name, a key that waits
already is not added twice, and one key at a time is reconciled, so a controller never races with itself. `reconcile`
gets a fresh copy, or shares the stored object, and looks only at the store (level-triggered): a lost event, a restart and
a repeated call all lead to the same state. It may answer with a delay after which it wants to be called again. What it
raises is logged and tried again after 5 ms, doubling up to 30 s; a write conflict is an ordinary reason for that. When the
loop starts, every object is queued once, which is how work goes on after a crash.

After each call an item rests for a multiple of the call's duration; events in that time share the next call. A large
object is therefore reconciled less often and takes only its share of the server: the cost of a workflow grows with the
number of its tasks, not with its square.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubeproc.api_errors import ApiError
from kubeproc.resources import RESOURCES, Resource, by_kind
from kubeproc.store import Event, Key, Object, Store

log = logging.getLogger(__name__)

Item = tuple[str, str, str]  # qualified resource, namespace, name
Reconcile = Callable[[Object, Store], float | None]
Mapper = Callable[[Event], Iterable[Key]]
Finder = Callable[[Event, Store], Iterable[Key] | Iterable[Item]]

FIRST_DELAY, LAST_DELAY = 0.005, 30.0
REST = 3.0  # multiple of a call's duration
RESTING = 1000  # resting items to remember before finished ones are dropped


def soonest(*delays: float | None) -> float | None:
    """The smallest of the delays that are not None: the answer of a controller that waits for several things."""
    return min((d for d in delays if d is not None), default=None)


@dataclass
class Controller:
    """Reconciles the objects of one `resource`. `watches` maps an event of another resource to the objects to reconcile
    (None: the controller of the event's object); `finds` does the same and may read the store. A controller without a
    resource (the garbage collector) returns whole items: resource, namespace, name. Where `shared`, `reconcile` gets
    the stored object itself, which it must not change, and copies what it needs."""

    name: str
    resource: Resource | None
    reconcile: Reconcile
    watches: dict[Resource, Mapper | None] = field(default_factory=dict)
    finds: dict[Resource, Finder] = field(default_factory=dict)
    shared: bool = False

    def concerned(self, event: Event, store: Store) -> Iterable[Item]:
        """The items to reconcile because of the event."""
        keys: list[Any] = []
        if event.resource is self.resource and event.type != "DELETED":
            keys.append(event.key)
        if event.resource in self.watches:
            mapper = self.watches[event.resource]
            keys.extend(mapper(event) if mapper else self._controller_of(event))
        if event.resource in self.finds:
            keys.extend(self.finds[event.resource](event, store))
        for key in keys:
            yield key if len(key) == 3 else (self.resource.qualified, *key)  # type: ignore[union-attr]

    def _controller_of(self, event: Event) -> list[Key]:
        """The owner with `controller: true`, now and before the event, if it is of this controller's resource."""
        keys: list[Key] = []
        for obj in (event.object, event.previous):
            for owner in (obj or {}).get("metadata", {}).get("ownerReferences") or ():
                if owner.get("controller") and by_kind(owner["apiVersion"], owner["kind"]) is self.resource:
                    key = (event.key[0] if self.resource and self.resource.namespaced else "", owner["name"])
                    if key not in keys:
                        keys.append(key)
        return keys

    def all(self, store: Store) -> Iterable[Item]:
        """All objects that this controller reconciles: the initial sync."""
        for resource in [self.resource] if self.resource else RESOURCES.values():
            for obj in store.list(resource):
                yield resource.qualified, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]

    def call(self, item: Item, store: Store) -> float | None:
        """Reconcile one item, if it still exists."""
        obj = store.find(RESOURCES[item[0]], item[1], item[2], shared=self.shared)
        return None if obj is None else self.reconcile(obj, store)


class Queue:
    """Items in order of arrival, each at most once."""

    def __init__(self) -> None:
        self._waiting: deque[Item] = deque()
        self._known: set[Item] = set()

    def add(self, item: Item) -> None:
        if item not in self._known:
            self._known.add(item)
            self._waiting.append(item)

    def pop(self) -> Item | None:
        if not self._waiting:
            return None
        item = self._waiting.popleft()
        self._known.discard(item)  # from here on an event queues it again
        return item


class Worker:
    """Runs one controller on the event loop."""

    def __init__(self, controller: Controller, store: Store) -> None:
        self.controller, self.store = controller, store
        self.queue, self.failures = Queue(), dict[Item, int]()
        self.later: list[tuple[float, int, Item]] = []  # a heap: when, tie-breaker, item
        self.due: dict[Item, float] = {}
        self.resting: dict[Item, float] = {}  # the end of an item's rest
        self.order = itertools.count()
        self.wake = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def add(self, item: Item) -> None:
        """Queue an item because of an event: now, or after its rest."""
        wait = self.resting.get(item, 0.0) - self.loop.time()
        if wait > 0:
            self.add_after(item, wait)
        else:
            self.queue.add(item)
        self.wake.set()

    def add_after(self, item: Item, delay: float) -> None:
        when = self.loop.time() + max(delay, 0.0)
        if self.due.get(item, float("inf")) > when:
            self.due[item] = when
            heapq.heappush(self.later, (when, next(self.order), item))

    def _ripe(self) -> float | None:
        """Queue the items that are due; returns the seconds until the next one."""
        while self.later:
            when, _, item = self.later[0]
            if (wait := when - self.loop.time()) > 0:
                return wait
            heapq.heappop(self.later)
            if self.due.get(item) == when:
                del self.due[item]
                self.queue.add(item)
        return None

    async def run(self) -> None:
        while True:
            wait = self._ripe()
            item = self.queue.pop()
            if item is not None:
                self.step(item)
                await asyncio.sleep(0)
                continue
            self.wake.clear()
            try:
                await asyncio.wait_for(self.wake.wait(), wait)
            except TimeoutError:
                continue

    def step(self, item: Item) -> None:
        begun = self.loop.time()
        try:
            self._call(item)
        finally:
            self._rest(item, begun)

    def _rest(self, item: Item, begun: float) -> None:
        now = self.loop.time()
        if len(self.resting) > RESTING:
            self.resting = {known: until for known, until in self.resting.items() if until > now}
        self.resting[item] = now + REST * (now - begun)

    def _call(self, item: Item) -> None:
        try:
            delay = self.controller.call(item, self.store)
        except Exception as error:
            count = self.failures[item] = self.failures.get(item, 0) + 1
            if not (isinstance(error, ApiError) and error.code == 409):
                log.exception("%s: %s", self.controller.name, "/".join(item))
            self.add_after(item, min(FIRST_DELAY * 2 ** min(count - 1, 20), LAST_DELAY))
            return
        self.failures.pop(item, None)
        if delay is not None:
            self.add_after(item, delay)


async def run(controllers: Sequence[Controller], store: Store) -> None:
    """Run the controllers until cancelled."""
    workers = [Worker(c, store) for c in controllers]
    loop, thread = asyncio.get_running_loop(), threading.get_ident()

    def deliver(event: Event) -> None:
        for worker in workers:
            try:
                items = list(worker.controller.concerned(event, store))
            except Exception:  # a write must not fail because of a controller
                log.exception("%s: which objects an event of %s concerns", worker.controller.name, event.key)
                continue
            for item in items:
                worker.add(item)

    def hear(event: Event) -> None:
        if threading.get_ident() == thread:
            deliver(event)
        else:
            loop.call_soon_threadsafe(deliver, event)

    stop = store.watch(hear)
    try:
        for worker in workers:
            for item in worker.controller.all(store):
                worker.add(item)
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run(), name=worker.controller.name)
    finally:
        stop()


def settle(controllers: Sequence[Controller], store: Store, *, limit: int = 20_000) -> float | None:
    """Run the controllers, in this thread, until all queues are empty: for tests. Exceptions of controllers are raised
    (except a conflict, which is retried). Returns the shortest delay that a controller requested."""
    queues = [(c, Queue()) for c in controllers]
    delays: dict[tuple[str, Item], float] = {}

    def hear(event: Event) -> None:
        for controller, queue in queues:
            for item in controller.concerned(event, store):
                queue.add(item)

    stop = store.watch(hear)
    try:
        for controller, queue in queues:
            for item in controller.all(store):
                queue.add(item)
        for _ in range(limit):
            work = [(c, q, found) for c, q in queues if (found := q.pop()) is not None]
            if not work:
                return min(delays.values(), default=None)
            for controller, queue, item in work:
                _settle_one(controller, queue, item, store, delays)
    finally:
        stop()
    raise RuntimeError(f"the controllers have not come to rest after {limit} rounds")


def _settle_one(
    controller: Controller, queue: Queue, item: Item, store: Store, delays: dict[tuple[str, Item], float]
) -> None:
    delays.pop((controller.name, item), None)
    try:
        delay = controller.call(item, store)
    except ApiError as error:
        if error.code != 409 or error.reason != "Conflict":
            raise
        queue.add(item)
        return
    if delay is not None:
        delays[controller.name, item] = delay
