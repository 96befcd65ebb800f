"""A workflow followed to its end: one figure, redrawn in place, that stays as it was last.

Under `labkit run` nobody looks: only the last state is drawn.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

from labkit import client
from labkit.errors import LabError
from labkit.plotting.labels import name as task_name
from labkit.plotting.tasks import tasks
from labkit.plotting.timeline import rows
from labkit.show.family import name_all
from labkit.show.picture import expected, picture
from labkit.show.recorder import Recorder
from labkit.show.watching import WORKFLOWS, Watcher, listing

Object = dict[str, Any]
REDRAW_SECONDS = 1.0
SHARE = 5  # a redraw takes at most one part in so many of the time
PATIENCE = 60  # seconds that the cluster may be silent
FINAL = ("Succeeded", "Failed", "Error")


class Stopped(KeyboardInterrupt):
    """The watch was interrupted, by Ctrl-C or JupyterLab's stop button; the workflow was not."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of a traceback."""
        return [str(self)]


class Followed(tuple[Object, Recorder]):
    """A workflow and its pods' history: `workflow, pods = show.follow(name)`."""

    def __repr__(self) -> str:
        workflow, pods = self
        return f"workflow {workflow['metadata']['name']}: {phase(workflow) or 'Pending'}, {len(pods.history)} pods"


_last: list[tuple[str, str]] = []  # name and namespace of what was followed last


def phase(workflow: Object) -> str:
    """The workflow's phase, '' before its controller has seen it."""
    return (workflow.get("status") or {}).get("phase") or ""


def follow(name: str, *, timeout: float = 600, namespace: str | None = None) -> Followed:
    """Watch a workflow to its end, drawing its tasks and its pods as they change; returns it with the pods' history.

    One that has ended is drawn once, with the history that the cluster remembers. LabError if no workflow has that name,
    when it has not ended after `timeout` seconds, or when the cluster has stopped answering. Interrupting it ends the
    watch, not the workflow.
    """
    space = namespace or client.namespace()
    try:
        view = _View(_workflow(name, space), space)
        _last[:] = [(name, space)]
        with view.recorder:
            view.run(time.monotonic() + timeout, timeout)
    except KeyboardInterrupt:
        raise Stopped(
            f"stopped watching; the workflow goes on: labkit.show.follow({name!r}) watches it again, "
            f"labkit.client.stop({name!r}) ends it"
        ) from None
    return Followed((view.workflow, view.recorder))


def again(name: str | None = None, *, namespace: str | None = None) -> Followed:
    """Draw once more the workflow `name`, or the one that was followed last, as it is now; returns what `follow` does.

    It waits for nothing: use it where an output was lost, with a closed tab or a restarted kernel.
    """
    if name is None:
        if not _last:
            raise LabError("this notebook has not followed a workflow", "name one: `kubectl get workflows` lists them")
        name, namespace = _last[0]
    space = namespace or client.namespace()
    view = _View(_workflow(name, space), space)
    view.draw(last=True)
    return Followed((view.workflow, view.recorder))


def _workflow(name: str, namespace: str) -> Object:
    found = client.get("workflow", name, namespace=namespace)
    if found is None:
        raise LabError(
            f"there is no workflow {name!r} in the namespace {namespace!r}", client.known("workflow", name, namespace)
        )
    return found


