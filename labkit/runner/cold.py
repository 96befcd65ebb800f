"""Which notebooks need a kernel that is started cold, since one forked from a warm parent would differ from JupyterLab's.

The warm parent has imported TensorFlow, Keras, matplotlib and the Kubernetes client. Where a cell changes the environment
that they read when they are imported, or a file beside the notebook takes a module's name or configures one, only an
interpreter of its own does what JupyterLab's does. A kernel that is cold without need costs seconds; one that is warm against
the notebook's wish changes its results. So this looks at the text, and in doubt the kernel is cold.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

from kubeproc.warm.settings import READ_AT_IMPORT

HARMLESS = {"TF_CONFIG", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
NAME = r"\s*b?(?P<quote>['\"])(?P<name>\w+)(?P=quote)\s*"
ENDS = r"(?:=(?!=)|\|=|\+=)"
WRITES = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        rf"environb?\s*\[{NAME}\]\s*{ENDS}",
        rf"environb?\s*\.\s*(?:setdefault|pop|__setitem__|__delitem__)\s*\({NAME}",
        rf"\b(?:putenv|unsetenv|setenv|delenv)\s*\({NAME}",
        rf"\bdel\b[^\n]*environb?\s*\[{NAME}\]",
        r"%(?:set_)?env\s+(?P<name>\w+)[=\s]\s*\S",
    )
]
UNCLEAR = re.compile(  # it changes the environment, and who knows which variable
    r"environb?\s*(?:\[\s*[^'\"\]\s][^\]]*\]\s*=(?!=)|\.\s*(?:update|clear|popitem)\s*\(|\|=)"
    r"|environb?\s*\.\s*(?:setdefault|pop)\s*\(\s*[^'\"\s]|\b(?:putenv|unsetenv)\s*\(\s*[^'\"\sb]"
    r"|=\s*(?:os\s*\.\s*)?environ\s*(?:$|[#;,])|dotenv|patch\s*\.\s*dict\s*\([^)]*environ",
    re.MULTILINE,
)
MAY_WRITE = re.compile(r"environ|putenv|setenv|%(?:set_)?env\b|\b(?:set_)?env\s")
LISTED = re.compile(rf"\b(?:{'|'.join(READ_AT_IMPORT)})[A-Z0-9_]*\b")
CONFIGURATIONS = ("matplotlibrc",)  # what a module reads from the folder in which it is imported
LARGE = 1 << 20  # bytes of a file of code that is not looked at


def reason(cells: Iterable[tuple[str, str]], folder: Path) -> str:
    """Why a notebook of these cells (what each is called, and its source) needs a cold kernel; '' if it does not."""
    cells = list(cells)
    texts = [*cells, *_used(cells, folder)]
    alters = any(MAY_WRITE.search(source) for _, source in texts)
    for where, source in texts:
        if why := _changes(source, alters):
            return f"{where} {why}"
    return _of_folder(folder) or _of_path()


def _changes(source: str, alters: bool) -> str:
    names = {match["name"] for pattern in WRITES for match in pattern.finditer(source)}
    if alters:  # by another name for it perhaps
        names |= set(LISTED.findall(source))
    names -= HARMLESS
    if names:
        return f"sets {', '.join(sorted(names))}, and modules read such variables when they are imported"
    if UNCLEAR.search(source):
        return "changes environment variables, and modules read some when they are imported"
    return ""


def _used(cells: list[tuple[str, str]], folder: Path) -> list[tuple[str, str]]:
    """The files of Python code beside the notebook that its cells, or such a file, mention."""
    found: list[tuple[str, str]] = []
    unseen = {path.stem: path for path in modules(folder)}
    said = "\n".join(source for _, source in cells)
    while now := [name for name in unseen if re.search(rf"\b{re.escape(name)}\b", said)]:
        texts = [(unseen[name].name, _text(unseen.pop(name))) for name in now]
        found += texts
        said = "\n".join(source for _, source in texts)
    return found


def modules(folder: Path) -> list[Path]:
    """What can be imported from the folder: files, and a package's first file under the package's name."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    files = [entry for entry in entries if entry.suffix == ".py" and entry.is_file()]
    return files + [entry for entry in entries if (entry / "__init__.py").is_file()]


def _text(path: Path) -> str:
    file = path / "__init__.py" if path.is_dir() else path
    try:
        return file.read_text(errors="replace") if file.stat().st_size < LARGE else ""
    except OSError:
        return ""


def _of_folder(folder: Path) -> str:
    """A module of the standard library comes before one in the notebook's folder, and an installed one after it."""
    for path in modules(folder):
        if path.stem not in sys.stdlib_module_names and _elsewhere(path.stem, folder):
            return f"{path.name} beside it has the name of another module"
    for name in CONFIGURATIONS:
        if (folder / name).is_file():
            return f"{name} beside it is read when its module is imported"
    return ""


def _elsewhere(name: str, folder: Path) -> bool:
    """Whether the environment has a module of that name."""
    paths = [p for p in sys.path if p and not (os.path.isdir(p) and os.path.samefile(p, folder))]
    try:
        found = PathFinder.find_spec(name, paths)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None


def _of_path() -> str:
    """PYTHONPATH may name folders by their way from the notebook's."""
    entries = os.environ.get("PYTHONPATH", "")
    if entries and not all(map(os.path.isabs, entries.split(os.pathsep))):
        return "PYTHONPATH has a folder that is relative to the notebook's"
    return ""
