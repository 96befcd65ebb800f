"""Which notebooks a run has, and what each declares: its parameters and whether it must run alone."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import LabError
from labkit.runner.swift import nbformat

CONFLICT = b"<<<<<<< "  # how a line begins that git leaves where two changes of a file met


@dataclass(frozen=True)
class Source:
    """A notebook to run. `parameters` are the names that its cell tagged `parameters` assigns. Of a file that can't be read
    as a notebook `trouble` says why; there is nothing to run in it."""

    path: Path
    name: str
    parameters: frozenset[str]
    imports: frozenset[str]  # top-level modules that its cells import
    exclusive: bool  # measures time: nothing else may run beside it
    prewarm: bool  # its pods import TensorFlow: the cluster begins with that at once
    cells: int  # code cells
    sha256: str
    trouble: str = ""


def find(paths: Sequence[str | Path]) -> list[Source]:
    """The notebooks named, and those in the folders named, in order of their names; LabError where one isn't there."""
    found: dict[Path, None] = {}
    for given in map(Path, paths):
        if given.is_dir():
            inside = sorted(p for p in given.rglob("*.ipynb") if not any(x.startswith(".") for x in p.parts))
            if not inside:
                raise LabError(f"no notebooks in {given}", "name a folder with .ipynb files, or a notebook")
            found.update(dict.fromkeys(inside))
        elif given.suffix == ".ipynb" and given.is_file():
            found[given] = None
        else:
            raise LabError(f"{given} is no notebook", "name .ipynb files or folders of them")
    sources = [read_or_tell(path) for path in found]
    names = [s.name for s in sources]
    for twice in {n for n in names if names.count(n) > 1}:
        raise LabError(f"two notebooks are named {twice}", "run them one after another, or rename one")
    return sources


def read_or_tell(path: Path) -> Source:
    """Look into a notebook; what is wrong with its file is its `trouble`, and no other notebook's."""
    try:
        return read(path)
    except LabError as error:
        body = path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else b""
        nothing: frozenset[str] = frozenset()
        sha256 = hashlib.sha256(body).hexdigest()
        return Source(path.resolve(), path.stem, nothing, nothing, False, False, 0, sha256, trouble=str(error))


def read(path: Path) -> Source:
    """Look into a notebook without running it; LabError names what is wrong with the file."""
    try:
        body = path.read_bytes()
        notebook = nbformat.reads(body.decode(), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # of JSON that is no notebook nbformat says AttributeError, KeyError, TypeError, ...
        raise LabError(f"{path} can't be read as a notebook: {_why(error, path)}", _remedy(error, path)) from error
    code = [c for c in notebook.cells if c.cell_type == "code"]
    tagged = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    return Source(
        path=path.resolve(),
        name=path.stem,
        parameters=frozenset(name for cell in tagged for name in assigned(cell.source)),
        imports=frozenset(name for cell in code for name in imported(cell.source)),
        exclusive=bool(notebook.metadata.get("exclusive")),
        prewarm=bool(notebook.metadata.get("prewarm")),
        cells=len(code),
        sha256=hashlib.sha256(body).hexdigest(),
    )


def _why(error: Exception, path: Path) -> str:
    """In a line; for text that is no JSON the place where it ceases to be."""
    if isinstance(error, nbformat.reader.NotJSONError):
        try:
            json.loads(path.read_bytes())
        except ValueError as place:
            error = place
    words = str(error).splitlines() or [type(error).__name__]
    return error.strerror or words[0] if isinstance(error, OSError) else words[0]


def _remedy(error: Exception, path: Path) -> str:
    if isinstance(error, OSError):
        return f"chmod u+r {path}"
    if isinstance(error, nbformat.ValidationError):
        return "open it in JupyterLab and save it again"
    if any(line.startswith(CONFLICT) for line in path.read_bytes().splitlines()):
        return f"it has a conflict of git's in it: git checkout --ours {path} (or --theirs)"
    return f"take it anew from where it came from, such as by git checkout {path}; JupyterLab can't open it either"


def parsed(source: str) -> ast.Module:
    """A cell's syntax tree; an empty one where it is not plain Python (a `%` or `!` line)."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module([], [])


def imported(source: str) -> set[str]:
    """The top-level modules that a cell imports, anywhere in it."""
    found = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def assigned(source: str) -> set[str]:
    """The names that a cell's top-level assignments bind."""
    targets: list[ast.expr] = []
    for node in parsed(source).body:
        if isinstance(node, ast.Assign):
            targets += node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets.append(node.target)
    return {t.id for t in targets if isinstance(t, ast.Name)}


def check_parameters(sources: Sequence[Source], parameters: dict[str, str]) -> None:
    """LabError for a parameter that no notebook of the run declares."""
    known = set().union(*(s.parameters for s in sources)) if sources else set()
    for name in parameters:
        if name not in known:
            raise LabError(
                f"no notebook of this run has a parameter {name!r}", f"known: {', '.join(sorted(known)) or 'none'}"
            )


def typed(value: str) -> Any:
    """A parameter's value from the command line, as papermill types it: yes/no and numbers, else the text."""
    lowered = value.strip().lower()
    if lowered in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[lowered]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
