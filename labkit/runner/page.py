"""`report.html`: one page, no other files, with every figure of the run in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from labkit.runner.report import Report, by_outcome
from labkit.runner.swift import nbformat

TEMPLATE = Path(__file__).with_name("page.html.j2")


def write(report: Report, folder: Path) -> None:
    """Write `folder`/report.html from the report and the executed notebooks beside it."""
    environment = jinja2.Environment(autoescape=True)
    passed = sum(n.passed for n in report.notebooks)
    shown: dict[str, list[str]] = {n.name: figures(folder / n.path) if n.path else [] for n in report.notebooks}
    page = environment.from_string(TEMPLATE.read_text()).render(
        report=report, passed=passed, counts=by_outcome(report.notebooks), figures=shown
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def figures(path: Path) -> list[str]:
    """The PNG outputs of an executed notebook, as data URLs, in order."""
    if not path.exists():
        return []
    outputs: list[Any] = [o for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", [])]
    pictures = [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    return ["data:image/png;base64," + "".join(p).replace("\n", "") for p in pictures]
