"""docs/architecture.md and its picture name files of the repository; the picture is the one that its script draws."""

from __future__ import annotations

import html
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(PAGE.with_suffix(".py")))


def exists(path: str) -> bool:
    return any((base / path).exists() for base in (ROOT, ROOT / "cluster", ROOT / "cluster" / "kubeproc"))


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:labkit|kubeproc|cluster|api)/[\w./-]*)`", PAGE.read_text()))
    assert len(named) > 15
    assert [
        path for path in sorted(named) if not exists(path if not path.startswith("api/") else f"kubeproc/{path}")
    ] == []


def test_every_folder_in_the_picture_is_there(script: dict) -> None:
    assert [box.code for box in script["BOXES"].values() if box.code and not exists(box.code)] == []


def test_the_picture_is_the_one_that_the_script_draws(script: dict) -> None:
    drawn = {text for box in script["BOXES"].values() for text in (box.title, box.words, box.code) if text}
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", PAGE.with_suffix(".svg").read_text())
    assert (drawn | set(script["ARROWS"])) - {html.unescape(text) for text in shown} == set(), (
        "run docs/architecture.py"
    )
