"""A run of the tests that leaves something behind fails, whichever worker left it; one that leaves nothing does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

TESTS = Path(__file__).parent
ONE, TWO = str(10_000_000 + os.getpid()), str(20_000_000 + os.getpid())  # seconds that no other process sleeps
CLEAN = "def test_nothing():\n    pass\n"
CHILD = f"import subprocess\ndef test_child():\n    subprocess.Popen(['sleep', '{ONE}'], env={{}}, cwd='/')\n"
# Its parent has ended, so that it is nobody's child; all that it has of the run is what it inherits.
DETACHED = f"'sleep {TWO} >/dev/null 2>&1 &', shell=True, start_new_session=True"
ORPHAN = f"import subprocess\ndef test_orphan():\n    subprocess.run({DETACHED})\n"
IN_A_FOLDER = ORPHAN.replace("test_orphan", "test_there").replace("True)", "True, env={}, cwd=tempfile.gettempdir())")
FILE = "import tempfile\ndef test_file():\n    tempfile.mkstemp(prefix='forgotten')\n"


def run(folder: Path, *options: str, **sources: str) -> subprocess.CompletedProcess[str]:
    """pytest with the plugin alone, on tests in a folder of their own."""
    for name, source in sources.items():
        (folder / f"test_{name}.py").write_text(source)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_XDIST", "PYTEST_ADD"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "leaks",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        *options,
    ]
    return subprocess.run(
        [*command, str(folder)],
        env=env | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=100,
    )


def sleeping(seconds: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", seconds]]


WORKERS = [pytest.param((), id="one process"), pytest.param(("-n", "2"), id="two workers")]


@pytest.mark.parametrize("options", WORKERS)
def test_every_kind_of_leak_fails_the_run_and_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    sources = {
        "child": CHILD,
        "orphan": ORPHAN,
        "there": "import tempfile\n" + IN_A_FOLDER,
        "file": FILE,
        "clean": CLEAN,
    }
    done = run(tmp_path, *options, **sources)
    assert "5 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
    assert "left behind by the tests" in done.stdout
    assert done.stdout.count(f": sleep {ONE}") == 1
    assert done.stdout.count(f": sleep {TWO}") == 2
    assert done.stdout.count("forgotten") == 1
    assert not sleeping(ONE)
    assert not sleeping(TWO)


@pytest.mark.parametrize("options", WORKERS)
def test_a_run_that_leaves_nothing_passes(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, *options, clean=CLEAN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left behind" not in done.stdout


def test_what_a_worker_that_died_has_left_is_found_too(tmp_path: Path) -> None:
    dies = f"import os\n{CHILD.replace('env={}, ', '')}    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    done = run(tmp_path, "-n", "2", "--max-worker-restart", "0", dies=dies, clean=CLEAN)
    assert done.returncode == 1
    assert done.stdout.count(f": sleep {ONE}") == 1
    assert not sleeping(ONE)
