"""Image names on this machine, which pulls no images.

The lab image is this Python environment. A few small public images stand for the host's shell and Python, so that
upstream's examples run; the executor image of Argo Workflows is built in, for the containers that its controller
creates. Any other image is not available here, nor is a tag that such an image does not have (`tags`); the error says
what to do. References are normalised as Docker does: `docker.io/library/` and `:latest` are implied.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
from dataclasses import dataclass, field

from kubeproc import embedder
from kubeproc.errors import HintedError
from kubeproc.runtime import tags

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REFERENCE = re.compile(
    r"(?P<name>[a-z0-9]+(?:(?:[._]|__|-+|/|:(?=\d+/))[a-z0-9]+)*)(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>\w+:[0-9a-f]{32,}))?"
)
SHELLS = {"busybox": "sh", "alpine": "/bin/sh", "bash": "bash"}
OFFICIAL = ("docker.io/library", "registry.k8s.io", "public.ecr.aws/docker/library")
PYTHON = "docker.io/library/python"
EXECUTOR = "argoproj/argoexec"
IN_KUBELET = "executor"  # the kind of an image whose containers run inside the kubelet


@dataclass(frozen=True)
class Image:
    """`kind` is "lab" (this environment), "python" (this interpreter), "shell" (the host's programs) or "executor".

    `note` becomes an event if the image only stands in for the requested one.
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
        """Whether its Python programs can be forked from the warm parent."""
        return self.kind in ("lab", "python")


class ImageError(HintedError):
    """An image that is not available. `reason` is the container's waiting reason; `message` is the message of its
    event."""

    def __init__(self, reason: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.reason = reason


def resolve(reference: str, pull_policy: str = "IfNotPresent", executor: bool = False) -> Image:
    """The image behind a reference. With `executor` Argo's image is the built-in executor, otherwise an ordinary image.

    Raises ImageError: InvalidImageName, ErrImageNeverPull (policy Never) or ErrImagePull; a kubelet repeats the last one
    as ImagePullBackOff with `back_off(reference)`.
    """
    name = normalise(reference)
    repository, tag = split(name)
    if repository == embedder.current().image:
        return image(name, "lab", cmd=("python3",))
    registry, _, base = repository.rpartition("/")
    public = registry in OFFICIAL and (base in SHELLS or repository == PYTHON)
    if public and tags.exists(base, tag):
        if repository == PYTHON:
            return image(name, "python", cmd=("python3",), note=stand_in(reference, tag))
        return image(name, "shell", cmd=(SHELLS[base],))
    if executor and repository.endswith("/" + EXECUTOR):
        return image(name, IN_KUBELET, entrypoint=("argoexec",))
    if pull_policy == "Never":
        text = f'Container image "{reference}" is not present with pull policy of Never'
        raise ImageError("ErrImageNeverPull", text, hint())
    if public:
        text = f"{_failed(reference)}{name}: not found: {base} has no tag {tag!r}"
        raise ImageError("ErrImagePull", text, f"use a tag that {base} has, such as latest")
    text = f"{_failed(reference)}the embedded engine does not pull images; {hint()}"
    raise ImageError("ErrImagePull", text, hint())


def back_off(reference: str) -> str:
    """The message of a container that waits in ImagePullBackOff: the same reason as that of ErrImagePull."""
    try:
        resolve(reference)
    except ImageError as error:
        return f'Back-off pulling image "{reference}": {error.message.removeprefix(_failed(reference))}'
    raise ValueError(f"{reference} is available")


def _failed(reference: str) -> str:
    return f'Failed to pull image "{reference}": '


def hint() -> str:
    own = embedder.current().image.removeprefix("docker.io/")
    return (
        f"use {own}:1, python, busybox, alpine or bash, which stand for this machine's programs, "
        f"or {embedder.current().elsewhere}"
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
    """The note for a request for a different Python version."""
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
