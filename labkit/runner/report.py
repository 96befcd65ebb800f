"""What a run came to: dataclasses, and the two files that machines read (`report.json`, `junit.xml`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

LINE = 60  # characters of a cell's first line

# passed; failed: a check said no; error: an exception; timeout; oom: the kernel was killed for want of memory; infra: the
# cluster or the kernel could not be had; not-run: the run ended before it.
OUTCOMES = ("passed", "failed", "error", "timeout", "oom", "infra", "not-run")


@dataclass
class CellError:
    """The cell that ended a notebook: its position among all cells (from 0, -1 for none), the exception's name and text,
    the cell's id and its whole source."""

    cell: int
    name: str
    message: str
    id: str = ""
    source: str = ""

    @property
    def where(self) -> str:
        """`cell 12 (check-1: checks.create(...))`: by its id and its first line the cell can be found; '' for no cell."""
        if self.cell < 0:
            return ""
        first = next((line.strip() for line in self.source.splitlines() if line.strip()), "")
        words = ": ".join(filter(None, [self.id, first if len(first) <= LINE else first[:LINE] + "..."]))
        return f"cell {self.cell}" + (f" ({words})" if words else "")

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.where, self.name, self.message]))


@dataclass
class Cell:
    """One code cell: `status` completed, failed or not-run; `seconds` None where it did not run."""

    index: int
    status: str
    seconds: float | None
    course: list[str] = field(default_factory=list)


@dataclass
class Notebook:
    """One notebook's result; `seconds` is its own time, without the cluster's start."""

    name: str
    outcome: str
    seconds: float
    cells: list[Cell] = field(default_factory=list)
    error: CellError | None = None
    sha256: str = ""
    path: str = ""  # the executed notebook, below the report's folder

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


@dataclass
class Report:
    """A whole run. `versions` and `hashes` say what ran (runner/provenance.py)."""

    notebooks: list[Notebook]
    seconds: float = 0.0
    engine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    left_behind: list[str] = field(default_factory=list)  # processes that outlived the run, and were ended

    @property
    def passed(self) -> bool:
        return bool(self.notebooks) and all(n.passed for n in self.notebooks) and not self.left_behind

    def write(self, folder: Path) -> None:
        """Write report.json and junit.xml into `folder`."""
        (folder / "report.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        ElementTree.indent(tree := junit(self))
        tree.write(folder / "junit.xml", encoding="utf-8", xml_declaration=True)

    def table(self) -> str:
        """A line for each notebook, for a terminal."""
        width = max([len(n.name) for n in self.notebooks] + [8])
        lines = [f"{n.name:{width}}  {n.outcome:8} {n.seconds:7.1f} s" for n in self.notebooks]
        for n in self.notebooks:
            if n.error:
                lines.append(f"\n{n.name}: {n.error}")
        lines += [f"\nleft behind and ended: {what}" for what in self.left_behind]
        return "\n".join(lines)


def junit(report: Report) -> ElementTree.ElementTree:
    """JUnit's XML as CI systems read it: a test case for each notebook."""
    bad = [n for n in report.notebooks if not n.passed]
    counts = {
        "tests": len(report.notebooks),
        "failures": sum(n.outcome == "failed" for n in bad),
        "errors": sum(n.outcome not in ("failed", "not-run") for n in bad),
        "skipped": sum(n.outcome == "not-run" for n in bad),
    }
    attributes = {"name": "labkit", "time": f"{report.seconds:.3f}"} | {k: str(v) for k, v in counts.items()}
    suite = ElementTree.Element("testsuite", attributes)
    for notebook in report.notebooks:
        case = ElementTree.SubElement(
            suite, "testcase", classname="notebooks", name=notebook.name, time=f"{notebook.seconds:.3f}"
        )
        if notebook.passed:
            continue
        tag = {"failed": "failure", "not-run": "skipped"}.get(notebook.outcome, "error")
        error = notebook.error
        said = str(error) if error else notebook.outcome
        ElementTree.SubElement(
            case, tag, message=printable(said.splitlines()[0]), type=notebook.outcome
        ).text = printable(said)
    return ElementTree.ElementTree(suite)


def printable(text: str) -> str:
    """Without the control characters that XML can't hold."""
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and ord(c) not in (0xFFFE, 0xFFFF)))


def summary(notebooks: Sequence[Notebook]) -> str:
    """`2 passed, 0 failed` in one line: whatever did not pass counts as failed. CI reads it."""
    passed = sum(n.passed for n in notebooks)
    return f"{passed} passed, {len(notebooks) - passed} failed"


def by_outcome(notebooks: Sequence[Notebook]) -> str:
    """`1 passed, 2 failed, 1 timeout`: how many ended in each way, those in which any did."""
    counts = Counter(n.outcome for n in notebooks)
    return ", ".join(f"{counts[word]} {word}" for word in OUTCOMES if counts[word])
