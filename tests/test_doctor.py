"""`labkit doctor`: each fault, provoked where it can be, is found, named, and comes with a remedy."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from labkit import cli, doctor, paths
from labkit.course import data
from labkit.errors import LabError

Memory = namedtuple("Memory", "total")
Disk = namedtuple("Disk", "free")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("system", "machine", "ok", "remedy"),
    [
        ("Linux", "x86_64", True, ""),
        ("Linux", "aarch64", True, ""),
        ("Darwin", "arm64", True, ""),
        ("Darwin", "x86_64", False, "macOS on arm64"),
        ("Linux", "riscv64", False, "Linux on x86-64 and arm64"),
        ("Windows", "AMD64", False, "WSL2"),
    ],
)
def test_a_system_that_is_not_supported_is_told_which_are(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, ok: bool, remedy: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    found = doctor.system()
    assert found.ok is ok
    assert remedy in found.remedy
    assert system in found.found


@pytest.mark.parametrize(("version", "ok"), [((3, 10, 9), False), ((3, 11, 0), True), ((3, 14, 0), False)])
def test_a_python_that_is_too_old_or_too_new(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], ok: bool
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert doctor.python().ok is ok
    assert ("3.11 to 3.13" in doctor.python().remedy) is not ok


@pytest.mark.parametrize(("gigabytes", "ok"), [(2, False), (3.4, False), (3.8, True), (16, True)])
def test_too_little_memory_is_a_fault(monkeypatch: pytest.MonkeyPatch, gigabytes: float, ok: bool) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(int(gigabytes * 2**30)))
    found = doctor.resources()
    assert found.ok is ok
    assert ok or found.remedy == "the course needs 4 GB of memory"


def test_a_home_on_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.home().ok
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(2**30))
    found = doctor.home()
    assert not found.ok
    assert "1 GB free" in found.found
    assert "LABKIT_HOME" in found.remedy


def test_a_home_that_cant_be_made(home: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(LabError) as told:
        doctor.home()
    assert "can't be created" in told.value.message
    assert "LABKIT_HOME" in told.value.hint


def test_a_home_on_a_network_is_an_advice(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    monkeypatch.setattr(paths, "mounts", lambda: [("/", "ext4"), (str(home), "nfs4")])
    found = doctor.home()
    assert found.ok
    assert "network file system (nfs4)" in found.remedy
    assert found.line().startswith("note")


@pytest.mark.parametrize("missing", ["tensorflow", "kfp"])
def test_packages_that_are_not_there_are_named_with_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    assert doctor.packages().ok
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name.startswith(missing):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    found = doctor.packages()
    assert not found.ok
    assert missing in found.found.lower()
    assert "pip install -r requirements.txt" in found.remedy


def test_a_kubectl_that_is_not_there_or_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.kubectl().found.startswith("v1.")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    missing = doctor.kubectl()
    assert (missing.ok, missing.found) == (False, "not installed")
    assert "pip install" in missing.remedy
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho not for this machine >&2\nexit 126\n")
    program.chmod(0o755)
    broken = doctor.kubectl()
    assert not broken.ok
    assert "not for this machine" in broken.remedy


def test_isolation_is_found_by_trying_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_PORTABLE", "1")
    assert doctor.isolation().found == "translated paths (portable)"
    monkeypatch.setenv("LABKIT_PORTABLE", "0")
    if paths.portable():
        return
    found = doctor.isolation()
    assert found.ok, "where there are no namespaces that is an advice"
    assert ("mount" in found.found) is not bool(found.remedy)


def test_without_the_data_set_the_digits_stand_in_and_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digits = data.load("digits")
    monkeypatch.setattr(data, "load", lambda _: digits)
    found = doctor.dataset()
    assert found.ok
    assert "digits" in found.found
    assert "dataset-fashion-mnist" in found.remedy


def test_one_fault_does_not_hide_the_others_and_ends_the_command_with_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.write_text("")

    def broken() -> doctor.Finding:
        raise ZeroDivisionError("by zero")

    chosen = {"system": doctor.system, "home": doctor.home, "odd": broken, "python": doctor.python}
    monkeypatch.setattr(doctor, "EXAMINATIONS", chosen)
    assert [(f.name, f.ok) for f in doctor.examine()] == [
        ("system", True),
        ("home", False),
        ("odd", False),
        ("python", True),
    ]
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "FAIL  home " in said
    assert "ZeroDivisionError: by zero" in said
    assert cli.main(["doctor", "-o", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert set(told[0]) == {"name", "ok", "found", "remedy"}
    home.unlink()
    chosen.pop("odd")
    assert cli.main(["doctor"]) == 0
    assert os.listdir(home)
