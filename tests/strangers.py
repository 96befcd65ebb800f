"""Programs as another user of this machine, who may read neither root's home nor, perhaps, the folder of this checkout.

In a mount namespace of its own whatever is closed to others is covered by an empty folder, into which what the program needs
(Python, the packages, the checkout) is bound. Nothing of that is seen outside.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOBODY = 65534
KIT = [ROOT / name for name in ("labkit", "cluster", "notebooks", "workflows")]
PACKAGES = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
NEEDED = {Path(folder).resolve() for folder in (sys.base_prefix, sys.prefix, *PACKAGES, *KIT)}


class Stranger:
    """Runs commands as the user NOBODY; `public` is a folder that everybody may enter."""

    def __init__(self, public: Path) -> None:
        self.public = public
        self.script = public / "become"
        self.script.write_text(self._script())

    def _script(self) -> str:
        needed = sorted(NEEDED)
        needed = [p for p in needed if not any(p != other and p.is_relative_to(other) for other in needed)]
        covers = sorted({closed for path in needed if (closed := closed_part(path))})
        lines = []
        hidden = [p for p in needed if any(p.is_relative_to(cover) for cover in covers)]
        for number, path in enumerate(hidden):
            aside = self.public / str(number)
            aside.mkdir()
            lines.append(f"mount --bind {shlex.quote(str(path))} {aside}")
        lines += [f"mount -t tmpfs -o mode=755 none {shlex.quote(str(cover))}" for cover in covers]
        for number, path in enumerate(hidden):
            where = shlex.quote(str(path))
            lines.append(f"mkdir -p {where} && mount --bind {self.public / str(number)} {where}")
        become = f'exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups "$@"'
        return "\n".join(["set -e", "umask 022", *lines, become, ""])

    def home(self, name: str) -> Path:
        """A folder of the user's own."""
        made = self.public / name
        made.mkdir()
        os.chown(made, NOBODY, NOBODY)
        return made

    def run(self, *command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", str(self.script), *command],
            env=env, cwd="/", capture_output=True, text=True, timeout=90,
        )  # fmt: skip


def closed_part(path: Path) -> Path | None:
    """The outermost folder of the path that others may not enter."""
    return next((p for p in (*reversed(path.parents), path) if p.stat().st_mode & 0o005 != 0o005), None)


@contextmanager
def stranger() -> Iterator[Stranger]:
    """Skips the test where this user can't become another, or can't make mount namespaces."""
    if os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"):
        pytest.skip("needs root, to become another user")
    with tempfile.TemporaryDirectory() as folder:
        public = Path(folder)
        public.chmod(0o755)
        if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", folder], capture_output=True).returncode:
            pytest.skip("needs mount namespaces, to show another user this checkout")
        if any(closed_part(path) == path for path in NEEDED):
            pytest.skip("this checkout or its packages were made with a umask that closes every file to others")
        found = Stranger(public)
        seen = found.run(sys.executable, "-c", "import labkit.cli, kubernetes, starlette", env={})
        assert seen.returncode == 0, seen.stderr
        yield found
