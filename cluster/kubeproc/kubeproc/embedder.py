"""The embedder is the program that runs a cluster as a part of itself, such as labkit: its commands and its pods'
image.

An error for an unsupported feature says where the feature is available, and a hint names a command; both texts come
from the embedder. `engine.up` writes them to `cluster.json`, and the daemons read them from there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Embedder:
    """The defaults are those of `python -m kubeproc`."""

    up: str = "python -m kubeproc up"
    down: str = "python -m kubeproc down"
    purge: str = "python -m kubeproc down --purge"
    status: str = "python -m kubeproc status"
    another: str = "give another folder"  # how to start a second cluster
    elsewhere: str = "use a real cluster"  # where unsupported features are available
    metered: str = "a real cluster has a place for metrics-server"  # where a pod's measured usage is available
    home: str = "choose a folder that you can write to"  # how to put the cluster's folder elsewhere
    image: str = "docker.io/kubeproc/this"  # the image that is this Python environment
    folders: tuple[str, ...] = ()  # folders that pods see besides the system and this environment
    info: dict[str, Any] = field(default_factory=dict)  # extra entries of cluster.json


_current = Embedder()


def use(embedder: Embedder) -> None:
    """Use this embedder's texts in all later messages of this process."""
    global _current
    _current = embedder


def current() -> Embedder:
    return _current


def saved(embedder: Embedder) -> dict[str, Any]:
    """The part of `cluster.json` that `restored` reads."""
    return embedder.info | {"embedder": {k: v for k, v in asdict(embedder).items() if k != "info"}}


def restored(info: dict[str, Any]) -> Embedder:
    """The embedder that `cluster.json` describes; values that an older version did not write get their defaults."""
    known = {f.name for f in fields(Embedder)}
    said = {name: value for name, value in info.get("embedder", {}).items() if name in known}
    return Embedder(**said | {"folders": tuple(said.get("folders", ()))})


def unsupported(what: str, why: str = "") -> str:
    """The message for an unsupported feature: its name, the reason, and where it is available."""
    more = f" ({why})" if why else ""
    return f"{what}: not supported by the embedded cluster{more}; {_current.elsewhere}"
