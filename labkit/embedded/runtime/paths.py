"""Where a path of a container lies on the host, and how to say it to a program that has no mount namespace.

A path is walked component by component through the mounts and the root, symbolic links and `..` included, as the
container would: an absolute link starts again at the container's root, so no path leaves it. Without namespaces, /tmp and
the mounts' targets are replaced in command lines, environment and scripts, as whole path components only. What they are
replaced by stands unquoted in a text of any language, so only plain paths are let in: nothing that a shell would split.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import posixpath
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import labkit
from labkit.embedded.runtime.launch import Launch, Mount
from labkit.errors import LabError
from labkit.paths import is_plain

LINKS = 40  # as the kernel: then ELOOP
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/sys", "/nix")


@functools.cache
def host_binds() -> tuple[str, ...]:
    """Absolute paths of the host that every container sees, read-only, at the same place, links as links."""
    python = {sys.prefix, sys.base_prefix, os.path.dirname(labkit.__file__)}
    own = sorted(path for path in python if not below(path, SYSTEM))
    own = [path for path in own if not below(posixpath.dirname(path), own)]
    return tuple(path for path in (*SYSTEM, *own) if os.path.lexists(path))


@functools.cache
def keras_folder() -> Path | None:
    """Keras' data sets of whoever runs the cluster."""
    folder = Path("~/.keras/datasets").expanduser()
    return folder if folder.is_dir() else None


def cache_mounts(env: dict[str, str]) -> list[Mount]:
    """Keras' data sets, where programs with this environment (or forked ones, with ours) look for them."""
    folder = keras_folder()
    if folder is None:
        return []
    homes = {os.path.expanduser("~"), env.get("HOME") or "/root"}
    return [Mount(folder, f"{home.rstrip('/')}/.keras/datasets", read_only=True) for home in sorted(homes)]


def below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def host_path(launch: Launch, path: str) -> Path:
    """The host's path of a container's path (relative ones start at cwd); the last component need not exist.

    Raises LabError after too many symbolic links.
    """
    todo = components(posixpath.join(launch.cwd or "/", path))
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        here = located(launch, [*done, part])
        try:
            target = os.readlink(here)
        except OSError:
            done.append(part)
            continue
        if (links := links + 1) > LINKS:
            raise LabError(f"{path}: too many levels of symbolic links", "look for a link that leads to itself")
        if target.startswith("/"):
            done = []
            target = contained(launch, target)
        todo = components(target) + todo
    return located(launch, done)


def components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def located(launch: Launch, parts: list[str]) -> Path:
    """The host's path of components that are known to hold no link before the last."""
    path = "/" + "/".join(parts)
    owner = max(
        (mount for mount in launch.mounts if below(path, [posixpath.normpath(mount.target)])),
        key=lambda mount: len(posixpath.normpath(mount.target)),
        default=None,
    )
    if owner:
        rest = path[len(posixpath.normpath(owner.target)) :].lstrip("/")
        return owner.source / rest if rest else owner.source
    if below(path, host_binds()):
        return Path(path)
    return launch.root.joinpath(*parts)


def contained(launch: Launch, target: str) -> str:
    """A link's absolute target as the container's path: a program without a namespace links to host paths."""
    for mount in launch.mounts:
        if below(target, [str(mount.source)]):
            return mount.target + target[len(str(mount.source)) :]
    if below(target, [str(launch.root)]):
        return target[len(str(launch.root)) :] or "/"
    return target


def translate(launch: Launch, text: str) -> str:
    """Replace the container's own paths in a text by the host's: whole components, and never within a host path.

    Raises LabError where a host path can't be said in a text.
    """
    table = {
        posixpath.normpath(mount.target): said(launch, mount.source) for mount in launch.mounts if mount.target != "/"
    }
    for path in ("/tmp", *launch.paths):  # what is special in these was so in the text, too
        table.setdefault(posixpath.normpath(path), said(launch, launch.root) + "/" + path.strip("/"))
    kept = [said(launch, launch.root), *table.values(), *host_binds(), sys.prefix]
    kept = [path for path in kept if path not in table]
    return pattern(tuple(sorted(table)), tuple(kept)).sub(lambda match: table.get(match[0], match[0]), text)


def said(launch: Launch, place: Path) -> str:
    """A host path as it may stand in any text: where it isn't plain (a volume's subPath, say), a link beside the root."""
    if is_plain(place):
        return str(place)
    link = launch.root.parent / "links" / hashlib.sha256(os.fsencode(place)).hexdigest()[:12]
    if not is_plain(link):
        hint = "have the cluster's folder at a path of letters, digits and . _ - + @ (LABKIT_HOME)"
        raise LabError(f"{place} can't be named in a program's text", hint)
    link.parent.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(place)
    return str(link)


@functools.lru_cache(maxsize=64)
def pattern(paths: tuple[str, ...], kept: tuple[str, ...]) -> re.Pattern[str]:
    """Matches each path where it begins a path and ends a component, the longest first; a host path that is kept matches
    with all that is below it."""
    begins = r"""(?:(?<![^\s"'=:,;(\[{<>|&`@])|(?<=://))"""
    ends = r"(?![\w+@%~-]|\.[\w.])"
    below = r"(?:/[^\s\"':,;]*)?"
    names = sorted({*paths, *kept}, key=len, reverse=True)
    words = [re.escape(name) + (below if name in kept else "") + ends for name in names]
    return re.compile(f"{begins}(?:{'|'.join(words)})")
