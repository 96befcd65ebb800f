"""A list and a watch of it, begun again after the server's restart; nothing is missed, nothing is polled."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from labkit import client

Object = dict[str, Any]
SECONDS = 60  # of one watch; a connection that has died without a word is noticed after them


class Watcher:
    """Calls `listed(objects)` and then `changed(type, object)` for each change, in a thread, until it is stopped.

    `silent_since` is when the server stopped answering (time.monotonic), None while it answers; `refused` says why the
    cluster does not allow this watch, '' where it does.
    """

    def __init__(
        self,
        listing: Callable[..., Any],
        listed: Callable[[list[Object]], None],
        changed: Callable[[str, Object], None],
        **options: Any,
    ) -> None:
        self.listing, self.listed, self.changed, self.options = listing, listed, changed, options
        self.silent_since: float | None = None
        self.refused = ""
        self._stopped = threading.Event()
        self._answer: Any = None

    def start(self) -> None:
        """Watch, in a thread of its own."""
        threading.Thread(target=self._run, daemon=True, name="watcher").start()

    def stop(self) -> None:
        """End the watch and its connection."""
        self._stopped.set()
        if answer := self._answer:
            with contextlib.suppress(Exception):  # it has ended by itself
                answer.shutdown()

    def objects(self) -> list[Object]:
        """What there is now, without a watch."""
        return objects(self.listing, **self.options)

    def _run(self) -> None:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        version = ""
        while not self._stopped.is_set():
            try:
                version = self._watch(version or self._list())
            except ApiException as error:
                version = ""
                if error.status in (401, 403, 404):
                    self.refused = f"{error.status} {error.reason}"
                    return
                self._stopped.wait(0.2)  # 410: what the watch began with is too old
            except (HTTPError, OSError, ValueError):  # no answer, or one that was cut off
                self.silent_since = self.silent_since or time.monotonic()
                self._stopped.wait(0.2)

    def _list(self) -> str:
        page = _page(self.listing, **self.options)
        self.silent_since = None
        self.listed(page.get("items") or [])
        return str(page["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        """Pass on changes until the server ends the watch; returns the version of the last one."""
        asked = {"watch": True, "resource_version": version, "timeout_seconds": SECONDS, "_preload_content": False}
        with contextlib.closing(self.listing(**self.options, **asked)) as self._answer:
            self.silent_since = None
            for line in _lines(self._answer):
                event = json.loads(line)
                if self._stopped.is_set():
                    break
                if event["type"] == "ERROR":
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self.changed(event["type"], event["object"])
        return version


def objects(listing: Callable[..., Any], **options: Any) -> list[Object]:
    """What there is now, as the API has it."""
    items: list[Object] = _page(listing, **options).get("items") or []
    return items


def _page(listing: Callable[..., Any], **options: Any) -> Object:
    found: Object = json.loads(listing(**options, _preload_content=False).data)
    return found


def _lines(answer: Any) -> Iterator[bytes]:
    rest = b""
    for piece in answer.stream(amt=None, decode_content=True):
        *whole, rest = (rest + piece).split(b"\n")
        yield from filter(None, whole)


def listing(kind: str) -> Callable[..., Any]:
    """The official client's call that lists objects of that kind: pods, events, nodes, workflows."""
    from kubernetes.client import CoreV1Api, CustomObjectsApi

    core = CoreV1Api(client.api())
    calls: dict[str, Callable[..., Any]] = {
        "pods": core.list_namespaced_pod,
        "all pods": core.list_pod_for_all_namespaces,
        "events": core.list_namespaced_event,
        "nodes": core.list_node,
        "workflows": CustomObjectsApi(client.api()).list_namespaced_custom_object,
    }
    return calls[kind]


WORKFLOWS = {"group": "argoproj.io", "version": "v1alpha1", "plural": "workflows"}
