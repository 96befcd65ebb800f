"""Loops' items and names, against Python's own formatting; `test_golden` has Argo's own outcomes."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.argo.templates import node_names
from kubeproc.argo.workflow import loop_items, loops
from kubeproc.argo.workflow.operation import OperationError

values = st.recursive(st.integers(-5, 5) | st.booleans() | st.text(max_size=6), lambda x: st.lists(x, max_size=2))


@given(st.lists(values | st.dictionaries(st.text(min_size=1, max_size=3), values, max_size=2), min_size=1, max_size=5))
def test_every_item_has_a_name_that_tells_its_index(given_items: list[Any]) -> None:
    found = loops.iterations({"name": "step", "withItems": given_items})
    assert [json.loads(item.item) for item in found] == given_items
    for i, item in enumerate(found):
        assert item.name.startswith(f"step({i}:")
        assert node_names.loop_index("wf[0]." + item.name) == i
        assert "(" not in item.name[5:]


@given(
    st.lists(values | st.dictionaries(st.text(max_size=3), values, max_size=3), max_size=5),
    st.sampled_from(["", " ", "\n "]),
)
def test_a_withparam_is_cut_where_its_items_end(given_items: list[Any], blank: str) -> None:
    text = json.dumps(given_items, separators=(f"{blank},{blank}", f"{blank}:{blank}"))
    found = loops.iterations({"name": "s", "withParam": f"{blank}{text}{blank}"})
    assert [json.loads(item.item) for item in found] == given_items
    for item in found:
        assert json.loads(loop_items.compact(item.item)) == json.loads(item.item)


@pytest.mark.parametrize(
    ("param", "name", "text"),
    [
        ('[{"lr": 1e-05, "decay": 1.0}]', "s(0:decay:1.0,lr:1e-05)", 'lr=1e-05 decay=1.0 {"decay":1.0,"lr":1e-05}'),
        ('[{"lr": 2, "decay": null}]', "s(0:decay:null,lr:2)", 'lr=2 decay=null {"decay":null,"lr":2}'),
    ],
)
def test_numbers_keep_their_text(param: str, name: str, text: str) -> None:
    step = {"name": "s", "withParam": param, "args": "lr={{item.lr}} decay={{item.decay}} {{item}}"}
    (item,) = loops.iterations(step)
    made = loops.Expansion(step, {}).make(item)
    assert (made["name"], made["args"]) == (name, text)


def sequence(**wanted: Any) -> list[str]:
    return [loop_items.shown(item) for item in loops.sequence(wanted)]


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_a_sequence_counts_up_or_down_to_its_end(start: int, end: int) -> None:
    step = 1 if start <= end else -1
    wanted = [str(n) for n in range(start, end + step, step)]
    assert sequence(start=str(start), end=end) == wanted


@given(st.integers(0, 12), st.integers(-5, 5))
def test_a_sequence_has_its_count(count: int, start: int) -> None:
    assert sequence(start=start, count=str(count)) == [str(start + i) for i in range(count)]


@given(st.integers(-300, 300), st.sampled_from(["%d", "%5d", "%05d", "%-4d", "%+d", "%x", "%o", "a%03dz", "100%% %d", "%.3d",
       "%8.3d", "%-8.3d", "%+.2d"]))  # fmt: skip
def test_a_format_is_that_of_printf(number: int, pattern: str) -> None:
    assert sequence(start=number, end=number, format=pattern) == [pattern % number]


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        ({}, "neither end nor count was specified in withSequence"),
        ({"count": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ({"count": 10**9}, "more than 100000 items"),
    ],
)
def test_an_invalid_sequence_fails_with_the_reason(sequence: dict, words: str) -> None:
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
        loops.Expansion(step, {}).make(loops.Iteration("s(0:1)", 0, "1"))


def test_thousands_of_digits_are_a_number_out_of_range() -> None:
    with pytest.raises(OperationError, match="value out of range"):
        loops.sequence({"count": "9" * 5000})
    assert loops.sequence({"count": "0" * 5000 + "1"}) == ['"0"']
    assert loops.sequence({"count": "1", "format": "%" + "9" * 5000 + "d"}) == ['"%!(BADWIDTH)0"']
