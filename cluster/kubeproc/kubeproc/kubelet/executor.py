"""What the kubelet and Argo's executor agree on.

The containers `init` and `wait` of a workflow's pod, and `main` of a resource template, are no programs: the kubelet awaits
`Executor.run` in their place. The outcome's code becomes the container's exit code, its message the termination message;
cancelling the call ends the container. `Files` is what the kubelet lends the executor of one pod: its paths, logs and ends
of containers, and a client of the API that acts as the pod's service account. The process that starts the kubelet hands the
executor in; see `argo.executor.task` for what the executor reads from a pod.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import httpx

Object = dict[str, Any]


class Files(Protocol):
    """What the kubelet lends the executor of one pod."""

    api: httpx.AsyncClient  # bound to the server, with the pod's service account
    home: Path  # the cluster's folder

    def path(self, container: str, path: str) -> Path:
        """Where a path of the container lies on this host, through the container's mounts."""
        ...

    def translate(self, container: str, text: str) -> str:
        """The text of a program with translated paths; unchanged where paths are not translated."""
        ...

    def log(self, container: str) -> Path:
        """The container's log, in CRI's format."""
        ...

    async def finished(self, container: str) -> int:
        """The container's exit code, once it has ended."""
        ...

    async def may_report(self) -> bool:
        """Whether the pod's account is known to be allowed to create WorkflowTaskResults, now or a few seconds ago."""
        ...

    async def secret(self, name: str) -> Object | None:
        """A Secret of the pod's namespace, read with the kubelet's own rights; None if it does not exist."""
        ...


class Outcome(Protocol):
    """How a container of the executor ended."""

    @property
    def code(self) -> int: ...

    @property
    def message(self) -> str: ...


class Executor(Protocol):
    """What runs the containers that are no programs."""

    def owns(self, pod: Object, container: str) -> bool:
        """Whether a container of `pod` with the executor's image belongs to the executor."""
        ...

    def paths(self, pod: Object) -> tuple[str, ...]:
        """The container's paths that the executor reads or writes in `pod`."""
        ...

    def at_term(self, container: str) -> tuple[int, str] | None:
        """The exit code and message with which the container ends at a TERM; None if it ignores TERM."""
        ...

    async def run(self, pod: Object, container: str, files: Files) -> Outcome:
        """Do the container's work."""
        ...
