"""The folder of a report. It is never the notebooks' own, never holds other people's files, and belongs to one run at a time.

A run replaces an earlier report whole, and knows it by its `report.json`, which lists the executed notebooks. A run writes
that file first, so that a run that is killed leaves a report, too. All other files in the folder are treated as somebody's work.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from labkit.errors import LabError

INDEX = "report.json"
NOTEBOOKS = "notebooks"
OWN = frozenset({INDEX, "junit.xml", "report.html", "kernels.log"})
LITTER = frozenset({".ipynb_checkpoints", ".DS_Store"})  # what JupyterLab and macOS leave where somebody looks
ANOTHER = "name another folder with --out, as in --out report"


def executed(name: str) -> str:
    """Where a notebook's executed copy is, below the report's folder."""
    return f"{NOTEBOOKS}/{name}.ipynb"


def index(folder: Path) -> list[str] | None:
    """The executed notebooks of the report in a folder, as paths below it; None where there is no report."""
    try:
        found: Any = json.loads((folder / INDEX).read_bytes())
        paths = [PurePath(each["path"]) for each in found["notebooks"]]
        below = [str(path) for path in paths if path.parts[:1] == (NOTEBOOKS,) and ".." not in path.parts]
        return below if "labkit" in found["versions"] else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


@contextmanager
def claimed(out: str | Path, sources: Collection[Path], names: Collection[str], force: bool = False) -> Iterator[Path]:
    """The folder of a report on the notebooks `sources`, made, cleared of an earlier report, and this run's alone;
    LabError, with nothing changed, where it is not fit for that. With `force` other people's files may be in it: they stay,
    but for those that have the name of one of the report's.
    """
    folder = _resolved(out)
    _refuse_overlap(folder, out, sources)
    for above in folder.parents:
        if index(above) is not None:
            raise LabError(f"--out {out} is inside the report {above}", ANOTHER)
    with _readable_errors(out):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, out):
        with _readable_errors(out):
            _refuse_strangers(folder, out, force)
            _refuse_links(folder, names)
            _clear(folder, names)
            (folder / NOTEBOOKS).mkdir(exist_ok=True)
        yield folder


@contextmanager
def _readable_errors(out: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LabError(f"--out {out} can't be written: {error.strerror or error}", ANOTHER) from error


def _resolved(out: str | Path) -> Path:
    if not str(out).strip():
        raise LabError("--out is empty", "name the report's folder, as in --out report")
    try:
        folder = Path(os.path.realpath(out))
    except (OSError, ValueError) as error:  # a NUL
        raise LabError(f"--out {out} is not a folder: {error}", ANOTHER) from error
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise LabError(f"--out {out} is a file", ANOTHER)
    return folder


def _refuse_overlap(folder: Path, out: str | Path, sources: Collection[Path]) -> None:
    """By the folders' identity: a link, another spelling and a file system that ignores case lead to the same one."""
    for source in sources:
        above = {*Path(os.path.abspath(source)).parents, *Path(os.path.realpath(source)).parents}
        if folder in above or any(_same(folder, parent) for parent in above):
            raise LabError(f"--out {out} holds {source}, which the run would overwrite", ANOTHER)


def _same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return False


@contextmanager
def _locked(folder: Path, out: str | Path) -> Iterator[None]:
    """The lock ends with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(f"another run writes to --out {out}", "wait for its end, or " + ANOTHER) from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def _refuse_strangers(folder: Path, out: str | Path, force: bool) -> None:
    strangers = _strangers(folder)
    if strangers and not force:
        first = ", ".join(strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        kind = "holds no report" if index(folder) is None else "holds more than a report"
        raise LabError(f"--out {out} is not empty and {kind}: {first}", f"{ANOTHER}, or keep these files with --force")


def _strangers(folder: Path) -> list[str]:
    """Some files below a folder that are not a report's."""
    listed = index(folder)
    own = set() if listed is None else {*OWN, *listed}
    found: list[str] = []
    for place, folders, files in os.walk(folder, onerror=_fail):
        folders[:] = [each for each in folders if each not in LITTER]
        links = [each for each in folders if Path(place, each).is_symlink()]
        paths = [Path(place, each).relative_to(folder) for each in sorted([*files, *links])]
        found += [str(path) for path in paths if path.as_posix() not in own and not _litter(path)]
        if len(found) > 3:
            break
    return found


def _litter(path: Path) -> bool:
    """Also the draft of a file that a killed run was about to write."""
    return path.name in LITTER or any(path.name.startswith(f".{own}.") for own in OWN)


def _fail(error: OSError) -> None:
    raise error


def _refuse_links(folder: Path, names: Collection[str]) -> None:
    """Executed notebooks are not written through a link into another folder."""
    for path in {parent for name in names for parent in PurePath(executed(name)).parents}:
        if (folder / path).is_symlink():
            raise LabError(f"{folder / path} is a link", ANOTHER)


def _clear(folder: Path, names: Collection[str]) -> None:
    """Remove an earlier report, and what has the name of a file that this one will have."""
    for path in {*OWN, *(index(folder) or []), *map(executed, names)}:
        if (folder / path).parent.resolve().is_relative_to(folder):
            (folder / path).unlink(missing_ok=True)
    for place, folders, files in os.walk(folder / NOTEBOOKS, topdown=False):
        for name in LITTER.intersection(folders):
            shutil.rmtree(Path(place, name), ignore_errors=True)
        for name in LITTER.intersection(files):
            Path(place, name).unlink()
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(place)
    for draft in [path for path in folder.iterdir() if path.is_file() and _litter(path)]:
        draft.unlink()
