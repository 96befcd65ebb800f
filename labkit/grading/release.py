"""The version of a notebook that students get: without what stands between the marks of a solution, without outputs, at the
scale of a class.

The marks are nbgrader's. What stands around them in a cell is left as it is: it gives the student the names that the
check reads. nbgrader's stub is put in only where without it nothing would show the place.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from labkit.errors import LabError

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
HERE = "# YOUR CODE HERE"
MACHINES, PEOPLE = "ci", "class"  # values of SCALE


def student_version(notebook: Any) -> Any:
    """A copy of a notebook (an nbformat node) without its solutions and outputs, with SCALE class; the same for the same
    notebook.

    LabError for a mark without its other half.
    """
    made = copy.deepcopy(notebook)
    for cell in made.cells:
        try:
            cell.source = without_solution(cell.source)
        except LabError as error:
            raise LabError(f"cell {cell.get('id', '?')}: {error.message}", error.hint) from None
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = with_scale(cell.source)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return made


def with_scale(source: str) -> str:
    """The cell of the parameters with the scale that is meant for people, where it has the one that is meant for machines."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    lines = source.splitlines(keepends=True)
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["SCALE"]
            and isinstance(node.value, ast.Constant)
            and node.value.value == MACHINES
            and node.value.lineno == node.value.end_lineno
        ):
            line = lines[node.value.lineno - 1].encode()  # offsets are of bytes
            start, end = node.value.col_offset, node.value.end_col_offset
            lines[node.value.lineno - 1] = (line[:start] + f'"{PEOPLE}"'.encode() + line[end:]).decode()
    return "".join(lines)


def without_solution(source: str) -> str:
    """A cell's text without what stands between the marks, and without the marks."""
    lines = source.splitlines()
    marks = [(line.strip(), n) for n, line in enumerate(lines) if line.strip() in (BEGIN, END)]
    if not marks:
        return source
    words = [word for word, _ in marks]
    if words != [BEGIN, END] * (len(words) // 2):
        raise LabError(f"the marks of its solution don't match: {', '.join(words)}", f"each {BEGIN} needs its {END}")
    numbers = [n for _, n in marks]
    kept = lines
    for begin, end in reversed(list(zip(numbers[::2], numbers[1::2], strict=True))):
        before, after = kept[:begin], kept[end + 1 :]
        kept = before + _stub(before, lines[begin], after) + after
    return "\n".join(kept)


def _stub(before: list[str], mark: str, after: list[str]) -> list[str]:
    """What takes the solution's place: nothing, nbgrader's comment in an empty cell, and where the rest would be no Python
    (the solution was a function's whole body) an exception below it."""
    indent = mark[: len(mark) - len(mark.lstrip())]
    if not "".join(before + after).strip():
        return [indent + HERE]
    try:
        ast.parse("\n".join(before + after))
    except SyntaxError:
        return [indent + HERE, indent + "raise NotImplementedError()"]
    return []
