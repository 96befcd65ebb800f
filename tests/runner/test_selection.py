"""Which notebooks a run finds, and that each has a name, a file and a namespace of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import notebook

from labkit.errors import LabError
from labkit.runner.selection import find
from labkit.runner.session import namespaces_of


def names(*paths: str | Path) -> list[str]:
    return [source.name for source in find(paths)]


def test_names_are_paths_below_the_folder_that_was_given(tmp_path: Path) -> None:
    notebook(tmp_path / "course", "intro")
    notebook(tmp_path / "course" / "group1", "hw1")
    notebook(tmp_path / "course" / "group2", "hw1")
    assert names(tmp_path / "course") == ["group1/hw1", "group2/hw1", "intro"]
    assert names(tmp_path / "course" / "group1") == ["hw1"]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    one, two = notebook(tmp_path / "group1", "hw1"), notebook(tmp_path / "group2", "hw1")
    assert names(one, two) == ["group1/hw1", "group2/hw1"]
    assert names(one.parent, two.parent) == ["group1/hw1", "group2/hw1"]
    assert names(one.parent, two) == ["group1/hw1", "group2/hw1"]


def test_the_same_file_in_any_spelling_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = notebook(tmp_path / "books", "a")
    (tmp_path / "link").symlink_to("books")
    monkeypatch.chdir(tmp_path)
    assert names("books/a.ipynb", "./books/a.ipynb", path, "books/../books/a.ipynb", "link/a.ipynb", "books") == ["a"]


def test_parents_hidden_folders_above_and_links_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook(tmp_path / ".hidden", "x")
    notebook(tmp_path / ".hidden" / "books", "a")
    (tmp_path / ".hidden" / "books" / "sub").mkdir()
    monkeypatch.chdir(tmp_path / ".hidden" / "books" / "sub")
    assert names("..") == ["a"]
    assert names("../..") == ["books/a", "x"]
    assert names(tmp_path / ".hidden" / "books") == ["a"]


def test_what_is_below_a_folder_and_is_not_the_users_is_left_out(tmp_path: Path) -> None:
    notebook(tmp_path / "books", "a")
    for folder in (".ipynb_checkpoints", "venv", "earlier"):
        notebook(tmp_path / "books" / folder, "b")
    (tmp_path / "books" / "venv" / "pyvenv.cfg").touch()
    index = '{"notebooks": [{"path": "notebooks/b.ipynb"}], "versions": {"labkit": "1"}}'
    (tmp_path / "books" / "earlier" / "report.json").write_text(index)
    assert names(tmp_path / "books") == ["a"]
    assert names(tmp_path / "books" / "venv") == ["b"], "named itself"


def test_where_there_is_none_it_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a.ipynb", tmp_path / "a.txt"):
        with pytest.raises(LabError, match=re.escape(str(path))):
            find([path])


def test_odd_files_are_their_own_trouble(tmp_path: Path) -> None:
    notebook(tmp_path, "a")
    os.mkfifo(tmp_path / "b.ipynb")
    (tmp_path / "c.ipynb").symlink_to("nowhere")
    (tmp_path / "d.ipynb").symlink_to("d.ipynb")
    (tmp_path / "e.ipynb").write_text("[" * 100_000)
    (tmp_path / "f.ipynb").write_text("")
    (tmp_path / "g.ipynb").write_bytes(b"\xff")
    cell = '{"cell_type": "code", "execution_count": null, "id": "x", "metadata": {}, "outputs": [], "source": "%s"}'
    book = '{"cells": [%s], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    (tmp_path / "h.ipynb").write_text(book % (cell % r"x = '\ud800'"))
    (tmp_path / "i.ipynb").write_text(book % (cell % ("-" * 100_000 + "1")))
    (tmp_path / "j.ipynb").write_text(book % (cell % "a = '\\u0000'"))
    notebook(tmp_path / "k.ipynb", "l")
    sources = {source.name: source.trouble for source in find([tmp_path])}
    assert list(sources) == [*"abcdefghij", "k.ipynb/l"]
    assert sources["a"] == sources["h"] == sources["i"] == sources["j"] == sources["k.ipynb/l"] == ""
    assert "is not an ordinary file" in sources["b"]
    assert "link to a file that is gone" in sources["c"]
    assert all(sources[name] for name in "defg")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (b"caf\xe9", r"caf\xe9"),
        ("урок".encode(), "урок"),
        (b"a\nb", r"a\x0ab"),
        (b"a {b} 50% #1?&<i>", "a {b} 50% #1?&<i>"),
        (b"a.b.ipynb", "a.b.ipynb"),
        (b"x" * 249, "x" * 249),
    ],
)
def test_a_name_is_text_that_every_report_can_hold(tmp_path: Path, file: bytes, name: str) -> None:
    path = notebook(tmp_path, "x")
    os.rename(path, os.path.join(os.fsencode(tmp_path), file + b".ipynb"))
    assert names(tmp_path) == [name]


def test_a_name_that_escapes_make_long_is_cut(tmp_path: Path) -> None:
    body = notebook(tmp_path, "x").read_bytes()
    for last in b"\xe8\xe9":
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + b"\xe9" * 240 + bytes([last]) + b".ipynb")).write_bytes(body)
    found = names(tmp_path)
    assert len(set(found)) == 3
    assert all(len(f"{name}.ipynb".encode()) <= 255 for name in found)


def test_names_that_meet_only_as_text_or_in_their_case_are_numbered(tmp_path: Path) -> None:
    body = notebook(tmp_path, "lab").read_bytes()
    for other in (b"Lab", b"caf\xe9", rb"caf\xe9"):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), other + b".ipynb"))).write_bytes(body)
    found = names(tmp_path)
    assert len(found) == 4
    assert len({name.casefold() for name in found}) == 4
    assert "Lab" in found
    assert "lab~2" in found


def test_namespaces_are_plain_where_names_are() -> None:
    assert namespaces_of(["a-good", "00_setup"]) == {"a-good": "nb-a-good", "00_setup": "nb-00-setup"}


@given(st.lists(st.text(max_size=70), unique=True, max_size=8))
def test_every_notebook_has_a_namespace_of_its_own(notebooks: list[str]) -> None:
    found = namespaces_of([*notebooks, "lab_1", "lab-1", "Lab 1", "урок", "課"])
    assert len(set(found.values())) == len(found)
    for namespace in found.values():
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,55}[a-z0-9])?", namespace), namespace
