"""When a fork does what a fresh interpreter would."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kubeproc.runtime.launch import may_fork

ENV = {"PATH": f"{os.path.dirname(sys.executable)}:/usr/bin:/bin", "HOME": "/root"}


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "-m", "labkit.course.training.single"],
        ["python3", "-u", "-c", "print(1)"],
        ["python3", "/tmp/script.py", "--flag"],
        ["python", "-"],
        [sys.executable, "-m", "x"],
    ],
)
def test_python_programs_are_forked(argv: list[str]) -> None:
    assert may_fork(argv, ENV)


@pytest.mark.parametrize(
    "argv",
    [
        *(
            [],
            ["sh", "-c", "python x.py"],
            ["python"],
            ["python", "-O", "x.py"],
            ["python", "-i"],
            ["pythonic", "x.py"],
        ),
        *(["python", "--version"], ["/usr/bin/python3", "x.py"], ["no/such/python", "x.py"]),
    ],
)
def test_other_programs_are_not(argv: list[str]) -> None:
    assert not may_fork(argv, ENV)


@pytest.mark.parametrize(
    "name",
    [
        *("TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS", "LD_PRELOAD", "PYTHONPATH", "PYTHONHASHSEED", "KERAS_BACKEND"),
        *("CUDA_VISIBLE_DEVICES", "XLA_FLAGS", "TF_NUM_INTRAOP_THREADS", "MKL_NUM_THREADS", "omp_num_threads"),
    ],
)
def test_what_is_read_at_import_needs_an_interpreter_of_its_own(name: str) -> None:
    assert not may_fork(["python", "x.py"], ENV | {name: "1"})
    assert may_fork(["python", "x.py"], ENV | {name: "1"}, {name: "1"})
    assert not may_fork(["python", "x.py"], ENV | {name: "1"}, {name: "2"})


def test_other_variables_do_not() -> None:
    env = ENV | {"TF_CONFIG": "{}", "PORT": "1", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2", "LANG": "de"}
    assert may_fork(["python", "x.py"], env)


def test_another_environments_python_is_not_this_one(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)  # as a venv has it: the same program, other packages
    assert not may_fork(["python", "x.py"], ENV | {"PATH": f"{tmp_path}:{ENV['PATH']}"})
