"""The student's work folder is the student's, and JupyterLab talks to nobody but this machine."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import nbformat
import pytest
from course import FOLDER, NOTEBOOKS, load

from labkit import lab
from labkit.errors import LabError


def test_what_a_student_has_is_never_overwritten(tmp_path: Path) -> None:
    first = lab.fill(tmp_path)
    assert {p.name for p in first} >= {"00_setup.ipynb", "13_end_to_end.ipynb", "end-to-end.yaml"}
    mine, lost = tmp_path / "notebooks" / "00_setup.ipynb", tmp_path / "notebooks" / "13_end_to_end.ipynb"
    mine.write_text("mine")
    lost.unlink()
    assert lab.fill(tmp_path) == [lost]
    assert mine.read_text() == "mine"


def test_a_student_gets_no_solutions(tmp_path: Path) -> None:
    lab.fill(tmp_path)
    notebooks = list(tmp_path.rglob("*.ipynb"))
    assert len(notebooks) == len(NOTEBOOKS)
    for path in notebooks:
        assert "SOLUTION" not in path.read_text()
        notebook = load(path)
        nbformat.validate(notebook)
        assert [c.id for c in notebook.cells] == [c.id for c in load(FOLDER / path.name).cells]
    assert all("SOLUTION" in path.read_text() for path in NOTEBOOKS), "what `labkit run` runs is solved"


def test_a_port_that_is_taken_is_said_and_the_next_one_had(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = lab.free(port)
        assert port < found < port + lab.TRIES
        assert f"port {port} is taken" in capsys.readouterr().out
    assert lab.free(port) == port
    assert capsys.readouterr().out == ""


def test_where_no_port_is_free_another_has_to_be_named() -> None:
    with pytest.raises(LabError, match="no port from 65536 to 65585 is free"):
        lab.free(65536)


def test_jupyter_listens_on_loopback_and_asks_the_network_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    words = lab.command(tmp_path, 0, browser=False)
    assert words[:3] == [sys.executable, "-m", "jupyterlab"]
    assert {"--ServerApp.ip=127.0.0.1", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly"} <= set(words)
    assert "--no-browser" in words
    assert "--LabApp.default_url=/lab/tree/notebooks/00_setup.ipynb" in words
    told = json.loads((lab.settings() / "labconfig" / "default_setting_overrides.json").read_text())
    assert told["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
