"""The folder of a report: what a run may replace, what it refuses, and that nothing else changes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import LabError
from labkit.runner import report_folder as places
from labkit.runner.report import Notebook, Report


def source(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    return path


def report(folder: Path, *names: str) -> None:
    """A finished report on notebooks of these names."""
    with places.claimed(folder, [], names) as inside:
        for name in names:
            path = inside / places.executed(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("executed")
        books = [Notebook(name, "passed", 1.0, path=places.executed(name)) for name in names]
        Report(books, versions={"labkit": "1"}).write(inside)
        (inside / "kernels.log").write_text("")


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "out",
    ["", " ", ".", "..", "books", "./books/", "books/group", "link", "link/group", "books/../books", "BOOKS-ABSOLUTE"],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_holds_a_source_is_refused_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, force: bool
) -> None:
    mine = source(tmp_path / "here" / "books" / "group" / "a.ipynb")
    (tmp_path / "here" / "link").symlink_to("books")
    monkeypatch.chdir(tmp_path / "here")
    before = contents(tmp_path)
    out = out.replace("BOOKS-ABSOLUTE", str(mine.parent))
    with (
        pytest.raises(LabError, match="--out") as told,
        places.claimed(out, [Path("books/group/a.ipynb")], ["a"], force),
    ):
        pass
    assert "which the run would overwrite" in str(told.value) or "--out is empty" in str(told.value)
    assert contents(tmp_path) == before


def test_a_source_that_is_a_link_is_found_where_it_is_and_where_it_leads(tmp_path: Path) -> None:
    real = source(tmp_path / "real" / "a.ipynb")
    link = tmp_path / "links" / "a.ipynb"
    link.parent.mkdir()
    link.symlink_to(real)
    for out in (real.parent, link.parent):
        with pytest.raises(LabError, match="would overwrite"), places.claimed(out, [link], ["a"]):
            pass


def test_a_folder_below_the_sources_is_fit_for_a_report_twice(tmp_path: Path) -> None:
    mine = source(tmp_path / "a.ipynb")
    for _ in range(2):
        with places.claimed(tmp_path / "report", [mine], ["a"]) as folder:
            Report([Notebook("a", "passed", 1.0)], versions={"labkit": "1"}).write(folder)
    assert mine.read_text() == "mine"


def test_an_earlier_report_is_replaced_whole(tmp_path: Path) -> None:
    report(tmp_path / "out", "old", "group/old")
    (tmp_path / "out" / "notebooks" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "out" / "notebooks" / ".ipynb_checkpoints" / "old-checkpoint.ipynb").write_text("copy")
    (tmp_path / "out" / ".report.json.123").write_text("the draft of a run that was killed")
    with places.claimed(tmp_path / "out", [], ["new"]) as folder:
        assert contents(folder) == {}
        assert [p.name for p in folder.iterdir()] == ["notebooks"]


@pytest.mark.parametrize(
    "stranger", ["notes.txt", "notebooks/mine.ipynb", "notebooks/group/x.csv", ".gitignore", "link"]
)
@pytest.mark.parametrize("earlier", [False, True])
def test_other_files_are_refused_and_with_force_kept(tmp_path: Path, stranger: str, earlier: bool) -> None:
    out = tmp_path / "out"
    if earlier:
        report(out, "old")
    path = out / stranger
    path.parent.mkdir(parents=True, exist_ok=True)
    if stranger == "link":
        path.symlink_to(tmp_path)
    else:
        path.write_text("work")
    before = contents(out)
    with pytest.raises(LabError, match=f"is not empty and holds .*{stranger}"), places.claimed(out, [], ["new"]):
        pass
    assert contents(out) == before
    with places.claimed(out, [], ["new"], force=True):
        pass
    assert path.is_symlink() or contents(out) == {stranger: "work"}


def test_with_force_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    precious = source(tmp_path / "precious.ipynb")
    out = tmp_path / "out"
    (out / "notebooks").mkdir(parents=True)
    (out / "notebooks" / "a.ipynb").symlink_to(precious)
    (out / "report.json").symlink_to(precious)
    with places.claimed(out, [], ["a"], force=True) as folder:
        (folder / "notebooks" / "a.ipynb").write_text("executed")
        Report([], versions={"labkit": "1"}).write(folder)
    assert precious.read_text() == "mine"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / "notebooks" / "group").symlink_to(elsewhere)
    with pytest.raises(LabError, match="is a link"), places.claimed(out, [], ["group/b"], force=True):
        pass


@pytest.mark.parametrize("path", ["../mine.ipynb", "/etc/passwd", "mine.ipynb", "notebooks/../mine.ipynb", 5, None])
def test_an_index_names_only_executed_notebooks(tmp_path: Path, path: object) -> None:
    """Whoever wrote that report.json: what it names elsewhere is not deleted."""
    mine = source(tmp_path / "out" / "mine.ipynb")
    (tmp_path / "out" / "report.json").write_text(
        json.dumps({"notebooks": [{"path": path}], "versions": {"labkit": 1}})
    )
    with pytest.raises(LabError, match="is not empty"), places.claimed(tmp_path / "out", [], ["a"]):
        pass
    with places.claimed(tmp_path / "out", [], ["a"], force=True):
        assert mine.read_text() == "mine"


def test_a_file_a_folder_in_a_file_and_what_cant_be_a_folder_are_refused(tmp_path: Path) -> None:
    file = source(tmp_path / "file")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for out in (file, file / "below", loop, "a\0b", "x" * 300):
        with pytest.raises(LabError, match="--out"), places.claimed(out, [], ["a"]):
            pass
    assert file.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cant_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with (
        pytest.raises(LabError, match="can't be written: Permission denied"),
        places.claimed(tmp_path / "out", [], ["a"]),
    ):
        pass


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    with places.claimed(tmp_path / "out", [], ["a"]) as folder:
        (folder / "notebooks" / "a.ipynb").write_text("executed")
        with (
            pytest.raises(LabError, match="another run writes to"),
            places.claimed(tmp_path / "out", [], ["b"], force=True),
        ):
            pass
        assert (folder / "notebooks" / "a.ipynb").exists()


@pytest.mark.parametrize("below", ["notebooks", "new", "notebooks/a/b"])
def test_a_report_is_not_put_into_another(tmp_path: Path, below: str) -> None:
    report(tmp_path / "out", "a")
    before = contents(tmp_path)
    with pytest.raises(LabError, match="is inside the report"), places.claimed(tmp_path / "out" / below, [], ["b"]):
        pass
    assert contents(tmp_path) == before


names = st.sampled_from(["a", "b", "report", "group/a", "notebooks", "x.y", "junit"])


@settings(max_examples=60, deadline=None)
@given(strangers=st.sets(names), earlier=st.none() | st.sets(names), new=st.sets(names), force=st.booleans())
def test_no_other_file_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, strangers: set[str], earlier: set[str] | None, new: set[str], force: bool
) -> None:
    out = tmp_path_factory.mktemp("any") / "out"
    if earlier is not None:
        report(out, *earlier)
    kept = {f"{name}.txt" for name in strangers} | {f"notebooks/{name}.csv" for name in strangers}
    for name in kept:
        source(out / name)
    try:
        with places.claimed(out, [], new, force):
            pass
    except LabError:
        assert kept
        assert not force
    assert {name for name in contents(out) if contents(out)[name] == "mine"} == kept
