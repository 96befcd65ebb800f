"""The student's work folder is the student's, and JupyterLab talks to nobody but this machine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import jupyter_client.manager
import nbformat
import pytest

from books import FOLDER, NOTEBOOKS, load
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
    words = lab.command(tmp_path, 0, browser=False, shell=["bash", "-i"])
    assert words[:4] == [sys.executable, "-P", "-m", "jupyterlab"]
    assert "--ServerApp.terminado_settings={'shell_command': ['bash', '-i']}" in words
    assert {"--ServerApp.ip=127.0.0.1", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly"} <= set(words)
    assert "--no-browser" in words
    assert "--LabApp.default_url=/lab/tree/notebooks/00_setup.ipynb" in words
    told = json.loads((lab.settings() / "labconfig" / "default_setting_overrides.json").read_text())
    assert told["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def shadows(folder: Path) -> Path:
    """A student's files, each named as a module of the standard library, that can't be imported."""
    for name in sys.stdlib_module_names:
        if not name.startswith("_"):
            (folder / f"{name}.py").write_text(f"raise RuntimeError('the {name} of a student')")
    return folder


def test_modules_in_the_folder_where_it_is_typed_do_not_break_jupyterlab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_PATH", str(lab.kernels()))
    command = [*lab.command(tmp_path, 0, browser=False, shell=["sh"]), "--version"]
    ended = subprocess.run(command, cwd=shadows(tmp_path), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout.count(".")) == (0, 2), ended.stderr


def test_modules_beside_a_notebook_do_not_break_its_kernel_in_jupyterlab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    assert lab.kernels() == lab.kernels(), "made again at each start"
    monkeypatch.setenv("JUPYTER_PATH", str(lab.kernels()))
    (shadows(tmp_path) / "mine.py").write_text("")
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        reply = client.execute_interactive("import mine, sys\nassert sys.path.count('') == 1", timeout=20)
        assert reply["content"]["status"] == "ok"
        assert (manager.kernel_spec.argv[0], manager.kernel_spec.metadata["debugger"]) == (sys.executable, True)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
