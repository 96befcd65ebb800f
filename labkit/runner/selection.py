"""Which notebooks a run has, and the name of each in it: its path below the folder that was given, without the suffix."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.errors import LabError
from labkit.runner import report_folder
from labkit.runner.notebooks import Source, read_or_explain

SUFFIX = ".ipynb"
LONGEST = 255 - len(SUFFIX)  # bytes of a file's name


def find(given: Sequence[str | Path]) -> list[Source]:
    """The notebooks named, and those below the folders named, in the order given; LabError where one does not exist. A file
    that is named twice, or by two spellings, runs once. Hidden folders, virtual environments and the reports of earlier
    runs are left out, unless they are named themselves."""
    found: dict[str, tuple[Path, Path]] = {}
    if not all(map(str, given)):
        raise LabError("a path is empty", "name .ipynb files or folders of them; . is this folder")
    for place in map(Path, given):
        for path in _notebooks(place):
            found.setdefault(
                os.path.realpath(path), (path, path.relative_to(place if os.path.isdir(place) else place.parent))
            )
    paths = [path for path, _ in found.values()]
    return [read_or_explain(path, name) for path, name in zip(paths, _names(list(found.values())), strict=True)]


def _notebooks(place: Path) -> list[Path]:
    if os.path.isdir(place):
        if inside := list(_below(place)):
            return inside
        raise LabError(f"no notebooks in {place}", "name a folder with .ipynb files, or a notebook")
    if place.suffix == SUFFIX and os.path.isfile(place):
        return [place]
    raise LabError(f"{place} is not a notebook", "name .ipynb files or folders of them")


def _below(place: Path) -> Iterator[Path]:
    """In order of their paths; with the folders that can't be read, so that the report names them."""
    entries: list[Path] = []

    def unreadable(error: OSError) -> None:
        entries.append(Path(error.filename))

    for above, folders, files in os.walk(place, onerror=unreadable):
        folders[:] = [each for each in folders if not _left_out(Path(above, each))]
        entries.extend(Path(above, each) for each in files if each.endswith(SUFFIX) and not each.startswith("."))
    yield from sorted(entries)


def _left_out(path: Path) -> bool:
    return path.name.startswith(".") or os.path.exists(path / "pyvenv.cfg") or report_folder.index(path) is not None


def _names(found: Sequence[tuple[Path, Path]]) -> list[str]:
    """Of each path its own name: the one relative to what was given; where two would be the same, all are relative to the
    folder that holds all."""
    names = [_readable(relative) for _, relative in found]
    if _meet(names):
        whole = [Path(os.path.abspath(path)) for path, _ in found]
        top = os.path.commonpath([path.parent for path in whole])
        names = [_readable(path.relative_to(top)) for path in whole]
    while meeting := _meet(names):  # names that are only readable by an escape, or differ in case
        for number, index in enumerate(meeting[1:], start=2):
            names[index] += f"~{number}"
    return names


def _meet(names: Sequence[str]) -> list[int]:
    """The positions of the first name that occurs more than once; file systems may ignore case."""
    lower = [name.casefold() for name in names]
    counts = Counter(lower)
    first = next((name for name in lower if counts[name] > 1), None)
    return [index for index, name in enumerate(lower) if name == first]


def _readable(path: Path) -> str:
    """Without the suffix; as text that every report and terminal can hold: bytes that are not UTF-8, and control
    characters, are escapes."""
    text = os.fsencode(path.as_posix().removesuffix(SUFFIX)).decode("utf-8", "backslashreplace")
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: f"\\x{ord(found[0]):02x}", text)
    return "/".join(map(_short, text.split("/")))


def _short(part: str) -> str:
    """Escapes make some names longer than a file's may be; there is room for a number, too."""
    body = part.encode()
    if len(body) <= LONGEST:
        return part
    return body[: LONGEST - 12].decode(errors="ignore") + "~" + hashlib.sha256(body).hexdigest()[:8]
