"""The notebooks as files: what they must have, and must not have, to be handed out, run headless and graded."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from books import COURSE, NOTEBOOKS, graded, load
from labkit import checks
from labkit.grading.release import BEGIN, END, without_solution
from labkit.runner.notebooks import read

GRADING = set(checks.__all__) - {"CheckFailed", "prediction"}  # a prediction is never graded
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 2


@every
def test_a_notebook_is_valid_and_committed_without_outputs(path: Path) -> None:
    notebook = load(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs, cell.id
            assert cell.execution_count is None, cell.id
            assert "papermill" not in cell.metadata, cell.id
    assert "papermill" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"


@every
def test_a_notebook_declares_its_scale_and_its_seed_once(path: Path) -> None:
    assert read(path).parameters >= {"SCALE", "SEED"}
    tagged = [c for c in load(path).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1


@every
def test_cell_ids_are_unique_words(path: Path) -> None:
    ids = [c.id for c in load(path).cells]
    assert len(ids) == len(set(ids))
    assert [i for i in ids if not re.fullmatch(r"[a-z][a-z0-9-]+", i)] == []


@every
def test_a_claim_that_a_cell_shows_is_one_of_the_course(path: Path) -> None:
    named = [claim for c in load(path).cells for claim in c.metadata.get("course", [])]
    assert named
    assert set(named) <= COURSE


@every
def test_graded_cells_are_nbgraders(path: Path) -> None:
    cells = [c for c in load(path).cells if graded(c)]
    for cell in cells:
        told = graded(cell)
        assert set(told) - {"points"} == {"schema_version", "grade", "grade_id", "locked", "solution", "task"}, cell.id
        assert told["schema_version"] == 3
        assert told["grade"] != told["solution"], f"{cell.id} is either an answer or its check"
        assert told["locked"] == told["grade"], f"{cell.id}: a check is locked, an answer is not"
        assert told["task"] is False
        if told["grade"]:
            assert told["points"] > 0
    ids = [graded(c)["grade_id"] for c in cells]
    assert len(ids) == len(set(ids))


@every
def test_a_check_is_graded_and_follows_its_answer(path: Path) -> None:
    before = ""
    for cell in load(path).cells:
        if cell.cell_type != "code":
            continue
        judges = any(f"checks.{word}(" in cell.source for word in GRADING)
        assert judges == bool(graded(cell).get("grade")), f"{cell.id}: a check has a grade_id, and nothing else has"
        if judges:
            assert graded(cell)["grade_id"] == f"{before}-check"
        if graded(cell).get("solution"):
            before = graded(cell)["grade_id"]


@every
def test_solutions_stand_between_the_marks_and_nowhere_else(path: Path) -> None:
    for cell in load(path).cells:
        lines = [line.strip() for line in cell.source.splitlines()]
        if graded(cell).get("solution"):
            marks = [line for line in lines if line in (BEGIN, END)]
            assert marks == [BEGIN, END] * max(1, len(marks) // 2), cell.id
            ast.parse(without_solution(cell.source))
            assert without_solution(cell.source).strip(), f"{cell.id}: the student gets the names that the check reads"
        else:
            assert not {BEGIN, END} & set(lines), cell.id


@every
def test_an_exercise_needs_nothing_of_another_ones_answer(path: Path) -> None:
    """The names that an answer or a check binds are read by that exercise only (and by cells after all of them)."""
    bound: dict[str, str] = {}
    shared: set[str] = set()
    exercise = ""
    for cell in load(path).cells:
        if cell.cell_type != "code":
            continue
        exercise = graded(cell).get("grade_id", "").removesuffix("-check") if graded(cell) else ""
        tree = ast.parse(cell.source)
        names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)} | _imports(tree)
        if exercise:
            foreign = {n.id for n in names if bound.get(n.id, exercise) != exercise} - stored - shared
            assert not foreign, f"{cell.id} reads {foreign} of another exercise"
            bound |= dict.fromkeys(stored - shared, exercise)
        else:
            shared |= stored


@every
def test_what_is_no_exercise_runs_whether_the_checks_pass_or_not(path: Path) -> None:
    """A student may skip an exercise: its check stops at the first thing that is not right, and so binds nothing."""
    sure: set[str] = set()
    unsure: set[str] = set()
    for cell in load(path).cells:
        if cell.cell_type != "code":
            continue
        tree = ast.parse(without_solution(cell.source))
        names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)} | _imports(tree)
        if graded(cell).get("grade"):
            unsure |= stored
        else:
            sure |= stored
            assert not {n.id for n in names} & unsure - sure, f"{cell.id} needs a check that passed"


def _imports(tree: ast.Module) -> set[str]:
    found = [a for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names]
    return {(a.asname or a.name).partition(".")[0] for a in found} | {
        n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)
    }


@every
def test_lines_fit_the_page(path: Path) -> None:
    """JupyterLab's cell is some 115 characters wide on a laptop's screen."""
    long = [
        line for c in load(path).cells if c.cell_type == "code" for line in c.source.splitlines() if len(line) > 112
    ]
    assert long == []


@every
def test_the_last_thing_a_notebook_says_is_what_to_take_away(path: Path) -> None:
    headings = [c.source.splitlines()[0] for c in load(path).cells if c.cell_type == "markdown"]
    assert [h for h in headings if h.startswith("#")][-1] == "## What to take away"


@every
def test_a_diagrams_lines_and_boxes_are_readable_in_the_light_and_in_the_dark_theme(path: Path) -> None:
    """A diagram that was drawn in one theme stays as it is in the other: its colours are its own, not the theme's."""
    for cell in load(path).cells:
        for block in re.findall(r"```mermaid\n(.*?)```", cell.source, re.S):
            colours = dict(re.findall(r"'(\w+)': '(#[0-9a-f]{6})'", block.splitlines()[0]))
            assert "'theme': 'base'" in block.splitlines()[0], cell.id
            for page in ("#ffffff", "#111111"):
                assert contrast(colours["lineColor"], page) > 3, cell.id
            assert contrast(colours["primaryColor"], colours["primaryTextColor"]) > 7, cell.id


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
