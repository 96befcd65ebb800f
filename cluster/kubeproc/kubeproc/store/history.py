"""Recent events and the watchers of new ones.

Mechanism. Watchers are called synchronously after the commit, in order. The last events are kept in memory, unparsed,
so that a watch can resume from a version; they are bounded in number and in bytes. If a version is older than the
history, or than this process, the watcher gets 410 and lists again, as on a real API server.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from kubeproc.api_errors import gone
from kubeproc.resources import Resource
from kubeproc.store.serialized import Key, Object, key, load

BYTES = 8 * 2**20  # limit of the JSON in the history, however few the events


@dataclass
class Event:
    """One change: `type` is ADDED, MODIFIED or DELETED; `previous` is the object before it (None if added)."""

    type: str
    resource: Resource
    object: Object
    previous: Object | None
    version: int
    raw: bytes = field(repr=False)  # the object as JSON

    @property
    def key(self) -> Key:
        return key(self.object)


@dataclass(slots=True)
class Past:
    """An event in the history: unparsed, since few are ever read again."""

    type: str
    resource: Resource
    version: int
    raw: bytes
    previous: bytes | None

    def event(self) -> Event:
        before = load(self.previous) if self.previous else None
        return Event(self.type, self.resource, load(self.raw), before, self.version, self.raw)


Listener = Callable[[Event], None]


class History:
    """The last `length` events after `version`, and the watchers."""

    def __init__(self, version: int, length: int) -> None:
        self.past: deque[Past] = deque()
        self._oldest = version  # older events can't be replayed
        self._length, self._bytes = length, 0
        self._watchers: dict[int, Listener] = {}
        self._last = 0

    def tell(self, event: Event, previous: bytes | None) -> None:
        """Keep the event and call all watchers; `previous` is the object before it."""
        self.past.append(Past(event.type, event.resource, event.version, event.raw, previous))
        self._bytes += len(event.raw)
        while len(self.past) > self._length or self._bytes > BYTES:
            past = self.past.popleft()
            self._oldest = past.version
            self._bytes -= len(past.raw)
        for call in list(self._watchers.values()):
            call(event)

    def watch(self, call: Listener, since: int | None) -> Callable[[], None]:
        """Call `call(event)` for every event after version `since`; returns a function that ends the watch."""
        if since is not None:
            if since < self._oldest:
                raise gone(self._oldest, since)
            missed = itertools.takewhile(lambda e: e.version > since, reversed(self.past))
            for past in reversed(list(missed)):
                call(past.event())
        number = self._last = self._last + 1
        self._watchers[number] = call
        return lambda: self._watchers.pop(number, None) and None
