"""`cluster.json`: the settings of a cluster, known even while it does not run. It belongs to no engine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from kubeproc import embedder
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder


def read(folder: ClusterFolder) -> dict[str, Any]:
    """The content of `cluster.json`; empty if there is no cluster."""
    try:
        info: dict[str, Any] = json.loads(folder.info.read_text())
        return info
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HintedError(f"{folder.info} can't be read: {error.strerror}", embedder.current().home) from error
    except ValueError as error:
        hint = f"{embedder.current().purge}, then {embedder.current().up}"
        raise HintedError(f"{folder.info} is damaged: {error}", hint) from error


def write(folder: ClusterFolder, info: dict[str, Any]) -> None:
    new = folder.info.with_suffix(".new")
    new.write_text(json.dumps(info, indent=1))
    new.replace(folder.info)


def delete(root: Path) -> None:
    """Delete a cluster's folder, whatever permissions its pods have left in it."""
    shutil.rmtree(root, onerror=_delete_by_force)


def _delete_by_force(function: Any, path: str, _error: Any) -> None:
    """Retry an operation that a missing permission prevented; a link's target keeps its permissions."""
    os.chmod(os.path.dirname(path), 0o700)
    if not os.path.islink(path):
        os.chmod(path, 0o700)
    function(path)
