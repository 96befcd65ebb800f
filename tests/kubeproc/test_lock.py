"""The daemons' locks, and what they tell who started them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kubeproc import engine, lock, ready
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder


def test_a_lock_names_its_holder_and_admits_one(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path)
    folder.run.mkdir()
    path = folder.run / "server.lock"
    path.touch(0o600)
    path.write_text("123456789\n")  # of one that was killed
    assert not engine.daemon(folder, "server").alive
    with lock.hold(path, "server"):
        assert path.read_text() == f"{os.getpid()}\n"
        assert engine.daemon(folder, "server").pid == os.getpid()
        began = time.monotonic()
        with pytest.raises(HintedError, match=f"a server for {tmp_path} is running already"):
            lock.hold(path, "server")
        assert time.monotonic() - began < 1
    assert not engine.daemon(folder, "server").alive
    assert path.stat().st_mode & 0o077 == 0


def test_a_status_check_does_not_keep_a_daemon_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    with path.open("a") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        threading.Timer(0.5, lambda: fcntl.flock(asking, fcntl.LOCK_UN)).start()
        with lock.hold(path, "server"):
            assert path.read_text() == f"{os.getpid()}\n"


def test_the_pid_of_a_dead_holder_is_ignored(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path)
    folder.run.mkdir()
    path = folder.run / "server.lock"
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    path.write_text(f"{dead.pid}\n")
    with path.open("r+") as new:
        fcntl.flock(new, fcntl.LOCK_EX)  # it has the lock, and has not yet said who it is
        threading.Timer(0.2, lambda: path.write_text(f"{os.getpid()}\n")).start()
        assert engine.daemon(folder, "server").pid == os.getpid()


def test_a_lock_that_is_kept_ends_with_its_process(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path)
    folder.run.mkdir()
    code = f"""
import atexit, sys
from pathlib import Path
from kubeproc import engine, lock
from kubeproc.folder import ClusterFolder
folder = ClusterFolder(Path({str(tmp_path)!r}))
atexit.register(lambda: print(engine.daemon(folder, "server").pid))
lock.keep(folder.run / "server.lock", "server")
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate(timeout=30)
    assert said == f"{process.pid}\n", "held to the very end"
    assert not engine.daemon(folder, "server").alive


def test_a_pipe_tells_readiness_a_reason_or_a_silent_end() -> None:
    for tell, expected in ((ready.say, True), (os.close, False)):
        read, write = os.pipe()
        tell(write)
        assert ready.read(read) is expected
        os.close(read)
    read, write = os.pipe()
    ready.fail(write, HintedError("the disk is full", "make room"))
    with pytest.raises(HintedError, match="the disk is full", check=lambda e: e.hint == "make room"):
        ready.read(read)
    os.close(read)
    ready.say(None)
