"""Where labkit keeps things: one folder for each cluster below `$LABKIT_HOME`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def home() -> Path:
    """`$LABKIT_HOME`, by default `~/.local/share/labkit`."""
    return Path(os.environ.get("LABKIT_HOME") or "~/.local/share/labkit").expanduser()


@dataclass(frozen=True)
class ClusterFolder:
    """The files of one cluster; nothing is created here."""

    root: Path

    @property
    def info(self) -> Path:
        return self.root / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def ca(self) -> Path:
        return self.root / "ca.crt"

    @property
    def certificate(self) -> Path:
        return self.root / "server.crt"

    @property
    def key(self) -> Path:
        return self.root / "server.key"

    @property
    def tokens(self) -> Path:
        return self.root / "tokens.json"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def kubelet_socket(self) -> Path:
        return self.run / "kubelet.sock"


def cluster(name: str = "labkit") -> ClusterFolder:
    return ClusterFolder(home() / "clusters" / name)


def portable() -> bool:
    """Whether to do without what only Linux has: set by `LABKIT_PORTABLE=1`, and everywhere but on Linux."""
    return os.environ.get("LABKIT_PORTABLE") == "1" or not Path("/proc/self/ns").exists()
