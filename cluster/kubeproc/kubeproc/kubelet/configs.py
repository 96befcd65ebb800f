"""A container's own copies of the files of ConfigMaps, where paths are translated.

A script or a server's settings name the container's paths, as its command line does. Each container has another /tmp, so it
gets a translated copy of its own. Python programs stay unchanged, since `runtime.startup` translates for them; so do Secrets
and binary files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kubeproc.errors import HintedError
from kubeproc.kubelet import env
from kubeproc.kubelet.volumes import Files, Volume, content, swap
from kubeproc.runtime.launch import Launch

PYTHON = (".py", ".pyc", ".ipynb")


class Copies:
    """A container's copies of the pod's ConfigMaps, below `folder`; `translate(launch, text)` translates the paths of a text."""

    def __init__(self, folder: Path, translate: Callable[[Launch, str], str]) -> None:
        self.folder, self.translate = folder / "configs", translate

    def volumes(self, shared: Mapping[str, Volume]) -> dict[str, Volume]:
        """The pod's volumes with the copies in place of ConfigMaps. Creates the copies that are missing."""
        out = dict(shared)
        for name, volume in out.items():
            if volume.source == "configMap":
                out[name] = replace(volume, path=self.folder / name)
                if not out[name].path.exists():
                    swap(out[name].path, _files(volume))
        return out

    def write(self, shared: Mapping[str, Volume], launch: Launch) -> None:
        """Bring the copies up to date for the program of `launch`; ConfigError if a text can't hold a path."""
        for name, copy in self.volumes(shared).items():
            if shared[name].source == "configMap":
                files = _files(shared[name]).items()
                swap(copy.path, {path: (self._translated(launch, path, data), mode) for path, (data, mode) in files})

    def rewrite(self, shared: Mapping[str, Volume], launch: Launch) -> None:
        """Update the copies of a running program after a change of a ConfigMap."""
        with contextlib.suppress(env.ConfigError):  # the program keeps the files that it has
            self.write(shared, launch)

    def _translated(self, launch: Launch, path: str, data: bytes) -> bytes:
        if path.endswith(PYTHON):
            return data
        try:
            return self.translate(launch, data.decode()).encode()
        except UnicodeDecodeError:
            return data
        except HintedError as error:
            raise env.ConfigError(str(error)) from error


def _files(volume: Volume) -> Files:
    return content((volume.path / "..data").resolve())
