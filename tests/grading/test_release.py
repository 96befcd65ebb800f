"""What students get: no solution, no output, and cells that still run."""

from __future__ import annotations

import ast

import nbformat
import pytest

from books import NOTEBOOKS, load
from labkit.errors import LabError
from labkit.grading.release import BEGIN, END, HERE, student_version, without_solution

STUB = f"    {HERE}\n    raise NotImplementedError()"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_students_notebook_has_no_solution_and_is_otherwise_the_same(path) -> None:
    notebook = load(path)
    before = nbformat.writes(notebook)
    made = student_version(notebook)
    text = nbformat.writes(made)
    assert nbformat.writes(notebook) == before, "the notebook given is left as it is"
    assert text == nbformat.writes(student_version(notebook)), "deterministic"
    nbformat.validate(made)
    assert BEGIN not in text
    assert END not in text
    for ours, theirs in zip(notebook.cells, made.cells, strict=True):
        assert (ours.id, ours.metadata) == (theirs.id, theirs.metadata)
        if "parameters" in ours.metadata.get("tags", []):
            assert theirs.source == ours.source.replace('SCALE = "ci"', 'SCALE = "class"') != ours.source
        elif BEGIN not in ours.source:
            assert ours.source == theirs.source


def test_a_solution_that_was_a_names_second_value_leaves_the_first() -> None:
    assert without_solution(f"x = None\n{BEGIN}\nx = 3\n{END}") == "x = None"
    assert without_solution(f"x = None\n{BEGIN}\nx = 3\n{END}\ny = 4\n{BEGIN}\ny = 5\n{END}") == "x = None\ny = 4"


def test_an_answer_typed_above_the_marks_of_a_solved_cell_is_not_overwritten_in_the_students() -> None:
    names: dict[str, object] = {}
    exec(without_solution(f"x = None\n{BEGIN}\nx = 3\n{END}").replace("None", "'mine'"), names)
    assert names["x"] == "mine"


@pytest.mark.parametrize(
    ("source", "left"),
    [
        (f"{BEGIN}\nx = 3\n{END}", HERE),
        (f"\n{BEGIN}\nx = 3\n{END}\n", f"\n{HERE}"),
        (f"def f(x):\n    {BEGIN}\n    return x\n    {END}", f"def f(x):\n{STUB}"),
        (
            f"def f(x):\n    {BEGIN}\n    return x\n    {END}\n\n\ndef g(x):\n    {BEGIN}\n    return x\n    {END}",
            f"def f(x):\n{STUB}\n\n\ndef g(x):\n{STUB}",
        ),
        (f"def f(x):\n    {BEGIN}\n    x += 1\n    {END}\n    return x", "def f(x):\n    return x"),
        ("x = 1\n", "x = 1\n"),
    ],
)
def test_a_comment_stands_only_where_nothing_else_shows_the_place(source: str, left: str) -> None:
    assert without_solution(source) == left
    ast.parse(left)


def test_what_was_printed_is_not_handed_out() -> None:
    output = nbformat.v4.new_output("stream", text="42")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(42)", outputs=[output])])
    notebook.cells[0].execution_count = 7
    cell = student_version(notebook).cells[0]
    assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.parametrize("marks", [[BEGIN], [END], [END, BEGIN], [BEGIN, BEGIN, END]])
def test_a_mark_without_its_other_half_is_an_error(marks: list[str]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("\n".join(["x = 1", *marks]))])
    notebook.cells[0]["id"] = "answer-9"
    with pytest.raises(LabError, match="cell answer-9: the marks of its solution don't match"):
        student_version(notebook)


@pytest.mark.parametrize(
    ("source", "released"),
    [
        ('SCALE = "ci"  # "ci" takes seconds\nSEED = 0', 'SCALE = "class"  # "ci" takes seconds\nSEED = 0'),
        ("SCALE = 'ci'", 'SCALE = "class"'),
        ('"\u00fc"; SCALE = "ci"', '"\u00fc"; SCALE = "class"'),
        ('SCALE = "full"', 'SCALE = "full"'),
        ('OTHER = "ci"', 'OTHER = "ci"'),
        ("%magic", "%magic"),
    ],
)
def test_a_student_gets_the_scale_of_a_class(source: str, released: str) -> None:
    v4 = nbformat.v4
    cells = [v4.new_code_cell(source, metadata={"tags": ["parameters"]}), v4.new_code_cell(source)]
    made = student_version(v4.new_notebook(cells=cells))
    assert [c.source for c in made.cells] == [released, source]
