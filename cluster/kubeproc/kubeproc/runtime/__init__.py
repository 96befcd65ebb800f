"""Starts programs in containers of their own; knows nothing of Kubernetes.

`runtime.Runtime` is the entry point. `launch` has the data types, `paths` translates container paths to host paths,
`images` resolves image names, `limits` measures memory. `namespaces` is the isolation: it runs in forked children of
`kubeproc.warm`, whose memory counts, so the names below are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeproc.runtime.launch import Exit, Launch, Mount, Process, SpawnError
    from kubeproc.runtime.runtime import Runtime

__all__ = ["Exit", "Launch", "Mount", "Process", "Runtime", "SpawnError"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    module = "runtime" if name == "Runtime" else "launch"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
