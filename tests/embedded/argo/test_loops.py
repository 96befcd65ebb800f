"""Loops' items and names, against Python's own formatting."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.argo import loops, names
from labkit.embedded.argo.operation import OperationError

values = st.recursive(st.integers(-5, 5) | st.booleans() | st.text(max_size=6), lambda x: st.lists(x, max_size=2))


@given(st.lists(values | st.dictionaries(st.text(min_size=1, max_size=3), values, max_size=2), min_size=1, max_size=5))
def test_every_item_has_a_name_that_tells_its_index(items: list[Any]) -> None:
    found = loops.iterations({"name": "step", "withItems": items})
    assert [item.item for item in found] == items
    for i, item in enumerate(found):
        assert item.name.startswith(f"step({i}:")
        assert names.loop_index("wf[0]." + item.name) == i
        assert "(" not in item.name[5:]


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_a_sequence_counts_up_or_down_to_its_end(start: int, end: int) -> None:
    step = 1 if start <= end else -1
    wanted = [str(n) for n in range(start, end + step, step)]
    assert loops.sequence({"start": str(start), "end": end}) == wanted


@given(st.integers(0, 12), st.integers(-5, 5))
def test_a_sequence_has_its_count(count: int, start: int) -> None:
    assert loops.sequence({"start": start, "count": str(count)}) == [str(start + i) for i in range(count)]


@given(st.integers(-300, 300), st.sampled_from(["%d", "%5d", "%05d", "%-4d", "%+d", "%x", "%o", "a%03dz", "100%% %d"]))
def test_a_format_is_that_of_printf(number: int, pattern: str) -> None:
    assert loops.sequence({"start": number, "end": number, "format": pattern}) == [pattern % number]


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        ({}, "neither end nor count was specified in withSequence"),
        ({"count": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ({"count": 10**9}, "more than 100000 items"),
    ],
)
def test_what_is_no_sequence_says_why(sequence: dict, words: str) -> None:
    with pytest.raises(OperationError, match=words):
        loops.sequence(sequence)


@given(st.text(max_size=20))
def test_any_parameter_is_a_list_or_an_error(text: str) -> None:
    with contextlib.suppress(OperationError):
        assert isinstance(loops.iterations({"name": "s", "withParam": text or "x"}), list)


def test_an_iteration_knows_its_item() -> None:
    step = {"name": "s", "template": "t", "args": "{{item}} {{item.k}}", "withItems": [{"k": "v"}]}
    (item,) = loops.iterations(step)
    made = loops.Expansion(step, {}).make(item)
    assert made == {"name": "s(0:k:v)", "template": "t", "args": '{"k":"v"} v'}
    with pytest.raises(OperationError, match=r"failed to resolve \{\{item\.k\}\}"):
        loops.Expansion(step, {}).make(loops.Iteration("s(0:1)", 0, 1))
