"""Objects as JSON: whatever a client may send is stored, and read as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.store.serialized import dump, load

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_written_reads_as_it_was(value: Any) -> None:
    assert json.loads(dump(value)) == value
    assert load(dump(value)) == value


@pytest.mark.parametrize("odd", ["\ud800", {"\udc00": ["\ud83d"]}, 2**70, -(2**70), {"a": "\0"}])
def test_half_of_a_surrogate_pair_and_large_numbers_are_kept(odd: Any) -> None:
    assert json.loads(dump(odd)) == odd
    assert load(dump(odd)) == odd


@pytest.mark.parametrize(
    "text", ["1.0", "1e-05", "1e21", "-0.0", "12345678901234567890123", '"\\ud800"', "1e400", '{"a":1,"a":2}']
)
def test_numbers_and_texts_are_read_as_json_reads_them(text: str) -> None:
    assert repr(load(text)) == repr(json.loads(text))
    assert repr(load(text.encode())) == repr(json.loads(text))


def test_numbers_are_written_as_go_writes_them() -> None:
    assert dump([1e-05, 1.0, 1e21, 0.1, 100]) == b"[0.00001,1.0,1e21,0.1,100]"
