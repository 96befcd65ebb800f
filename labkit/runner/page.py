"""`report.html`: one page, no other files, with every figure of the run in it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from labkit.runner.report import Report, replace
from labkit.runner.swift import nbformat

PICTURES = ("image/svg+xml", "image/png", "image/jpeg", "image/webp", "image/gif")
TEXT = ("image/svg+xml",)
TEMPLATE = Path(__file__).with_name("page.html.j2")


def write(report: Report, folder: Path) -> None:
    """Write `folder`/report.html from the report and the executed notebooks beside it."""
    environment = jinja2.Environment(autoescape=True)
    environment.filters["link"] = quote
    passed = sum(n.passed for n in report.notebooks)
    shown = {n.name: _figures(folder, n.path) for n in report.notebooks}
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report, passed=passed, counts=report.by_outcome(), figures=shown
    )
    replace(folder / "report.html", page.encode("utf-8", "backslashreplace"))


def _figures(folder: Path, path: str) -> list[str]:
    """Of a notebook that ended in the middle of a write there are none."""
    try:
        return figures(folder / path) if path else []
    except Exception:
        return []


def figures(path: Path) -> list[str]:
    """The pictures among an executed notebook's outputs, as data URLs, in order; of each output the best one."""
    if not path.exists():
        return []
    bundles: list[Any] = [
        o.get("data", {}) for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", [])
    ]
    return [url for bundle in bundles if (url := next(filter(None, (_url(kind, bundle) for kind in PICTURES)), ""))]


def _url(kind: str, bundle: dict[str, Any]) -> str:
    """A data URL; '' where there is no picture of that kind. An SVG in an `img` runs no script and loads nothing."""
    data = "".join(bundle.get(kind, ""))
    try:
        body = (
            data.encode("utf-8", "replace") if kind in TEXT else base64.b64decode("".join(data.split()), validate=True)
        )
    except ValueError:
        return ""
    return f"data:{kind};base64,{base64.b64encode(body).decode()}" if body else ""
