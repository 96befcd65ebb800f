"""The course's notebooks as tests see them, and what the course has to show (the ids in a cell's `course` metadata)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import yaml

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

WORKFLOWS = FOLDER.parent / "workflows"

# How many claims each part of the course has, numbered from 1; the tools are numbered from 0.
CLAIMS = {"A": 4, "S": 3, "P": 7, "D": 3, "Q": 4, "R": 3, "V": 3, "E": 4}
COURSE = {f"{part}{n}" for part, count in CLAIMS.items() for n in range(1, count + 1)} | {f"T{n}" for n in range(7)}


def end_to_end(**values: str) -> dict[str, Any]:
    """The workflow of the end-to-end system with other values of some parameters (`batch_size` is `batch-size`)."""
    workflow: dict[str, Any] = yaml.safe_load((WORKFLOWS / "end-to-end.yaml").read_text())
    for parameter in workflow["spec"]["arguments"]["parameters"]:
        parameter["value"] = values.pop(parameter["name"].replace("-", "_"), parameter["value"])
    assert not values, f"no parameters of the workflow: {values}"
    return workflow


def load(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def graded(cell: Any) -> dict[str, Any]:
    """A cell's nbgrader metadata, empty where it has none."""
    found: dict[str, Any] = cell.metadata.get("nbgrader", {})
    return found


def cell(path: Path, id: str) -> str:
    """The source of the cell with this id."""
    source: str = next(c.source for c in load(path).cells if c.id == id)
    return source
