"""Live views of a cluster at work: a workflow and its pods while they run, and `labkit status --watch`.

A view is a watch: nothing is polled. In a notebook one figure is redrawn in place and its last state stays; under
`labkit run` only the last state is drawn.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from labkit import client, plotting
from labkit.errors import LabError

REDRAW_SECONDS = 1.0
FINAL = ("Succeeded", "Failed", "Error")


class Recorder:
    """Watches the pods of a namespace (or of all) and keeps when each was seen in which phase, but for those that had
    ended before.

    `history` is {pod: [(seconds since the epoch, phase), ...]}. The times are of this process, so they are finer than the
    whole seconds of the objects' own timestamps.
    """

    def __init__(self, namespace: str | None = None, everywhere: bool = False, changed: Any = None) -> None:
        self.namespace = None if everywhere else namespace or client.namespace()
        self.history: dict[str, list[tuple[float, str]]] = {}
        self.changed = changed or (lambda: None)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="recorder")

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        from kubernetes.client import CoreV1Api
        from kubernetes.watch import Watch
        from urllib3.exceptions import HTTPError

        core = CoreV1Api(client.api())
        listing = core.list_namespaced_pod if self.namespace else core.list_pod_for_all_namespaces
        where = {"namespace": self.namespace} if self.namespace else {}
        while not self._stopped.is_set():
            try:
                for event in Watch().stream(listing, timeout_seconds=30, **where):
                    if self._stopped.is_set():
                        return
                    self._note(event["type"], event["raw_object"])
            except (HTTPError, ConnectionError):
                self._stopped.wait(0.2)  # the server is being started again

    def _note(self, type_: str, pod: dict[str, Any]) -> None:
        # How a pod ends that was told to go says nothing of its work: from then on it counts as deleted.
        going = type_ == "DELETED" or "deletionTimestamp" in pod["metadata"]
        phase = "Deleted" if going else (pod.get("status") or {}).get("phase", "Pending")
        name = pod["metadata"]["name"]
        if name not in self.history and phase in ("Succeeded", "Failed", "Deleted"):
            return
        changes = self.history.setdefault(name, [])
        if not changes or changes[-1][1] not in (phase, "Deleted"):
            changes.append((time.time(), phase))
            self.changed()


def follow(name: str, *, timeout: float = 600, namespace: str | None = None) -> tuple[dict[str, Any], Recorder]:
    """Watch a workflow to its end, drawing its tasks and its pods as they change; returns it with the pods' history.

    LabError when it has not ended after `timeout` seconds.
    """
    space = namespace or client.namespace()
    updates: queue.Queue[dict[str, Any]] = queue.Queue()
    latest: dict[str, Any] = {}
    deadline = time.monotonic() + timeout
    with Recorder(space) as recorder, _Canvas() as canvas:
        threading.Thread(target=_workflow_changes, args=(name, space, timeout, updates), daemon=True).start()
        while (latest.get("status") or {}).get("phase") not in FINAL:
            with contextlib.suppress(queue.Empty):
                latest = _newest(updates, REDRAW_SECONDS) or latest
            if isinstance(latest.get("error"), LabError):
                raise latest["error"]
            if time.monotonic() > deadline:
                raise LabError(
                    f"workflow {name} has not ended after {timeout:g} s", f"kubectl describe workflow {name}"
                )
            canvas.draw(latest, recorder.history)
        canvas.draw(latest, recorder.history, last=True)
    return latest, recorder


def _newest(updates: queue.Queue[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """The last of the updates that are there, waiting for the first."""
    newest = updates.get(timeout=seconds)
    while not updates.empty():
        newest = updates.get_nowait()
    return newest


def _workflow_changes(name: str, namespace: str, timeout: float, updates: queue.Queue[dict[str, Any]]) -> None:
    def seen(workflow: dict[str, Any]) -> bool:
        updates.put(workflow)
        return (workflow.get("status") or {}).get("phase") in FINAL

    try:
        client.wait("workflow", name, seen, timeout=timeout, namespace=namespace, what="its end")
    except LabError as error:
        updates.put({"error": error})


class _Canvas:
    """One figure, redrawn in place: in a notebook through a display handle, nowhere else."""

    def __init__(self) -> None:
        self.quiet = "LABKIT_RUN" in os.environ
        self.handle: Any = None
        self.drawn_at = 0.0

    def __enter__(self) -> _Canvas:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def draw(self, workflow: dict[str, Any], history: dict[str, list[tuple[float, str]]], last: bool = False) -> None:
        if not last and (self.quiet or time.monotonic() - self.drawn_at < REDRAW_SECONDS):
            return
        figure = picture(workflow, history, until=None if last else time.time())
        self._show(figure)
        self.drawn_at = time.monotonic()

    def _show(self, figure: Any) -> None:
        from IPython.display import display
        from matplotlib import pyplot

        if self.handle is None:
            self.handle = display(figure, display_id=True)
        else:
            self.handle.update(figure)
        pyplot.close(figure)


def picture(workflow: dict[str, Any], history: dict[str, list[tuple[float, str]]], until: float | None = None) -> Any:
    """A figure of a workflow's tasks above its pods' timeline."""
    from matplotlib import pyplot

    rows = max(4, len(history))
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(11, 3.6 + 0.18 * rows), height_ratios=(3.2, 0.2 * rows), layout="constrained"
    )
    plotting.workflow(workflow, above)
    plotting.timeline(history, below, until)
    return figure


def watch_status(name: str) -> None:
    """Print the cluster's pods, jobs and workflows, and again whenever one changes, until Ctrl-C."""
    from labkit import cluster

    cluster.use(name)
    changed = threading.Event()
    with Recorder(everywhere=True, changed=changed.set):
        changed.set()
        while True:
            changed.wait()
            changed.clear()
            found = cluster.status(name)
            head = [f"{found['name']}: {found['state']} {found['api']}", *found["notes"]]
            head += [f"node {node}: {state}" for node, state in (found.get("nodes") or {}).items()]
            print("\033[2J\033[H" + "\n".join([*head, *_pod_lines()]), flush=True)


def _pod_lines() -> Iterator[str]:
    from kubernetes.client import CoreV1Api

    for pod in CoreV1Api(client.api()).list_pod_for_all_namespaces().items:
        restarts = sum(c.restart_count for c in pod.status.container_statuses or [])
        yield f"{pod.metadata.namespace:20} {pod.metadata.name:50} {pod.status.phase:10} restarts {restarts}"
