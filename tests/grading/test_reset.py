"""An exercise is put back to what was handed out; the student's text is kept, and nothing else is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from books import FOLDER, NOTEBOOKS, graded, load
from labkit import cli
from labkit.errors import LabError
from labkit.grading.release import student_version
from labkit.grading.reset import reset


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A student's copy of notebook 13, with an answer, an output and a note of their own."""
    notebook = student_version(load(FOLDER / "13_end_to_end.ipynb"))
    answer = cell(notebook, "answer-1")
    answer.source = "one_after_another = 'm\u00fch'\ntogether = None"
    notebook.cells.append(nbformat.v4.new_markdown_cell("my note", id="mine"))
    cell(notebook, "submit").outputs = [nbformat.v4.new_output("stream", text="submitted")]
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "13_end_to_end.ipynb"
    nbformat.write(notebook, path)
    path.chmod(0o640)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return path


def cell(notebook: object, id: str) -> object:
    return next(c for c in notebook.cells if c.id == id)  # type: ignore[attr-defined]


@pytest.mark.parametrize("exercise", ["1", "parallel", "answer-1", "parallel-check"])
@pytest.mark.parametrize("name", ["notebooks/13_end_to_end.ipynb", "13_end_to_end.ipynb", "13_end_to_end"])
def test_an_exercise_is_as_handed_out_again_and_what_stood_there_is_kept(mine: Path, name: str, exercise: str) -> None:
    before = load(mine)
    done = reset(name, exercise)
    after, released = load(mine), student_version(load(FOLDER / mine.name))
    assert done.cells == ["answer-1"]
    assert done.kept
    assert "one_after_another = 'm\u00fch'" in done.kept.read_text(encoding="utf-8")
    assert cell(after, "answer-1").source == cell(released, "answer-1").source  # type: ignore[attr-defined]
    assert [c for c in after.cells if c.id != "answer-1"] == [c for c in before.cells if c.id != "answer-1"]
    assert mine.stat().st_mode & 0o777 == 0o640
    assert not reset(name, exercise).cells, "twice is once"
    assert {p.name for p in mine.parent.iterdir()} == {mine.name, "kept-answers"}


def test_a_check_that_was_changed_and_an_answer_that_was_deleted_come_back_in_their_places(mine: Path) -> None:
    notebook = load(mine)
    order = [c.id for c in notebook.cells]
    notebook.cells = [c for c in notebook.cells if c.id != "answer-1"]
    cell(notebook, "check-1").source = "pass"  # type: ignore[attr-defined]
    nbformat.write(notebook, mine)
    assert reset(mine, "parallel").cells == ["answer-1", "check-1"]
    assert [c.id for c in load(mine).cells] == order


def test_a_notebook_with_half_a_character_or_behind_a_link_is_reset_in_its_place(mine: Path, tmp_path: Path) -> None:
    notebook = load(mine)
    cell(notebook, "answer-1").source = "together = 1"  # type: ignore[attr-defined]
    cell(notebook, "mine").source = "HALF"  # type: ignore[attr-defined]
    text = nbformat.writes(notebook).replace("HALF", "\\ud83d")
    (tmp_path / "elsewhere.ipynb").write_text(text)
    mine.unlink()
    mine.symlink_to(tmp_path / "elsewhere.ipynb")
    assert reset(mine, "1").cells == ["answer-1"]
    assert mine.is_symlink()
    assert cell(load(mine), "mine").source == "\ud83d"  # type: ignore[attr-defined]
    assert {p.name for p in mine.parent.iterdir()} == {mine.name, "kept-answers"}


def test_each_reset_keeps_a_file_of_its_own(mine: Path) -> None:
    kept = set()
    for number in range(3):
        notebook = load(mine)
        cell(notebook, "answer-1").source = f"together = {number}"  # type: ignore[attr-defined]
        nbformat.write(notebook, mine)
        kept.add(reset(mine, "1").kept)
    assert len(kept) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_exercise_and_prediction_can_be_reset(path: Path, tmp_path: Path) -> None:
    shutil.copyfile(path, tmp_path / path.name)  # solved
    for each in load(path).cells:
        if graded(each).get("solution"):
            assert reset(tmp_path / path.name, graded(each)["grade_id"]).cells == [each.id]
    mine, released = load(tmp_path / path.name), student_version(load(path))
    for own, fresh in zip(mine.cells, released.cells, strict=True):
        assert "SOLUTION" not in own.source
        if graded(fresh):
            assert own.source == fresh.source


def test_what_is_not_there_is_named(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, error, hint in (
        (("13_end_to_end", "9"), "13_end_to_end.ipynb has no exercise '9'", "1 or parallel, 2 or "),
        (("14_life", "1"), "there is no notebook 14_life", "notebooks/00_setup.ipynb"),
        ((str(FOLDER / "00_setup.ipynb"), "1"), "is the course's own notebook", "your copy"),
    ):
        assert cli.main(["reset", *words]) == 1
        said = capsys.readouterr().err
        assert error in said
        assert hint in said
    (mine.parent / "mine.ipynb").write_text("{}")
    with pytest.raises(LabError, match=r"is not a notebook"):
        reset("mine.ipynb", "1")
    mine.write_text("{ half")
    with pytest.raises(LabError, match="is not a notebook"):
        reset(mine, "1")
    assert mine.read_text() == "{ half"
    assert not (mine.parent / "kept-answers").exists()


def test_the_command_says_where_the_old_text_is(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reset", "13_end_to_end", "1"]) == 0
    said = capsys.readouterr().out
    assert "what stood there is in notebooks/kept-answers/13_end_to_end-1-" in said
    assert "Reload Notebook from Disk" in said
    assert cli.main(["reset", "13_end_to_end", "1"]) == 0
    assert "is as it was handed out" in capsys.readouterr().out


def test_in_the_kits_own_folder_the_students_copy_is_meant(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's terminal stands there, and the course's notebook has the same name."""
    work = mine.parent.parent / "labkit-work"
    shutil.copytree(mine.parent, work / "notebooks")
    monkeypatch.chdir(FOLDER.parent)
    before = (FOLDER / mine.name).read_bytes()
    assert reset("13_end_to_end", "1").notebook == work / "notebooks" / mine.name
    shutil.rmtree(work)
    with pytest.raises(LabError, match="the course's own notebook"):
        reset("13_end_to_end", "1")
    assert (FOLDER / mine.name).read_bytes() == before
