"""What a notebook declares: its parameters, what it imports, and whether it must run alone."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import LabError
from labkit.runner import parameters
from labkit.runner.swift import nbformat

CONFLICT = b"<<<<<<< "  # how a line begins that git leaves where two changes of a file met


@dataclass(frozen=True)
class Source:
    """A notebook to run; `name` is its own in the run. `parameters` are the names that a run can set, `late` those that its
    second cell tagged `parameters` would set back; `unclear`: nobody knows, since such a cell is no Python. Of a file that
    can't be read as a notebook `trouble` says why; there is nothing to run in it."""

    path: Path
    name: str
    parameters: frozenset[str]
    imports: frozenset[str]  # top-level modules that its cells import
    exclusive: bool  # measures time: nothing else may run beside it
    prewarm: bool  # its pods import TensorFlow: the cluster begins with that at once
    cells: int  # code cells
    sha256: str
    trouble: str = ""
    late: frozenset[str] = frozenset()
    unclear: bool = False


def read_or_explain(path: Path, name: str) -> Source:
    """Look into a notebook; what is wrong with its file is its `trouble`, and no other notebook's."""
    try:
        return read(path, name)
    except Exception as error:
        trouble = str(error) if isinstance(error, LabError) else f"{path} can't be read: {_first_line(error)}"
        return unreadable(path, name, trouble)


def unreadable(path: Path, name: str, trouble: str) -> Source:
    try:
        sha256 = hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
    except OSError:
        sha256 = ""
    nothing: frozenset[str] = frozenset()
    return Source(Path(os.path.realpath(path)), name, nothing, nothing, False, False, 0, sha256, trouble=trouble)


def read(path: Path, name: str = "") -> Source:
    """Look into a notebook without running it; LabError names what is wrong with the file."""
    if path.is_dir():
        raise LabError(f"{path} is a folder that can't be read", f"chmod u+rx {path}")
    if path.exists() and not path.is_file():  # a named pipe would wait for a writer
        raise LabError(f"{path} is not an ordinary file", "name .ipynb files or folders of them")
    try:
        body = path.read_bytes()
        notebook = nbformat.reads(body.decode(), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # of JSON that is no notebook nbformat says AttributeError, KeyError, TypeError, ...
        raise LabError(f"{path} can't be read as a notebook: {_why(error, path)}", _remedy(error, path)) from error
    code = [c for c in notebook.cells if c.cell_type == "code"]
    declared = parameters.declared(notebook.cells)
    settable, late = declared or (frozenset(), frozenset())
    return Source(
        path=Path(os.path.realpath(path)),
        name=name or path.stem,
        parameters=settable,
        imports=frozenset(module for cell in code for module in parameters.imported(cell.source)),
        exclusive=bool(notebook.metadata.get("exclusive")),
        prewarm=bool(notebook.metadata.get("prewarm")),
        cells=len(code),
        sha256=hashlib.sha256(body).hexdigest(),
        late=late,
        unclear=declared is None,
    )


def _why(error: Exception, path: Path) -> str:
    """In a line; for text that is no JSON the place where it ceases to be."""
    if isinstance(error, nbformat.reader.NotJSONError):
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError) as place:
            error = place
    return error.strerror or _first_line(error) if isinstance(error, OSError) else _first_line(error)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _remedy(error: Exception, path: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is a link to a file that is gone: delete it, or mend it with ln -sf"
    if isinstance(error, OSError):
        return f"chmod u+r {path}"
    if isinstance(error, nbformat.ValidationError):
        return "open it in JupyterLab and save it again"
    if any(line.startswith(CONFLICT) for line in path.read_bytes().splitlines()):
        return f"it has an unresolved git conflict: git checkout --ours {path} (or --theirs)"
    return f"get it again from its source, such as with git checkout {path}; JupyterLab can't open it either"