class _View:
    """One figure of one workflow: what it shows, and its place in the notebook."""

    def __init__(self, workflow: Object, namespace: str) -> None:
        self.workflow = workflow
        self.name = workflow["metadata"]["name"]
        self.namespace = namespace
        self.deleted = False
        self.quiet = "LABKIT_RUN" in os.environ
        self.changed = threading.Event()
        self.recorder = Recorder(namespace, changed=self.changed.set, workflow=workflow)
        self.recorder.refresh()
        self.slots = 0 if phase(workflow) in FINAL else expected(workflow)
        self.handle: Any = None
        self.drawn_at = self.took = 0.0

    def run(self, deadline: float, timeout: float) -> None:
        """Redraw the figure until the workflow has ended."""
        only = {"field_selector": f"metadata.name={self.name}", "namespace": self.namespace}
        watcher = Watcher(listing("workflows"), self._listed, self._changed, **WORKFLOWS, **only)
        watcher.start()
        try:
            while phase(self.workflow) not in FINAL:
                self.changed.wait(REDRAW_SECONDS)
                self.changed.clear()
                self._check(watcher, deadline, timeout)
                self.recorder.take(self.workflow)
                if not self.quiet and time.monotonic() - self.drawn_at > max(REDRAW_SECONDS, SHARE * self.took):
                    self.draw()
        finally:
            watcher.stop()
        self.draw(last=True)

    def _listed(self, found: list[Object]) -> None:
        for each in found:
            self._changed("ADDED", each)
        if all(each["metadata"]["uid"] != self.workflow["metadata"]["uid"] for each in found):
            self.deleted = True  # while the watch was away; there may be another one of its name

    def _changed(self, type_: str, found: Object) -> None:
        if found["metadata"]["uid"] == self.workflow["metadata"]["uid"]:
            self.workflow, self.deleted = found, type_ == "DELETED"
        self.changed.set()

    def _check(self, watcher: Watcher, deadline: float, timeout: float) -> None:
        if self.deleted and phase(self.workflow) not in FINAL:
            raise LabError(f"workflow {self.name} was deleted while it was followed", "submit it again")
        if watcher.refused:
            raise LabError(
                f"workflow {self.name} can't be watched: {watcher.refused}",
                f"`kubectl auth can-i --list -n {self.namespace}` shows what you may do there",
            )
        if watcher.silent_since and time.monotonic() - watcher.silent_since > PATIENCE:
            if not self.quiet:
                self.draw()  # what stays in the notebook says so, too
            raise LabError(
                f"the cluster has not answered for {PATIENCE} s",
                "`labkit status` shows what runs, `labkit up` starts it again",
            )
        if time.monotonic() > deadline:
            raise LabError(
                f"workflow {self.name} has not ended after {timeout:g} s",
                f"`kubectl describe workflow {self.name}` shows what it waits for; labkit.client.stop({self.name!r}) ends it",
            )

    def draw(self, last: bool = False) -> None:
        """Draw the figure in its place."""
        from IPython.display import display
        from matplotlib import pyplot

        begun = time.monotonic()
        if last:
            self.recorder.take(self.workflow)
            self.recorder.refresh()
        pods = self.recorder.history
        assert self.recorder.family
        name_all(pods, self.recorder.family)
        goes_on = phase(self.workflow) not in FINAL
        # One that was looked at keeps its size, unless in the end its rows would be too thin to read.
        slots = self.slots if goes_on or self.handle else 0
        if slots and not goes_on:
            slots = max(slots, len(rows(pods.values())))
        figure = picture(self.workflow, pods, time.time() if goes_on else None, slots, list(self._notes(goes_on)))
        if self.handle is None:
            self.handle = display(figure, display_id=True)
        else:
            self.handle.update(figure)
        pyplot.close(figure)
        self.drawn_at = time.monotonic()
        self.took = self.drawn_at - begun

    def _notes(self, goes_on: bool) -> Iterator[str]:
        """What stands in the workflow's way, most important first."""
        if goes_on and (silent := self.recorder.silent_since):
            yield f"The cluster has not answered for {time.monotonic() - silent:.0f} s: `labkit up` starts it again."
        if goes_on:
            for node, trouble in sorted(self.recorder.troubles.items()):
                yield f"The node {node} is not ready: {trouble} (labkit up, or labkit node start {node})"
            reasons = self.recorder.reasons()
            for uid, pod in list(self.recorder.history.items()):
                if reasons.get(uid):
                    yield f"{pod.label} waits: {reasons[uid]}"
        if not goes_on and phase(self.workflow) != "Succeeded" and (self.workflow["status"].get("message")):
            yield str(self.workflow["status"]["message"])
        for task in tasks(self.workflow).values():
            if task.get("phase") in ("Failed", "Error") and task.get("message"):
                yield f"{task_name(task)} failed: {task['message']}"
            elif goes_on and task.get("phase") == "Pending" and task.get("message") and not self._seen(task):
                yield f"{task_name(task)} waits: {task['message']}"

    def _seen(self, node: Object) -> bool:
        return any(pod.label == task_name(node) for pod in self.recorder.history.values())
