"""Parameters: the values of `-p` and `-r`, the names that a notebook's cells assign, and whether they match.

Papermill puts the values into a cell behind the first one tagged `parameters`, in place of a cell that an earlier run has
put there. A name that only a later tagged cell assigns would be lost: it is refused.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labkit.errors import LabError

PYTHON_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")  # the rest of such a cell is Python
# ValueError: half of a surrogate pair. The others: an expression that is too deep for the parser.
UNPARSABLE = (ValueError, RecursionError, MemoryError)
SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def given(typed_ones: Sequence[Sequence[str]], raw: Sequence[Sequence[str]] = ()) -> dict[str, Any]:
    """The values of `-p NAME VALUE` and `-r NAME TEXT`; LabError for one that no report can hold."""
    for name, text in [*typed_ones, *raw]:
        if not _utf8(name + text):
            raise LabError(f"the parameter {name!r} is not UTF-8: {text!r}", "set the terminal's encoding to UTF-8")
    values = {name: typed(value) for name, value in typed_ones}
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise LabError(
                f"-p {name}: {value} is a number that neither a notebook file nor a report can hold",
                f"pass it as text with -r {name}, and read it with float({name})",
            )
    values.update((name, text) for name, text in raw)
    return values


def _utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def typed(value: str) -> Any:
    """A parameter's value from the command line: true, false and none in any case, numbers, else the text. Papermill's
    rule, but for the case."""
    lowered = value.strip().lower()
    if lowered in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[lowered]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def parsed(source: str) -> ast.Module | None:
    """A cell's syntax tree, with its magics and shell lines as IPython reads them; None if it is not Python."""
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        return parsed(rest) if first.split()[0] in PYTHON_MAGICS else ast.Module([], [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in a student's text
        try:
            return ast.parse(source)
        except SyntaxError:
            return _transformed(source)
        except UNPARSABLE:
            return None


def _transformed(source: str) -> ast.Module | None:
    from IPython.core.inputtransformer2 import TransformerManager  # takes a while, and few cells need it

    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, *UNPARSABLE):
        return None


def imported(source: str) -> set[str]:
    """The top-level modules that a cell imports, anywhere in it."""
    found = set()
    for node in ast.walk(parsed(source) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def assigned(source: str) -> set[str]:
    """The names that a cell binds in the notebook: by assignments of any kind, also in a branch, a loop or a tuple."""
    found: set[str] = set()
    open_nodes: list[ast.AST] = [parsed(source) or ast.Module([], [])]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        found |= _timed(node)
        if not isinstance(node, SCOPES):
            open_nodes += ast.iter_child_nodes(node)
    return found


def _timed(node: ast.AST) -> set[str]:
    """The names that `%time X = 1` binds, which IPython reads as `run_line_magic('time', 'X = 1')`."""
    match node:
        case ast.Call(ast.Attribute(attr="run_line_magic"), [ast.Constant("time"), ast.Constant(str(statement))]):
            return assigned(statement)
    return set()


def declared(cells: Sequence[Any]) -> tuple[frozenset[str], frozenset[str]] | None:
    """The names that a notebook lets a run set, and those that a later cell tagged `parameters` would set back; None if
    such a cell is not Python."""
    places = [i for i, cell in enumerate(cells) if _tagged(cell, "injected-parameters")]
    places += [i for i, cell in enumerate(cells) if _tagged(cell, "parameters")]
    tagged = [i for i, cell in enumerate(cells) if cell.cell_type == "code" and _tagged(cell, "parameters")]
    if any(parsed(cells[i].source) is None for i in tagged):
        return None
    early = frozenset(name for i in tagged if i <= places[0] for name in assigned(cells[i].source))
    late = frozenset(name for i in tagged if i > places[0] for name in assigned(cells[i].source))
    return early - late, late


def _tagged(cell: Any, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def check(known: Iterable[frozenset[str]], values: Mapping[str, Any]) -> None:
    """LabError for a parameter that no notebook of the run declares."""
    names = sorted(frozenset().union(*known))
    for name in values:
        if name not in names:
            raise LabError(f"no notebook of this run has a parameter {name!r}", f"known: {', '.join(names) or 'none'}")
