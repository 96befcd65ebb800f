"""The shell of a terminal has the environment's programs and the cluster, whatever the user's own files say."""

from __future__ import annotations

import os
import pty
import select
import shutil
import time
from pathlib import Path

import pytest

from labkit import terminal

VARIABLES = {"KUBECONFIG": "/a place/it's/kubeconfig", "LABKIT_CLUSTER": "labkit"}


def say(command: list[str], home: Path, words: str) -> str:
    """What a terminal of that command prints after the words were typed into it."""
    pid, screen = pty.fork()
    if pid == 0:
        os.environ.update(
            HOME=str(home), TMPDIR=str(home), XDG_RUNTIME_DIR=str(home), PATH="/usr/bin:/bin", PS1="$ ", TERM="dumb"
        )
        for name in (*VARIABLES, "ENV", "BASH_ENV"):
            os.environ.pop(name, None)
        os.execv(command[0], command)
    os.write(screen, f"{words}; echo the-'end'\nexit\n".encode())
    said, until = b"", time.monotonic() + 30
    while b"the-end" not in said and select.select([screen], [], [], until - time.monotonic())[0]:
        try:
            said += os.read(screen, 65536)
        except OSError:  # it has ended
            break
    os.close(screen)
    os.waitpid(pid, 0)
    return said.decode()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "dash", "sh", "tcsh"])
def test_a_terminal_has_the_environments_programs_and_the_cluster(shell: str, tmp_path: Path) -> None:
    path = shutil.which(shell) or (f"/usr/bin/{shell}" if shell == "tcsh" else None)
    if path is None:
        pytest.skip(f"no {shell} here")
    for file in (".bashrc", ".zshrc", ".profile"):
        (tmp_path / file).write_text("PATH=/usr/bin:/bin\nexport MINE=yes KUBECONFIG=/another\n")
    bin = tmp_path / "with space" / "bin"
    bin.mkdir(parents=True)
    (bin / "labkit").write_text("#!/bin/sh\necho 'the right one'\n")
    (bin / "labkit").chmod(0o755)
    command = terminal.command(path, tmp_path / "shell", str(bin), VARIABLES)
    said = say(command, tmp_path, 'labkit; echo "<$KUBECONFIG|$LABKIT_CLUSTER|$MINE>"')
    assert "the right one" in said
    own = "yes" if shell in ("bash", "zsh", "tcsh") else ""
    assert f"<{VARIABLES['KUBECONFIG']}|labkit|{own}>" in said.replace("\r\n", "")
