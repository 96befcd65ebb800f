"""Whatever a kernel sends becomes an output that a notebook's file can hold."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labkit.runner import messages

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(
    ["text/plain", "text/html", "image/png", "application/json", "application/vnd.x+json", "odd", ""]
)
BUNDLES = VALUES | st.dictionaries(TYPES, VALUES, max_size=4)
CONTENTS = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "data": BUNDLES,
        "metadata": BUNDLES,
        "transient": VALUES | st.dictionaries(st.just("display_id"), VALUES),
        "name": VALUES,
        "text": VALUES,
        "ename": VALUES,
        "evalue": VALUES,
        "traceback": VALUES,
        "execution_count": VALUES,
    },
)


@example(kind="execute_result", content={"data": {}, "execution_count": False})
@example(kind="execute_result", content={"data": {}, "execution_count": -1})
@example(kind="execute_result", content={"data": {}, "execution_count": 2**70})
@given(kind=st.sampled_from(messages.OUTPUTS), content=CONTENTS)
def test_any_content_becomes_an_output(kind: str, content: Any) -> None:
    shaped = messages.shaped(kind, content)
    kind = kind.removeprefix("update_")
    output = nbformat.v4.output_from_msg({"header": {"msg_type": kind}, "content": shaped})
    cell = nbformat.v4.new_code_cell("", outputs=[output])
    book = nbformat.v4.new_notebook(cells=[cell])
    nbformat.validate(book)
    again = nbformat.reads(nbformat.writes(book).encode("utf-8", "backslashreplace").decode(), as_version=4)
    assert again.cells[0].outputs[0].output_type == kind


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("stream", {"name": "stderr", "text": "a\n"}),
        ("error", {"ename": "E", "evalue": "v", "traceback": ["l"]}),
        ("display_data", {"data": {"text/plain": "x", "application/json": [1]}, "metadata": {"a": 1}, "transient": {}}),
        ("execute_result", {"data": {"text/html": "<b>"}, "metadata": {}, "transient": {}, "execution_count": 3}),
    ],
)
def test_what_is_in_shape_stays_as_it_is(kind: str, content: dict[str, Any]) -> None:
    assert messages.shaped(kind, content) == content
