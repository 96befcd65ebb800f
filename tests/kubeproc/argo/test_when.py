"""`when` conditions, against what govaluate makes of them."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.argo.language.when import ConditionError, holds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("true", True),
        ("heads == heads", True),
        ("tails == heads", False),
        ("heads != tails", True),
        ("'a b' == \"a b\"", True),
        ("3 > 2 && 2 >= 2", True),
        ("10 > 9", True),
        ('"10" > "9"', False),
        ("5 == 5.0", True),
        ('5 == "5"', False),
        ("a in (a, b)", True),
        ("c in (a, b)", False),
        ("'worker-1' =~ '^worker'", True),
        ("'worker-1' !~ 'worker'", False),
        ("!(1 > 2) || false", True),
        ("( a == a ) && ( b == c || d == d )", True),
        ("1 + 2 * 3 == 7", True),
        ("2 ** 3 == 8", True),
        ("7 % 4 == 3", True),
        ("true ? (a == a) : (a == b)", True),
        ("[any text] == 'any text'", True),
        ("foo_1 == foo_1", True),
        ("false && abc > 3", False),
        ("true || !(abc * 2 > [x y])", True),
        ("true ? a == a : abc > 3", True),
        ("false ? (abc > 3) : b == b", True),
        ("(false && (true || abc > 3)) || a == a", True),
        ("'' != '' && 'x' =~ 5", False),
    ],
)
def test_a_condition_holds_as_in_govaluate(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{item}} == x", "Invalid token: '{{' (hint: try wrapping the affected expression in quotes (\"))"),
        (" == x", "Invalid 'when' expression ' == x': "),
        ("a ==", "Unexpected end of expression"),
        ("(a == a", "Unbalanced parenthesis"),
        ("a b", "Cannot transition token types from STRING [a] to STRING [b]"),
        ("a > 1", "Value 'a' cannot be used with the comparator '>', it is not a number"),
        ("a && true", "Value 'a' cannot be used with the logical operator '&&', it is not a bool"),
        ("some-text == x", "cannot be used with the modifier '-', it is not a number"),
        ("a", "Expected boolean evaluation for 'a'. Got a"),
        ("'open", "Unclosed string literal"),
    ],
)
def test_an_invalid_condition_fails_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ConditionError) as error:
        holds(text)
    assert words in str(error.value)


@given(st.text(alphabet="ab1. ()'\"=!<>&|+-*/%,?:[]~intruefalse\\\n{}", max_size=25))
def test_any_text_is_a_condition_or_a_condition_error(text: str) -> None:
    with contextlib.suppress(ConditionError):
        assert holds(text) in (True, False)


@given(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
def test_numbers_compare_as_numbers(a: int, b: int, sign: str) -> None:
    assert holds(f"{a} {sign} {b}") is eval(f"{a} {sign} {b}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("'é1' =~ '^\\pL[[:digit:]]$'", True), ("'ab' =~ '(?i)^AB\\z'", True), ("'ab' !~ '\\QA\\E'", True)],
)
def test_a_pattern_is_one_of_re2(text: str, expected: bool) -> None:
    assert holds(text.replace("\\", "\\\\")) is expected


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(x+x+)+y"])
def test_no_pattern_takes_long(pattern: str) -> None:
    start = time.thread_time()
    assert holds(f"'{'a' * 5000}!' =~ '{pattern}'") is False
    assert time.thread_time() - start < 2


def test_an_invalid_pattern_fails_with_the_reason() -> None:
    with pytest.raises(
        ConditionError, match=r"Unable to compile regexp pattern '\(\?=a\)': error parsing regexp: invalid or unsupp"
    ):
        holds("'a' =~ '(?=a)'")


def test_a_long_condition_is_read_once() -> None:
    start = time.thread_time()
    with pytest.raises(ConditionError):
        holds("a " * 100_000)
    assert holds(" || ".join(["a == b"] * 2_000)) is False
    assert time.thread_time() - start < 5
