"""The expr-lang part of expressions: values, precedence, functions, and that nothing but its own error comes out."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.argo.expressions import ExpressionError, environment, evaluate, evaluate_bool, waits_for

VARIABLES = {
    "inputs.parameters.n": "3",
    "inputs.parameters.my-name": "x",
    "steps.a.outputs.result": '{"rows": [{"n": 1}, {"n": 2}]}',
    "workflow.parameters": "[]",
    "workflow.parameters.list": "[1,2]",
}


def value(source: str) -> Any:
    return evaluate(source, environment(VARIABLES))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3.5),
        ("7 % 4", 3),
        ("-7 % 4", -3),
        ("-2 ** 2", -4.0),
        ("2 ** 3 ** 2", 512.0),
        ("1 < 2 and not (2 < 1)", True),
        ("'a' + \"b\" + `c`", "abc"),
        ("1 == 1.0", True),
        ("true == 1", False),
        ("2 in [1, 2]", True),
        ("3 not in [1, 2]", True),
        ("'k' in {'k': 1}", True),
        ("'hello' contains 'ell'", True),
        ("'hello' startsWith 'he' && 'hello' endsWith 'lo'", True),
        ("'hello' matches '^h.*o$'", True),
        ("true ? 'y' : 'n'", "y"),
        ("nil ?? 'default'", "default"),
        ("inputs.parameters.missing ?? 'd'", "d"),
        ("inputs.parameters.n", "3"),
        ("inputs.parameters['my-name']", "x"),
        ("inputs?.nothing?.more", None),
        ("[1, 2, 3][-1]", 3),
        ("[1, 2, 3][1:]", [2, 3]),
        ("{a: 1, 'b': 2}.b", 2),
        ("1..4", [1, 2, 3, 4]),
        ("let x = 2; x * x", 4),
        ("if 1 > 2 { 'a' } else { 'b' }", "b"),
        ("asInt(inputs.parameters.n) * 2", 6),
        ("asFloat('1.5')", 1.5),
        ("int('4') + float('0.5')", 4.5),
        ("string(3.0)", "3"),
        ("len('abc') + len([1])", 4),
        ("filter([1, 2, 3], {# > 1})", [2, 3]),
        ("map(1..3, # * 2)", [2, 4, 6]),
        ("[1, 2] | map(# + 1) | sum()", 5),
        ("all([1, 2], # > 0) && any([1, 2], # == 2) && none([1], # > 1)", True),
        ("map([{n: 1}], .n)", [1]),
        ("count([1, 2, 3], # > 1)", 2),
        ("reduce(1..4, #acc + #)", 10),
        ("sortBy([{a: 2}, {a: 1}], .a)[0].a", 1),
        ("upper(trim(' a '))", "A"),
        ("split('a,b', ',')", ["a", "b"]),
        ("join(['a', 'b'], '-')", "a-b"),
        ("replace('aXa', 'X', '')", "aa"),
        ("jsonpath(steps.a.outputs.result, '$.rows[1].n')", 2),
        ("jsonpath(steps.a.outputs.result, '$.rows[*].n')", [1, 2]),
        ("jsonpath(steps.a.outputs.result, '$..n')", [1, 2]),
        ("jsonpath(steps.a.outputs.result, '$.rows[?(@.n > 1)].n')", [2]),
        ("toJson({'b': 1, 'a': [1.0, 'x']})", '{"a":[1,"x"],"b":1}'),
        ("fromJSON(steps.a.outputs.result).rows[0].n", 1),
        ("sprig.trim(' a ') + sprig.upper('b')", "aB"),
        ("sprig.default('d', '')", "d"),
        ("sprig.add(1, '2', 3)", 6),
        ("sprig.div(-7, 2)", -3),
        ("sprig.splitList(',', 'a,b')", ["a", "b"]),
        ("sprig.replace('a', 'b', 'aa')", "bb"),
        ("workflow.parameters.list", "[1,2]"),
        ("/* note */ 1 // more", 1),
    ],
)
def test_an_expression_has_its_value(source: str, expected: Any) -> None:
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("unknown", "unknown name unknown"),
        ("null", "unknown name null"),
        ("steps.b.outputs", "cannot fetch outputs from <nil>"),
        ("1 + 'a'", "mismatched types"),
        ("1 +", "unexpected token EOF"),
        ("'open", "unrecognized character"),
        ("asInt('x')", 'strconv.Atoi: parsing "x": invalid syntax'),
        ("sprig.env('HOME')", "sprig.env"),
        ("1 && true", "mismatched types"),
        ("", "unexpected token EOF"),
        ("[1][5]", "index out of range"),
    ],
)
def test_what_cannot_be_evaluated_says_why(source: str, words: str) -> None:
    with pytest.raises(ExpressionError) as error:
        value(source)
    assert words in str(error.value)


def test_a_condition_must_be_a_truth_value() -> None:
    assert evaluate_bool("1 < 2", {}) is True
    with pytest.raises(ExpressionError, match="unable to cast expression result '1' to bool"):
        evaluate_bool("1", {})


def test_an_expression_waits_for_what_comes_later() -> None:
    assert waits_for("item.name + 'x'", {})
    assert waits_for("asInt(lastRetry.exitCode) > 1", {})
    assert not waits_for("'item'", {})
    assert not waits_for("items", {})
    assert not waits_for("item", {"item": "1"})


@given(st.text(alphabet="ab1.()[]{}'\"#?:,|&=!<>+-*/% inotsprig.tem\\", max_size=30))
def test_any_text_is_an_expression_or_an_expression_error(source: str) -> None:
    with contextlib.suppress(ExpressionError):
        value(source)


numbers = st.integers(-20, 20)


@given(numbers, numbers, numbers, st.sampled_from("+-*"), st.sampled_from("+-*"))
def test_arithmetic_is_that_of_python(a: int, b: int, c: int, x: str, y: str) -> None:
    source = f"{a} {x} ({b}) {y} ({c})"
    assert value(source) == eval(source)
