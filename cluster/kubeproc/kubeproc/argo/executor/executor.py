"""Argo's executor, run by the kubelet in place of a program: the `init` and `wait` containers of every workflow pod, and
`main` of a resource template.

Mechanism. One coroutine for each container. It ends like Argo's program: exit code 0, or 64 with the first error as
termination message, which the controller turns into `Error (exit code 64): ...`. Cancelling the coroutine ends it. On
SIGTERM `init` and `main` end as TERMINATED; `wait` waits for main, which gets the signal, too.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from kubeproc.api_errors import ApiError
from kubeproc.argo.executor import inputs, outputs, resource_action
from kubeproc.argo.executor.task import FAILED, MAIN, Files, Outcome, Task, TaskError, paths, read
from kubeproc.errors import HintedError

Object = dict[str, Any]

__all__ = ["Files", "Outcome", "paths", "run"]

log = logging.getLogger(__name__)


async def init(task: Task) -> list[str]:
    """Stage the script and load the input artifacts."""
    inputs.stage_script(task)
    await inputs.load_artifacts(task)
    return []


async def wait(task: Task) -> list[str]:
    """Wait for main, then report its outputs."""
    await task.files.finished(MAIN)
    if outputs.wanted(task):
        return await outputs.collect(task)
    await outputs.report_nothing(task)
    return []


async def main(task: Task) -> list[str]:
    """The action of a resource template; its log is stored if the repository archives logs, even after a failure."""
    try:
        await resource_action.perform(task)
    finally:
        await outputs.keep_log(task)
    return []


CONTAINERS: dict[str, Callable[[Task], Awaitable[list[str]]]] = {"init": init, "wait": wait, MAIN: main}


async def run(pod: Object, container: str, files: Files) -> Outcome:
    """Do the work of one of the executor's containers in `pod`; returns its outcome."""
    work: Task | None = None
    try:
        work = read(pod, container, files)
        errors = await CONTAINERS[container](work)
    except (TaskError, ApiError, HintedError, OSError) as error:
        errors = [str(error)]
    except Exception as error:  # a bug here must not crash the kubelet: the pod reports it
        log.exception("executor of pod %s, container %s", pod["metadata"]["name"], container)
        errors = [f"executor error: {type(error).__name__}: {error}"]
    if work:
        for message in errors:
            work.log(f"executor error: {message}", "error")
    return Outcome(FAILED, errors[0]) if errors else Outcome()
