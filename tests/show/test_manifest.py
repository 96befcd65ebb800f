"""A manifest is shown as a code block of YAML: its text as it stands, a file's, or an object's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from labkit import show
from labkit.errors import LabError
from labkit.show.manifest import Text, text_of

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: first"


def test_text_is_shown_as_it_stands_whether_it_is_valid_or_not() -> None:
    assert text_of(f"\n{POD}\n\n") == POD
    assert text_of("\n  indented: once\n") == "  indented: once"
    assert text_of("kind: [") == "kind: ["
    assert text_of("") == ""


def test_a_path_is_its_files_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pod.yaml").write_text(POD + "\n", encoding="utf-8")
    (tmp_path / "Podfile").write_text(POD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "pod.yaml", str(tmp_path / "pod.yaml"), "pod.yaml", "Podfile"):
        assert text_of(path) == POD


@pytest.mark.parametrize("path", ["pod.yaml", "../workflows/absent.yml", Path("absent")])
def test_a_file_that_is_not_there_is_named(path: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError, match=f"{re.escape(str(path))} can't be read: No such file"):
        show.yaml(path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "photo.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match=r"photo.yaml can't be read: it is not UTF-8"):
        show.yaml(tmp_path / "photo.yaml")


@pytest.mark.parametrize("value", [None, 3])
def test_what_is_no_manifest_is_refused(value: object) -> None:
    with pytest.raises(LabError, match="is not YAML"):
        show.yaml(value)  # type: ignore[arg-type]


def test_objects_are_dumped_in_their_order_and_programs_stay_readable() -> None:
    command = {"command": ["sh", "-c", "echo one\necho two\n"]}
    shown = text_of({"kind": "Pod", "apiVersion": "v1", "spec": command, "again": command})
    assert shown.startswith("kind: Pod\napiVersion: v1\n")
    assert "- |\n" in shown
    assert "&id" not in shown
    assert list(yaml.safe_load_all(text_of([{"kind": "A"}, {"kind": "B"}]))) == [{"kind": "A"}, {"kind": "B"}]
    assert yaml.safe_load(text_of([1, 2])) == [1, 2]


def test_a_notebook_gets_a_block_of_yaml_and_a_terminal_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = InteractiveShell().display_formatter.format(Text(POD))
    assert data["text/markdown"] == f"```yaml\n{POD}\n```"
    assert data["text/plain"] == POD
    show.yaml(POD)
    assert capsys.readouterr().out == POD + "\n"


@given(st.text(alphabet="`y\n ", max_size=40))
def test_the_block_ends_where_the_text_does(text: str) -> None:
    first, *middle, last = Text(text)._repr_markdown_().split("\n")
    assert first == f"{last}yaml"
    assert "\n".join(middle) == text
    assert last not in text


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.lists(st.text()), st.none())))
def test_an_object_reads_back_as_it_was(thing: dict) -> None:
    assert yaml.safe_load(text_of(thing)) == thing
