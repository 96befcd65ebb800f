"""A container's paths on the host, and their translation for a program without a mount namespace.

A path is walked component by component through the mounts and the root, symbolic links and `..` included, as inside the
container: an absolute link restarts at the container's root, so no path leaves it. Without namespaces, the container's
own folders and the mounts' targets are replaced in command lines, environment and scripts, as whole path components
only. The replacements appear unquoted in text of any language, so only plain paths are allowed: nothing that a shell
would split. `startup.container_paths`, which gets `view`, handles paths inside Python programs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import posixpath
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import kubeproc
from kubeproc import embedder
from kubeproc.errors import HintedError
from kubeproc.folder import is_plain
from kubeproc.runtime.launch import Launch, Mount
from kubeproc.runtime.namespaces import FOLDERS

SHARED_MEMORY = "/dev/shm"
STARTUP = Path(__file__).parent / "startup"  # on the PYTHONPATH of a container's programs where paths are translated
LINKS = 40  # as the kernel: then ELOOP
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/sys", "/nix")


@functools.cache
def host_binds() -> tuple[str, ...]:
    """Absolute paths of the host that every container sees, read-only, at the same place, links as links."""
    python = {sys.prefix, sys.base_prefix, os.path.dirname(kubeproc.__file__), *embedder.current().folders}
    own = sorted(path for path in python if not below(path, SYSTEM))
    own = [path for path in own if not below(posixpath.dirname(path), own)]
    return tuple(path for path in (*SYSTEM, *own) if os.path.lexists(path))


def cached_data_sets() -> list[Path]:
    """The data sets that Keras has downloaded for the user who runs the cluster. A failed download leaves an empty
    folder, a killed one a file NAME.part."""
    folder = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"
    with contextlib.suppress(OSError):
        return [entry for entry in sorted(folder.iterdir()) if entry.is_file() or _holds(entry)]
    return []


def _holds(folder: Path) -> bool:
    return any(not entry.name.endswith(".part") for entry in folder.iterdir())


def cache_mounts(launch: Launch) -> list[Mount]:
    """Keras' data sets, where programs with this environment (or forked ones, with ours) look for them: in the
    container's own root, not in a volume mounted there."""
    homes = {os.path.expanduser("~"), launch.env.get("HOME") or "/root"}
    folders = [posixpath.join(home, ".keras/datasets") for home in sorted(homes) if home.startswith("/")]
    volumes = [posixpath.normpath(mount.target) for mount in launch.mounts]
    found = [Mount(entry, f"{folder}/{entry.name}", True) for entry in cached_data_sets() for folder in folders]
    return [mount for mount in found if not below(mount.target, volumes)]


def below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def host_path(launch: Launch, path: str) -> Path:
    """The host's path of a container's path (relative ones start at cwd); the last component need not exist.

    Raises HintedError after too many symbolic links.
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
            raise HintedError(f"{path}: too many levels of symbolic links", "look for a link that points to itself")
        if target.startswith("/"):
            done = []
            target = contained(launch, target)
        todo = components(target) + todo
    return located(launch, done)


def components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def located(launch: Launch, parts: list[str]) -> Path:
    """The host's path of components without a link before the last one."""
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

    Raises HintedError for a host path that can't be used in text.
    """
    table = spoken(launch)
    return pattern(tuple(sorted(table)), kept(launch, table)).sub(lambda match: table.get(match[0], match[0]), text)


def spoken(launch: Launch) -> dict[str, str]:
    """The container's paths that are replaced in text, and their replacements."""
    table = {
        posixpath.normpath(mount.target): said(launch, mount.source) for mount in launch.mounts if mount.target != "/"
    }
    for path in ("/tmp", SHARED_MEMORY, *FOLDERS, *launch.paths):  # special characters in these were in the text, too
        table.setdefault(posixpath.normpath(path), said(launch, launch.root) + "/" + path.strip("/"))
    return table


def kept(launch: Launch, table: dict[str, str]) -> tuple[str, ...]:
    """The host's paths that stay unchanged in text."""
    places = [said(launch, launch.root), *table.values(), *host_binds(), sys.prefix]
    return tuple(path for path in places if path not in table)


def view(launch: Launch) -> str:
    """What `container_paths.install` needs to know, as JSON."""
    table = spoken(launch)
    links = str(launch.root.parent / "links")
    sources = [str(mount.source) for mount in launch.mounts]
    caches = {mount.target: str(mount.source) for mount in cache_mounts(launch)}
    home = launch.env.get("HOME") or "/root"  # the program gets its host path
    there = str(host_path(launch, home))
    caches |= {there + target[len(home) :]: source for target, source in caches.items() if below(target, [home])}
    return json.dumps(
        {
            "root": str(launch.root),
            "mounts": {posixpath.normpath(mount.target): str(mount.source) for mount in launch.mounts}
            | {SHARED_MEMORY: str(launch.root) + SHARED_MEMORY},
            "caches": caches,
            "kept": [str(launch.root), links, *sources, *caches.values(), str(STARTUP), sys.prefix],
            "binds": host_binds(),
            "table": table,
            "pattern": pattern(tuple(sorted(table)), kept(launch, table)).pattern,
        }
    )


def own_folders(root: Path) -> None:
    """Create the container's own folders, which a namespace would otherwise create."""
    for path in (SHARED_MEMORY, *FOLDERS):
        root.joinpath(path[1:]).mkdir(parents=True, exist_ok=True)
    for path in (SHARED_MEMORY, "/var/tmp"):
        root.joinpath(path[1:]).chmod(0o1777)


def said(launch: Launch, place: Path) -> str:
    """A host path for use in any text: if it isn't plain (such as a volume's subPath), a link beside the root."""
    if is_plain(place):
        return str(place)
    link = launch.root.parent / "links" / hashlib.sha256(os.fsencode(place)).hexdigest()[:12]
    if not is_plain(link):
        hint = f"the cluster's path may have letters, digits and . _ - + @: {embedder.current().home}"
        raise HintedError(f"{place} can't be used in a program's text", hint)
    link.parent.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(place)
    return str(link)


@functools.lru_cache(maxsize=64)
def pattern(paths: tuple[str, ...], kept: tuple[str, ...]) -> re.Pattern[str]:
    """Matches each path where it begins a path and ends a component, the longest first; a kept host path matches with
    everything below it."""
    begins = r"""(?:(?<![^\s"'=:,;(\[{<>|&`@])|(?<=://))"""
    ends = r"(?![\w+@%~-]|\.[\w.])"
    below = r"(?:/[^\s\"':,;]*)?"
    names = sorted({*paths, *kept}, key=len, reverse=True)
    words = [re.escape(name) + (below if name in kept else "") + ends for name in names]
    return re.compile(f"{begins}(?:{'|'.join(words)})")
