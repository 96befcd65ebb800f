"""report.html has every picture that a notebook shows, whatever its format, and what a reader should know besides."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.runner import page
from labkit.runner.report import Notebook, Report

PIXEL = base64.b64encode(b"a picture").decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def book(folder: Path, *bundles: dict[str, Any]) -> Path:
    outputs = [nbformat.v4.new_output("display_data", data=bundle) for bundle in bundles]
    cell = nbformat.v4.new_code_cell("show", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "book.ipynb")
    return folder / "book.ipynb"


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_a_picture_of_any_kind_is_shown(tmp_path: Path, kind: str) -> None:
    lines = "\n".join(PIXEL) + "\n"  # as encoders break them
    assert page.figures(book(tmp_path, {kind: lines, "text/plain": "<Figure>"})) == [f"data:{kind};base64,{PIXEL}"]


def test_an_svg_is_shown_as_a_picture_in_which_no_script_runs(tmp_path: Path) -> None:
    (url,) = page.figures(book(tmp_path, {"image/svg+xml": SVG}))
    assert url == "data:image/svg+xml;base64," + base64.b64encode(SVG.encode()).decode()
    result = Notebook("book", "passed", 1.0, path="book.ipynb", notes=["its kernel starts <cold>"])
    page.write(Report([result]), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert f'src="{url}"' in html.replace("&#43;", "+")
    assert "<script>" not in html
    assert "its kernel starts &lt;cold&gt;" in html


def test_one_picture_for_each_output_in_their_order(tmp_path: Path) -> None:
    found = page.figures(
        book(tmp_path, {"image/jpeg": PIXEL}, {"image/svg+xml": SVG, "image/png": PIXEL}, {"text/plain": "x"})
    )
    assert [url.partition(";")[0] for url in found] == ["data:image/jpeg", "data:image/svg+xml"]


def test_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    assert page.figures(book(tmp_path, {"image/png": "no picture!"}, {"image/png": ""}, {"image/svg+xml": ""})) == []
    assert len(page.figures(book(tmp_path, {"image/png": "no picture!", "image/jpeg": PIXEL}))) == 1
