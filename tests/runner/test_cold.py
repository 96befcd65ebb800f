"""Which notebooks need a kernel that is started cold, and that a run's kernel does what JupyterLab's does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from nurseries import Limits, notebook, run, shown
from nurseries import forking as forking
from nurseries import nursery as nursery

from books import NOTEBOOKS, load
from labkit import paths
from labkit.runner import cold
from labkit.runner.kernels import Nursery

SETS = [
    ("import os\nos.environ['KERAS_BACKEND'] = 'jax'", "KERAS_BACKEND"),
    ('from os import environ\nenviron["OMP_NUM_THREADS"]="1"', "OMP_NUM_THREADS"),
    ("import os\nos.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')", "TF_ENABLE_ONEDNN_OPTS"),
    ("import os; os.environ.pop('XLA_FLAGS', None)", "XLA_FLAGS"),
    ("import os; del os.environ['CUDA_VISIBLE_DEVICES']", "CUDA_VISIBLE_DEVICES"),
    ("import os; os.putenv('MPLBACKEND', 'Agg')", "MPLBACKEND"),
    ("%env TF_CPP_MIN_LOG_LEVEL=3", "TF_CPP_MIN_LOG_LEVEL"),
    ("%set_env KUBECONFIG /nowhere", "KUBECONFIG"),
    ("get_ipython().run_line_magic('env', 'OMP_NUM_THREADS=2')\nimport os; os.environ", "OMP_NUM_THREADS"),
    ("import os\ne = os.environ\ne['PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION'] = 'python'", "PROTOCOL_BUFFERS"),
    ("import os\nos.environ.update({'MINE': '1'})", "environment variables"),
    ("import os\nos.environ |= dict(MINE='1')", "environment variables"),
    ("import os\nfor name in names:\n    os.environ[name] = '1'", "environment variables"),
    ("from dotenv import load_dotenv\nload_dotenv()", "environment variables"),
    ("import os\nos.environ['SOME_LIBRARYS_SWITCH'] = '1'", "SOME_LIBRARYS_SWITCH"),
]
READS = [
    "import os\nprint(os.environ['GREETING'], os.environ.get('HOME'))",
    "import os\nif os.environ['OTHER'] == 'x': pass",
    "%env HOME",
    "%env",
    "import os\nchanged = os.environ | {'A': '1'}\nmine = os.environ.copy()",
    "import os, json\nos.environ['TF_CONFIG'] = json.dumps({})",
    "manifest = '''env: [{name: OMP_NUM_THREADS, value: \"1\"}]'''",
    "print('the environment')",
]


@pytest.mark.parametrize(("source", "name"), SETS)
def test_a_cell_that_sets_what_modules_read_needs_a_cold_kernel(tmp_path: Path, source: str, name: str) -> None:
    why = cold.reason([("cell 0", "x = 1"), ("cell 1", source)], tmp_path)
    assert why.startswith("cell 1 ")
    assert name in why


@pytest.mark.parametrize("source", READS)
def test_a_cell_that_only_reads_does_not(tmp_path: Path, source: str) -> None:
    assert cold.reason([("cell 0", source)], tmp_path) == ""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_courses_notebooks_run_on_warm_kernels(path: Path) -> None:
    cells = [("cell", c.source) for c in load(path).cells if c.cell_type == "code"]
    assert cold.reason(cells, path.parent) == ""


def test_a_module_beside_the_notebook_is_looked_at_where_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "outer_helper.py").write_text("import inner_helper")
    (tmp_path / "inner_helper").mkdir()
    (tmp_path / "inner_helper" / "__init__.py").write_text("import os\nos.environ['KERAS_BACKEND'] = 'jax'")
    assert cold.reason([("cell 0", "x = 1")], tmp_path) == ""
    why = cold.reason([("cell 0", "%run outer_helper.py")], tmp_path)
    assert why.startswith("inner_helper sets KERAS_BACKEND")


@pytest.mark.parametrize("name", ["yaml.py", "numpy.py", "kubernetes/__init__.py"])
def test_a_module_that_takes_anothers_name_needs_a_cold_kernel(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    assert "has the name of another module" in cold.reason([], tmp_path)
    (tmp_path / name).rename(tmp_path / name.replace(".py", "_of_mine.py"))
    assert cold.reason([], tmp_path) == ""


def test_the_standard_library_comes_before_the_notebooks_folder(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("")
    assert cold.reason([("cell 0", "import random")], tmp_path) == ""


def test_a_configuration_beside_the_notebook_needs_a_cold_kernel(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("figure.dpi: 50\n")
    assert "matplotlibrc" in cold.reason([], tmp_path)


SEEN = """
import os, json
os.environ["MPLBACKEND"] = "svg"
import matplotlib
import numpy
print(json.dumps({"backend": matplotlib.get_backend()}))
"""


def test_what_a_cell_sets_before_the_first_import_is_honoured_and_the_report_says_how(
    tmp_path: Path, nursery: Nursery | None
) -> None:
    result = run(notebook(tmp_path, "X = 1", SEEN), tmp_path / "out", nursery)
    assert (result.outcome, result.error) == ("passed", None)
    assert json.loads(shown(result, tmp_path / "out"))["backend"].lower() == "svg"
    notes = ["its kernel starts cold: cell 1 sets MPLBACKEND, and modules read such variables when they are imported"]
    assert result.notes == (notes if nursery else [])


@pytest.mark.slow
def test_keras_has_the_backend_that_a_cell_chooses(tmp_path: Path) -> None:
    """On a warm parent that has imported TensorFlow, and Keras with it."""
    if paths.portable():
        pytest.skip("no warm parents here")
    code = "import os\nos.environ['KERAS_BACKEND'] = 'mine'\nimport keras"
    parent = Nursery(tmp_path / "log", {"tensorflow"})
    try:
        result = run(notebook(tmp_path, "X = 1", code), tmp_path / "out", parent, Limits(100, 100))
    finally:
        parent.close()
    assert result.error
    assert (result.error.cell, "mine" in result.error.message) == (1, True), "Keras has no such backend, and says so"


def test_where_nothing_is_set_figures_are_drawn_in_the_notebook(tmp_path: Path, nursery: Nursery | None) -> None:
    result = run(
        notebook(tmp_path, "X = 1", "import matplotlib\nprint(matplotlib.get_backend())"), tmp_path / "out", nursery
    )
    assert shown(result, tmp_path / "out").strip() in ("inline", "module://matplotlib_inline.backend_inline")
    assert result.notes == []


SAME = """
import sys, subprocess, os
print(os.path.realpath(sys.executable), sys.prefix)
!python -c "import sys, os; print(os.path.realpath(sys.executable), sys.prefix)"
!pip --version | cut -d' ' -f4
print(sys.path.count(''), os.getcwd() in sys.path, __name__, hasattr(sys.modules['__main__'], '__file__'))
"""


def test_python_in_a_shell_line_is_the_environments_though_it_is_not_activated(
    tmp_path: Path, nursery: Nursery | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.path.dirname(sys.executable)
    elsewhere = [p for p in os.environ["PATH"].split(os.pathsep) if p != own]
    monkeypatch.setenv("PATH", os.pathsep.join(elsewhere))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    result = run(notebook(tmp_path, "X = 1", SAME), tmp_path / "out", nursery)
    lines = shown(result, tmp_path / "out").splitlines()
    assert lines[0] == lines[1] == f"{os.path.realpath(sys.executable)} {sys.prefix}"
    assert lines[-1] == "1 False __main__ False"


def test_modules_beside_the_notebook_break_no_kernel(tmp_path: Path, nursery: Nursery | None) -> None:
    for name in sorted(sys.stdlib_module_names):
        if not name.startswith("_"):
            (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('the {name} of a student')")
    (tmp_path / "mine.py").write_text("value = 'my own module'")
    result = run(notebook(tmp_path, "X = 1", "print(X)", "import mine\nprint(mine.value)"), tmp_path / "out", nursery)
    assert (result.outcome, result.error) == ("passed", None)
    assert "my own module" in shown(result, tmp_path / "out")


def test_a_student_module_is_imported_in_place_of_one_that_only_the_warm_parent_knows(
    tmp_path: Path, forking: Nursery | None
) -> None:
    (tmp_path / "yaml.py").write_text("mine = 'the student'")
    result = run(notebook(tmp_path, "X = 1", "import yaml\nprint(yaml.mine)"), tmp_path / "out", forking)
    assert (result.outcome, result.error) == ("passed", None)
    assert paths.portable() or "yaml.py beside it" in result.notes[0]


def test_a_forked_kernel_has_pythonpath_as_a_started_one_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if paths.portable():
        pytest.skip("no warm parents here")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "on_the_path.py").write_text("value = 42")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    nursery = Nursery(tmp_path / "log", frozenset())
    try:
        result = run(notebook(tmp_path, "import on_the_path\nprint(on_the_path.value)"), tmp_path / "out", nursery)
    finally:
        nursery.close()
    assert (result.outcome, result.notes) == ("passed", [])
