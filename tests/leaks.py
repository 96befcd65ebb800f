"""A pytest plugin: whatever a run of the tests leaves behind, a process or a file, fails it, with one worker or with many.

Each process that runs tests looks for children of its own when its last fixture has ended. The one that was started (with
xdist the controller, which runs no test) then looks through the whole machine for what carries the run's mark: every
process that is started here inherits it, or has the run's temporary folder in its environment, command line or working
folder. That folder is the tests' TMPDIR, so that other runs on this machine and other workers never meet; it must be
empty once the processes that ran tests have ended, which delete some files only then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

MARK = "LABKIT_TESTS"  # in the environment of whatever the run starts: the run's temporary folder
FOUND = "left behind"
PATIENCE = 5.0  # seconds in which what has been told to end may do so
STORY = pytest.StashKey[list[str]]()


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[STORY] = []
    if is_worker(config):
        folder = Path(os.environ[MARK]) / config.workerinput["workerid"]
        folder.mkdir(mode=0o711)
    else:
        # pytest's own folders stay where they are: the last three runs' are kept there to be looked at.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
        folder = Path(tempfile.mkdtemp(prefix="lt-"))  # short: sockets lie below it
        folder.chmod(0o711)  # other users' tests pass through
        os.environ[MARK] = str(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    if not is_worker(config):
        atexit.register(clear, folder)  # before all others, so that it is called after them


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    story, mark = session.config.stash[STORY], os.environ[MARK]
    if client := sys.modules.get("kubernetes.config.kube_config"):
        client._cleanup_temp_files()  # which it does at exit; xdist's workers come to no exit
    story += end(psutil.Process().children(recursive=True))
    if is_worker(session.config):
        session.config.workeroutput[FOUND] = story  # type: ignore[attr-defined]
        return
    story += end(marked(mark))
    for folder in Path(mark).glob("gw*"):  # xdist's, of workers that have ended
        story += files(folder)
        shutil.rmtree(folder, ignore_errors=True)
    if story and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """A worker has ended."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    config.stash[STORY] += getattr(node, "workeroutput", {}).get(FOUND, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if story := config.stash[STORY]:
        terminalreporter.section("left behind by the tests: this fails the run", red=True)
        for line in story:
            terminalreporter.write_line(line)


def marked(mark: str) -> list[psutil.Process]:
    """Every process of this machine that the run has started, this one and its parents aside."""
    aside = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    return [p for p in psutil.process_iter() if p.pid not in aside and mark in words(p)]


def words(process: psutil.Process) -> str:
    """Environment, command line and working folder, as far as this user may see them."""
    found: list[str] = []
    for look in (lambda: list(process.environ().values()), process.cmdline, lambda: [process.cwd()]):
        with contextlib.suppress(psutil.Error, OSError):
            found += look()
    return "\n".join(found)


def end(processes: Iterable[psutil.Process]) -> list[str]:
    """Kill what does not end by itself; a line for each."""
    _, left = psutil.wait_procs(list(processes), timeout=PATIENCE)
    lines = []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            lines.append(f"process {process.pid}: {' '.join(process.cmdline())[:300] or process.name()}")
            process.kill()
    return lines


def files(folder: Path) -> list[str]:
    """A line for each thing that is in the folder, aside from modules of TensorFlow's, which it leaves when it is killed."""
    of_tensorflow = ("__autograph_generated_file", "__pycache__")
    return [f"file {path}" for path in sorted(folder.iterdir()) if not path.name.startswith(of_tensorflow)]


def clear(folder: Path) -> None:
    """The last thing that the first process does: look at its own temporary files, which the others have deleted by now."""
    left = files(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if left:
        print("left behind by the tests: this fails the run", *left, sep="\n")
        sys.stdout.flush()
        os._exit(1)
