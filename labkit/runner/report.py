"""The result of a run: dataclasses, and the two files that machines read (`report.json`, `junit.xml`).

What `report.json`, `junit.xml`, `report.html`, the last line and the exit code say comes from one count, `Report.failed`:
a notebook that did not pass is one failure, and so is each fault of the run itself, such as a process left behind.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

LINE = 60  # characters of a cell's first line

# passed; failed: a check said no; error: an exception; timeout; oom: the kernel ran out of memory; infra: the cluster
# or the kernel did not start; not-run: the run ended before it.
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
    notes: list[str] = field(
        default_factory=list
    )  # what else a reader should know: an allowed exception, a cold kernel

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


@dataclass
class Report:
    """A whole run. `versions` and `hashes` say what ran (runner/provenance.py); `faults` are what went wrong outside of its
    notebooks, such as that it was interrupted."""

    notebooks: list[Notebook]
    seconds: float = 0.0
    engine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    left_behind: list[str] = field(default_factory=list)  # processes and clusters that outlived the run, and were ended
    faults: list[str] = field(default_factory=list)

    @property
    def troubles(self) -> list[str]:
        """Everything that is wrong with the run itself, in words."""
        return [f"left behind and ended: {what}" for what in self.left_behind] + self.faults

    @property
    def failed(self) -> int:
        """The number of failures: notebooks that did not pass, and troubles of the run itself."""
        return sum(not n.passed for n in self.notebooks) + len(self.troubles)

    @property
    def passed(self) -> bool:
        return bool(self.notebooks) and not self.failed

    def write(self, folder: Path) -> None:
        """Write report.json and junit.xml into `folder`, each of them whole or not at all."""
        replace(folder / "report.json", json.dumps({"passed": self.passed} | asdict(self), indent=1).encode() + b"\n")
        ElementTree.indent(tree := junit(self))
        root = tree.getroot()
        assert root is not None
        replace(folder / "junit.xml", ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))

    def table(self) -> str:
        """A line for each notebook, for a terminal."""
        width = max([len(n.name) for n in self.notebooks] + [8])
        lines = [f"{n.name:{width}}  {n.outcome:8} {n.seconds:7.1f} s" for n in self.notebooks]
        for n in self.notebooks:
            if n.error:
                lines.append(f"\n{n.name}: {n.error}")
            lines += [f"\n{n.name}: {note}" for note in n.notes]
        lines += [f"\n{trouble}" for trouble in self.troubles]
        return "\n".join(lines)

    def by_outcome(self) -> str:
        """`1 passed, 2 failed, 1 timeout`: how many notebooks ended in each way, and what is wrong with the run."""
        counts = Counter(n.outcome for n in self.notebooks)
        words = [f"{counts[word]} {word}" for word in OUTCOMES if counts[word]]
        if self.left_behind:
            words.append(f"{len(self.left_behind)} left behind")
        return ", ".join(words + [fault.partition(":")[0] for fault in self.faults])

    def summary(self) -> str:
        """`2 passed, 0 failed`, the last line of a run. CI reads it."""
        return f"{sum(n.passed for n in self.notebooks)} passed, {self.failed} failed"


def replace(path: Path, body: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, and nothing is written through a link."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        with open(draft, "xb") as file:
            file.write(body)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def junit(report: Report) -> ElementTree.ElementTree:
    """JUnit's XML as CI systems read it: a test case for each notebook, and one for each trouble of the run itself."""
    bad = [n for n in report.notebooks if not n.passed]
    counts = {
        "tests": len(report.notebooks) + len(report.troubles),
        "failures": sum(n.outcome == "failed" for n in bad),
        "errors": sum(n.outcome not in ("failed", "not-run") for n in bad) + len(report.troubles),
        "skipped": sum(n.outcome == "not-run" for n in bad),
    }
    attributes = {"name": "labkit", "time": f"{report.seconds:.3f}"} | {k: str(v) for k, v in counts.items()}
    suite = ElementTree.Element("testsuite", attributes)
    for notebook in report.notebooks:
        case = _case(suite, "notebooks", notebook.name, notebook.seconds)
        if not notebook.passed:
            tag = {"failed": "failure", "not-run": "skipped"}.get(notebook.outcome, "error")
            _note(case, tag, notebook.outcome, str(notebook.error or notebook.outcome))
    for number, trouble in enumerate(report.troubles, start=1):
        _note(_case(suite, "run", f"trouble {number}", 0.0), "error", "run", trouble)
    return ElementTree.ElementTree(suite)


def _case(suite: ElementTree.Element, classname: str, name: str, seconds: float) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=classname, name=printable(name), time=f"{seconds:.3f}")


def _note(case: ElementTree.Element, tag: str, type: str, said: str) -> None:
    first = (said.splitlines() or [""])[0]
    ElementTree.SubElement(case, tag, message=printable(first), type=type).text = printable(said)


def printable(text: str) -> str:
    """Without what XML can't hold: control characters and halves of surrogate pairs."""
    return "".join(c for c in text if c in "\n\t" or _held(ord(c)))


def _held(code: int) -> bool:
    return code >= 32 and not 0xD800 <= code <= 0xDFFF and code not in (0xFFFE, 0xFFFF)
