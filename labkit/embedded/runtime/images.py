"""What an image's name means on this machine, where nothing is pulled.

The lab image is the kit's own environment. A few small public images stand for the host's shell and Python, so that
upstream's examples run; the executor image of Argo Workflows is built in, for the containers that its controller makes.
Any other image can't be had here, and its error says what to do. References are normalised as Docker does:
`docker.io/library/` is implied, so is `:latest`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
from dataclasses import dataclass, field

from labkit.errors import LabError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REFERENCE = re.compile(
    r"(?P<name>[a-z0-9]+(?:(?:[._]|__|-+|/|:(?=\d+/))[a-z0-9]+)*)(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>\w+:[0-9a-f]{32,}))?"
)
SHELLS = {"busybox": "sh", "alpine": "/bin/sh", "bash": "bash"}
OFFICIAL = ("docker.io/library", "registry.k8s.io", "public.ecr.aws/docker/library")
LAB = "docker.io/labkit/lab"
PYTHON = "docker.io/library/python"
EXECUTOR = "argoproj/argoexec"


@dataclass(frozen=True)
class Image:
    """`kind` is "lab" (this environment), "python" (this interpreter), "shell" (the host's programs) or "executor".

    `note` is said in an event when the image only stands in for the one that was named.
    """

    reference: str  # normalised
    kind: str
    env: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    id: str = ""
    note: str = ""

    @property
    def warm(self) -> bool:
        """Whether its Python programs may be forked from the warm parent."""
        return self.kind in ("lab", "python")


class ImageError(LabError):
    """An image that can't be had. `reason` is the container's waiting reason; `message` the words of its event."""

    def __init__(self, reason: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.reason = reason


def resolve(reference: str, pull_policy: str = "IfNotPresent", executor: bool = False) -> Image:
    """The image behind a reference. With `executor` Argo's image is the executor that is built in, else one like others.

    Raises ImageError: InvalidImageName, ErrImageNeverPull (policy Never) or ErrImagePull; a kubelet repeats the last one
    as ImagePullBackOff with `back_off(reference)`.
    """
    name = normalise(reference)
    repository, tag = split(name)
    if repository == LAB:
        return image(name, "lab", cmd=("python3",))
    if repository == PYTHON:
        return image(name, "python", cmd=("python3",), note=stand_in(reference, tag))
    registry, _, base = repository.rpartition("/")
    if registry in OFFICIAL and base in SHELLS:
        return image(name, "shell", cmd=(SHELLS[base],))
    if executor and repository.endswith("/" + EXECUTOR):
        return image(name, "executor", entrypoint=("argoexec",))
    if pull_policy == "Never":
        text = f'Container image "{reference}" is not present with pull policy of Never'
        raise ImageError("ErrImageNeverPull", text, hint())
    text = f'Failed to pull image "{reference}": the embedded engine does not pull images; {hint()}'
    raise ImageError("ErrImagePull", text, hint())


def back_off(reference: str) -> str:
    """The message of a container that waits in ImagePullBackOff."""
    return f'Back-off pulling image "{reference}": the embedded engine does not pull images; {hint()}'


def hint() -> str:
    return (
        "use labkit/lab:1, python, busybox, alpine or bash, which stand for this machine's programs, "
        "or `labkit up --engine kind`"
    )


def normalise(reference: str) -> str:
    """`busybox` is `docker.io/library/busybox:latest`. Raises ImageError (InvalidImageName)."""
    match = REFERENCE.fullmatch(reference)
    if match is None:
        text = f'Failed to apply default image tag "{reference}": couldn\'t parse image name: invalid reference format'
        raise ImageError("InvalidImageName", text, "an image is [REGISTRY/]NAME[:TAG], in lower case")
    name = match["name"]
    first, _, rest = name.partition("/")
    if not rest:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    name = name.removeprefix("index.") if first == "index.docker.io" else name
    if name.startswith("docker.io/") and name.count("/") == 1:
        name = name.replace("/", "/library/")
    tag = match["tag"] or ("" if match["digest"] else "latest")
    return name + (f":{tag}" if tag else "") + (f"@{match['digest']}" if match["digest"] else "")


def split(name: str) -> tuple[str, str]:
    """(repository, tag) of a normalised name."""
    name = name.partition("@")[0]
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "")


def image(name: str, kind: str, cmd: tuple[str, ...] = (), entrypoint: tuple[str, ...] = (), note: str = "") -> Image:
    python = kind in ("lab", "python")
    env = {"PATH": f"{os.path.dirname(sys.executable)}:{SYSTEM_PATH}" if python else SYSTEM_PATH, "HOME": "/root"}
    if python:
        env["LANG"] = "C.UTF-8"
    return Image(name, kind, env, entrypoint, cmd, identity(kind, name), note)


def stand_in(reference: str, tag: str) -> str:
    """What to say when another Python than ours was asked for."""
    ours = "{}.{}".format(*sys.version_info[:2])
    asked = re.match(r"\d+(\.\d+)?", tag)
    if asked is None or asked[0] in (ours, ours.partition(".")[0]):
        return ""
    return f'This cluster\'s Python {ours} stands in for image "{reference}"'


@functools.cache
def identity(kind: str, name: str) -> str:
    """A stable digest: the same on every start of the same environment."""
    seed = f"{kind} {name} {sys.version} {sys.prefix}"
    return "sha256:" + hashlib.sha256(seed.encode()).hexdigest()
