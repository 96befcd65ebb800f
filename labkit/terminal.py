"""The shell of JupyterLab's terminals: the user's own, with the environment's programs and the cluster at hand.

A login shell reads /etc/profile, which resets PATH on many systems, and so may the other files that a shell reads
when it starts. So this sets what is needed after them.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path


def command(shell: str, folder: Path, bin: str, variables: Mapping[str, str]) -> list[str]:
    """The command of a terminal whose PATH begins with `bin` and whose environment has `variables`; `folder` gets the file
    that it reads. A shell that is not known here is replaced by bash, or sh."""
    name = Path(shell).name
    if name not in SHELLS:
        shell = shutil.which("bash") or "/bin/sh"
        name = Path(shell).name
    folder.mkdir(parents=True, exist_ok=True)
    return SHELLS[name](shell, folder, bin, variables)


def _exports(bin: str, variables: Mapping[str, str]) -> str:
    lines = [f'export PATH={shlex.quote(bin)}:"$PATH"']
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join(lines) + "\n"


def _bash(shell: str, folder: Path, bin: str, variables: Mapping[str, str]) -> list[str]:
    file = folder / "bashrc"
    file.write_text("[ -r ~/.bashrc ] && . ~/.bashrc\n" + _exports(bin, variables))
    return [shell, "--rcfile", str(file), "-i"]


def _zsh(shell: str, folder: Path, bin: str, variables: Mapping[str, str]) -> list[str]:
    for name in (".zshenv", ".zshrc"):
        (folder / name).write_text(f"[ -r ~/{name} ] && . ~/{name}\n")
    with (folder / ".zshrc").open("a") as file:
        file.write("ZDOTDIR=$HOME\n" + _exports(bin, variables))
    return ["/usr/bin/env", f"ZDOTDIR={folder}", shell, "-i"]


def _sh(shell: str, folder: Path, bin: str, variables: Mapping[str, str]) -> list[str]:
    file = folder / "shrc"
    file.write_text(_exports(bin, variables))
    return ["/usr/bin/env", f"ENV={file}", shell, "-i"]


def _fish(shell: str, folder: Path, bin: str, variables: Mapping[str, str]) -> list[str]:
    commands = [f"set -gx PATH {shlex.quote(bin)} $PATH"]
    commands += [f"set -gx {name} {shlex.quote(value)}" for name, value in variables.items()]
    return [shell, "-i", "-C", "; ".join(commands)]


SHELLS: dict[str, Callable[[str, Path, str, Mapping[str, str]], list[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
    "sh": _sh,
    "dash": _sh,
    "ksh": _sh,
}
