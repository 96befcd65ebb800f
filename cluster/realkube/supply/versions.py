"""What is installed: cluster/versions.yaml, read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from labkit import paths
from labkit.errors import LabError

FOLDER = paths.kit() / "cluster"
LAB = "labkit/lab:1"


@dataclass(frozen=True)
class Image:
    """One image: `role` is its name in versions.yaml, `name` what manifests say, `digest` what a registry must give."""

    role: str
    name: str
    digest: str = ""

    @property
    def pull(self) -> str:
        """What to pull: by digest where one is known."""
        return f"{self.name.rpartition(':')[0]}@{self.digest}" if self.digest else self.name


@cache
def table() -> dict[str, Any]:
    """The file's content; LabError where labkit was copied without it."""
    try:
        found: dict[str, Any] = yaml.safe_load((FOLDER / "versions.yaml").read_text())
    except OSError as error:
        raise LabError(
            f"{FOLDER / 'versions.yaml'} is not there: {error.strerror}", "pip install . in a checkout of the kit"
        ) from error
    return found


def _image(role: str, entry: dict[str, str]) -> Image:
    return Image(role, entry["image"], entry.get("digest") or "")


def images() -> dict[str, Image]:
    """The operators' images and the notebooks' small ones, by role."""
    return {role: _image(role, entry) for role, entry in table()["images"].items()}


def base() -> Image:
    """What the lab image is built on."""
    return _image("base", table()["lab"]["base"])


def node(kubernetes: str | None = None) -> Image:
    """The node image of a Kubernetes version (`1.34`, `v1.34.0`); LabError names those supported."""
    known = table()["kubernetes"]["nodes"]
    wanted = (kubernetes or table()["kubernetes"]["default"]).removeprefix("v")
    minor = ".".join(wanted.split(".")[:2])
    if minor not in known or (wanted != minor and not known[minor]["image"].endswith(f":v{wanted}")):
        have = ", ".join(f"{m} ({known[m]['image'].rpartition(':')[2]})" for m in known)
        raise LabError(f"Kubernetes {kubernetes} is not supported", f"choose one of {have} with --kubernetes")
    return _image("node", known[minor])


def minor(kubernetes: str | None) -> str:
    """`1.34` of whatever was asked."""
    return ".".join((kubernetes or table()["kubernetes"]["default"]).removeprefix("v").split(".")[:2])
