"""`labkit reset NOTEBOOK EXERCISE`: a student's exercise as it was handed out. What stood there is kept in a file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit import paths
from labkit.errors import LabError
from labkit.grading.release import student_version
from labkit.runner.report import replace
from labkit.runner.swift import nbformat

CHECK = "-check"  # what the grade_id of an exercise's check ends with
FOLDERS = ("", "notebooks", "~/labkit-work/notebooks")  # where a notebook is looked for that is named without a folder


@dataclass(frozen=True)
class Reset:
    """The cells of a notebook that were reset, and the file that keeps their old text (None if they were as handed out)."""

    notebook: Path
    cells: list[str]
    kept: Path | None


def reset(notebook: str | Path, exercise: str) -> Reset:
    """Put an exercise's answer and its check back to what was handed out, and return where the old text is.

    The exercise is named by its grade_id, its cell's id, or its number in the notebook. LabError for a notebook or an
    exercise that is not there, naming those that are.
    """
    path = find(notebook)
    own, released = _read(path), student_version(_read(_source(path)))
    cells = _cells(released, exercise, path)
    changed = [id for id in cells if _text(_cell(own, id)) != _text(_cell(released, id))]
    if not changed:
        return Reset(path, [], None)
    kept = _keep(path, exercise, [(id, _text(_cell(own, id))) for id in changed])
    for id in changed:
        _put(own, released, id)
    _write(path, own)
    return Reset(path, changed, kept)


def find(notebook: str | Path) -> Path:
    """The notebook's path: as it is given, or below the work folder, with or without its suffix.

    In the kit's own folder the course's notebook has the same name: a student's copy comes before it.
    """
    given = Path(notebook).expanduser()
    names = [given, given.with_name(given.name + ".ipynb")]
    folders = FOLDERS if len(given.parts) == 1 else FOLDERS[:1]
    found = [p for folder in folders for name in names if (p := Path(folder).expanduser() / name).is_file()]
    if not found:
        raise LabError(f"there is no notebook {notebook}", "name its file, as in notebooks/00_setup.ipynb")
    return min(found, key=_is_the_courses)


def _source(path: Path) -> Path:
    """The course's notebook that the student's was made from."""
    folder = paths.kit() / "notebooks"
    source = folder / path.name
    if not source.is_file():
        known = ", ".join(sorted(p.name for p in folder.glob("*.ipynb")))
        raise LabError(f"{path.name} is not a notebook of the course", f"an exercise can be reset in {known}")
    if _is_the_courses(path):
        raise LabError(f"{path} is the course's own notebook, with its solutions", "name your copy in the work folder")
    return source


def _is_the_courses(path: Path) -> bool:
    return path.resolve() == (paths.kit() / "notebooks" / path.name).resolve()


def _read(path: Path) -> Any:
    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise LabError(f"{path} can't be read: {error.strerror}", "check the permissions of the file") from error
    except Exception as error:  # nbformat has no common class for them
        raise LabError(
            f"{path} is not a notebook: {error}", "open it in JupyterLab, or copy it from a backup"
        ) from error


def _grade(cell: Any) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _cells(released: Any, exercise: str, path: Path) -> list[str]:
    """The ids of the exercise's cells: its answer, and its check where it has one."""
    graded = {_grade(cell): cell for cell in released.cells if _grade(cell)}
    answers = {grade: cell for grade, cell in graded.items() if cell.metadata["nbgrader"].get("solution")}
    numbered = [grade for grade in answers if grade + CHECK in graded]
    wanted = exercise.strip().removesuffix(CHECK)
    if wanted.isdigit() and 0 < int(wanted) <= len(numbered):
        wanted = numbered[int(wanted) - 1]
    by_id = {cell.id: grade for grade, cell in answers.items()}
    wanted = by_id.get(wanted, wanted)
    if wanted not in answers:
        listed = ", ".join(f"{numbered.index(g) + 1} or {g}" if g in numbered else g for g in answers) or "none"
        raise LabError(f"{path.name} has no exercise {exercise!r}", f"its exercises: {listed}")
    return [graded[grade].id for grade in (wanted, wanted + CHECK) if grade in graded]


def _cell(notebook: Any, id: str) -> Any:
    return next((cell for cell in notebook.cells if cell.get("id") == id), None)


def _text(cell: Any) -> str | None:
    return None if cell is None else str(cell.source)


def _put(own: Any, released: Any, id: str) -> None:
    """The released cell in place of the student's; one that was deleted comes back behind the cell that it followed."""
    fresh = _cell(released, id)
    for number, cell in enumerate(own.cells):
        if cell.get("id") == id:
            own.cells[number] = fresh
            return
    before = [cell.id for cell in released.cells[: released.cells.index(fresh)]]
    places = [number for number, cell in enumerate(own.cells) if cell.get("id") in before]
    own.cells.insert(max(places, default=-1) + 1, fresh)


def _keep(path: Path, exercise: str, texts: list[tuple[str, str | None]]) -> Path:
    """Write the old text of the cells to a file of its own beside the notebook."""
    folder = path.parent / "kept-answers"
    stem = f"{path.stem}-{exercise.strip().replace(os.sep, '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
    text = "\n\n".join(f"# cell {id} of {path.name}\n{text}" for id, text in texts if text is not None)
    try:
        folder.mkdir(exist_ok=True)
        number = 0
        while True:
            file = folder / (f"{stem}.py" if not number else f"{stem}-{number}.py")
            try:
                with file.open("x", encoding="utf-8", errors="surrogatepass") as written:
                    written.write(text + "\n")
                return file
            except FileExistsError:
                number += 1
    except OSError as error:
        raise LabError(
            f"{folder} can't be written: {error.strerror}", "nothing was changed; check the permissions of the folder"
        ) from error


def _write(path: Path, notebook: Any) -> None:
    """Replace the file at once: whoever reads it finds the old notebook or the new one."""
    # A lone surrogate is no UTF-8, and the escape that stands for it is JSON's.
    body = nbformat.writes(notebook).encode("utf-8", "backslashreplace") + b"\n"
    path = path.resolve()  # a link stays a link
    try:
        mode = path.stat().st_mode & 0o777
        replace(path, body)
        path.chmod(mode)
    except OSError as error:
        raise LabError(f"{path} can't be written: {error.strerror}", "check the permissions of the file") from error
