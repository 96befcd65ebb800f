"""Starts programs in containers of their own; knows nothing of Kubernetes.

`runtime.Runtime` is the way in. `launch` has the words, `paths` what a container's path means on the host, `images` what
an image's name means here, `limits` the memory in use. `namespaces` is the isolation: it runs in forked children of
`labkit.warm`, whose memory counts, so the names below are imported when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.embedded.runtime.launch import Exit, Launch, Mount, Process, SpawnError
    from labkit.embedded.runtime.runtime import Runtime

__all__ = ["Exit", "Launch", "Mount", "Process", "Runtime", "SpawnError"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    module = "runtime" if name == "Runtime" else "launch"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
