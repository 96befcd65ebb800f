"""Parameters: what the command line says, what a cell declares, and that one is set or refused, never dropped."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from labkit.errors import LabError
from labkit.runner.notebooks import read
from labkit.runner.parameters import assigned, given, imported


def test_p_is_typed_and_r_is_text() -> None:
    assert given(
        [("A", "0042"), ("B", "1e-3"), ("C", "TRUE"), ("D", "none"), ("E", "class"), ("F", "")],
        [("G", "0042"), ("H", "nan"), ("A", "0042")],
    ) == {"A": "0042", "B": 0.001, "C": True, "D": None, "E": "class", "F": "", "G": "0042", "H": "nan"}


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-Infinity", "1e999", "9" * 5000])
def test_a_number_that_json_lacks_is_refused(value: str) -> None:
    with pytest.raises(LabError, match=r"-p LR: .*\n.*-r LR"):
        given([("LR", value)])
    assert given([], [("LR", value)]) == {"LR": value}


def test_text_that_is_not_utf_8_is_refused() -> None:
    for typed, raw in (([("A", "\udce9")], []), ([], [("A", "\udce9")]), ([], [("\udce9", "a")])):
        with pytest.raises(LabError, match="is not UTF-8"):
            given(typed, raw)


@pytest.mark.parametrize(
    "source",
    [
        "X = 1",
        "Y = X = 1",
        "X, Y = 1, 2",
        "[Y, (X, *Z)] = 1, (2, 3)",
        "*X, Y = 1, 2",
        "X: int = 1",
        "X: int",
        "if True:\n    X = 1",
        "for X in range(3): pass",
        "with open('f') as X: pass",
        "try:\n    X = 1\nexcept Exception: pass",
        "(X := 1)",
        "%matplotlib inline\nX = 1",
        "!ls\nX = 1",
        "X = !ls",
        "?print\nX = 1",
        "%%time\nX = 1",
        "%%capture out\n%load_ext autoreload\nX = 1",
        "%time X = 1",
        "X = '\\d'",
        "X = await f()",
    ],
)
def test_a_name_is_found_however_a_cell_binds_it(source: str) -> None:
    assert "X" in assigned(source)


@pytest.mark.parametrize(
    "source",
    ["def f():\n    X = 1", "class A:\n    X = 1", "a.X = 1", "X.a = 1", "X['a'] = 1", "f(X=1)", "[X for X in y]"],
)
def test_a_name_that_is_not_the_notebooks_is_no_parameter(source: str) -> None:
    assert "X" not in assigned(source)


@pytest.mark.parametrize(
    "source", ["x = '\ud800'", "-" * 100_000 + "1", "(" * 100_000, "1 +", "x = '\0'", "%%bash\nimport os", "%%nothing"]
)
def test_code_that_python_cant_parse_declares_and_imports_nothing(source: str) -> None:
    assert assigned(source) == imported(source) == set()


def test_imports_are_found_beside_magics() -> None:
    assert imported("%pip install x\nimport tensorflow as tf\nfrom sklearn.x import y") == {"tensorflow", "sklearn"}


def book(path: Path, *cells: tuple[str, str]) -> Path:
    made = [nbformat.v4.new_code_cell(source, metadata={"tags": [tag] if tag else []}) for source, tag in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def test_a_second_tagged_cell_would_undo_what_is_set_behind_the_first(tmp_path: Path) -> None:
    source = read(book(tmp_path / "a.ipynb", ("X = 1", "parameters"), ("Y = X = 2", "parameters")))
    assert (source.parameters, source.late) == (frozenset(), {"X", "Y"})


def test_values_go_where_an_earlier_run_has_put_some(tmp_path: Path) -> None:
    cells = [
        ("X = 1", "parameters"),
        ("Y = 1", "parameters"),
        ("X = 5", "injected-parameters"),
        ("Z = 1", "parameters"),
    ]
    source = read(book(tmp_path / "a.ipynb", *cells))
    assert (source.parameters, source.late) == ({"X", "Y"}, {"Z"})


def test_of_a_parameters_cell_that_is_no_python_nobody_knows(tmp_path: Path) -> None:
    assert read(book(tmp_path / "a.ipynb", ("X = = 1", "parameters"))).unclear
