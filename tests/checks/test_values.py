"""Answers that are numbers or functions, and predictions."""

from __future__ import annotations

import itertools
from collections import namedtuple
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from labkit import checks


@pytest.mark.parametrize("given", [12, 12.0, np.float64(12), np.int32(12), np.array([12.0]), 12.000001])
def test_a_number_is_right_in_any_form(given: Any) -> None:
    checks.number(given, 12, "seconds", "a hint")


@pytest.mark.parametrize(("given", "found", "hint"), [
    (None, "seconds is None", "give it a value"),
    (13, "seconds is 13, which is too much", "a hint"),
    (-1.5, "seconds is -1.5, which is too little", "a hint"),
    (float("nan"), "seconds is nan", "a hint"),
    ("12", "seconds is '12', text; expected a number", "without quotes"),
    (True, "seconds is True, a truth value; expected a number", "such as 1.5"),
    ([12], "seconds is [12], a list; expected a number", "such as 1.5"),
    (12j, "a complex number; expected a number", "such as 1.5"),
    (timedelta(seconds=12), "an object of type timedelta; expected a number", "total_seconds()"),
])  # fmt: skip
def test_a_wrong_number_gets_its_own_hint_and_no_others(given: Any, found: str, hint: str) -> None:
    with pytest.raises(checks.CheckFailed) as caught:
        checks.number(given, 12, "seconds", "a hint")
    assert found in caught.value.found
    assert hint in caught.value.hint


def test_a_function_gets_copies_and_its_exception_is_a_diagnosis() -> None:
    given = [3, 1, 2]
    assert checks.returned(lambda items: items[-1], "f", given) == 2
    with pytest.raises(checks.CheckFailed, match="f changes what it is given for three numbers"):
        checks.returned(lambda items: items.pop(), "f", given, case="for three numbers")
    with pytest.raises(checks.CheckFailed, match="f changes what it is given"):
        checks.returned(lambda array: array.sort(), "f", np.array([3, 1]))
    assert checks.returned(lambda array: sorted(array), "f", np.array([3, 1])) == [1, 3]
    assert given == [3, 1, 2]
    with pytest.raises(checks.CheckFailed, match=r"f raised IndexError: pop from empty list for no items"):
        checks.returned(lambda items: items.pop(), "f", [], case="for no items")
    with pytest.raises(checks.CheckFailed, match="f is None"):
        checks.returned(None, "f")
    with pytest.raises(checks.CheckFailed, match="f is a whole number, expected a function"):
        checks.returned(3, "f")
    with pytest.raises(checks.CheckFailed, match="f raised TypeError"):
        checks.returned(lambda: 1, "f", 2)


@pytest.mark.parametrize(("given", "kind", "used"), [
    (300, float, 300), ("300", float, 300), (" 2.5 ", float, 2.5), ("300 ms", float, None), (-1, float, None), (0, float, None),
    (float("inf"), float, None), ("nan", float, None), (True, float, None), ([1], float, None),
    (True, bool, True), (False, bool, False), ("False", bool, False), ("yes", bool, True), (1, bool, None),
    ("cnn", ("mlp", "cnn"), "cnn"), ("CNN ", ("mlp", "cnn"), "cnn"), ("rnn", ("mlp", "cnn"), None),
])  # fmt: skip
def test_a_prediction_is_used_or_left_out_with_a_word_and_never_an_error(
    given: Any, kind: Any, used: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checks.prediction(given, "guess", kind) == used
    printed = capsys.readouterr().out
    assert bool(printed) == (used is None)
    if used is None:
        assert f"guess is {given!r}, and is left out: it must be" in printed


def test_no_prediction_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.prediction(None, "guess") is None
    assert "you predicted nothing" in capsys.readouterr().out


Pair = namedtuple("Pair", "first second")


def test_two_numbers_may_come_in_any_sequence_and_on_demand() -> None:
    answers: list[Any] = [
        (1, 2), [1, 2], np.array([1, 2]), Pair(1, 2), (n for n in (1, 2)), map(int, "12"), {"a": 1, "b": 2}.values(),
    ]  # fmt: skip
    for answer in answers:
        said = checks.returned(lambda answer=answer: answer, "f")
        assert checks.numbers(said, ("one", "two"), "f returns") == [1, 2]


@pytest.mark.parametrize("given", [None, 1, "12", {1, 2}, {"a": 1, "b": 2}, (1,), (1, 2, 3), np.eye(2), np.float64(1)])
def test_what_is_not_two_numbers_in_an_order_is_a_diagnosis(given: Any) -> None:
    with pytest.raises(checks.CheckFailed, match=r"f returns .*, expected two numbers"):
        checks.numbers(given, ("one", "two"), "f returns", "a hint")


def test_what_is_computed_on_demand_is_computed_while_errors_and_changes_are_looked_for() -> None:
    def late(items: list[int]) -> Any:
        yield items.pop()

    with pytest.raises(checks.CheckFailed, match="f changes what it is given"):
        checks.returned(late, "f", [1])
    with pytest.raises(checks.CheckFailed, match="f raised IndexError"):
        checks.returned(late, "f", [])
    assert len(checks.returned(itertools.count, "f")) == 1000
