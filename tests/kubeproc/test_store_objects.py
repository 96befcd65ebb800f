"""Objects as JSON: whatever a client may send is stored, and read as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.store.serialized import dump

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_written_reads_as_it_was(value: Any) -> None:
    assert json.loads(dump(value)) == value


@pytest.mark.parametrize("odd", ["\ud800", {"\udc00": ["\ud83d"]}, 2**70, -(2**70), {"a": "\0"}])
def test_half_of_a_surrogate_pair_and_large_numbers_are_kept(odd: Any) -> None:
    assert json.loads(dump(odd)) == odd


def test_numbers_are_written_as_go_writes_them() -> None:
    assert dump([1e-05, 1.0, 1e21, 0.1, 100]) == b"[0.00001,1.0,1e21,0.1,100]"
