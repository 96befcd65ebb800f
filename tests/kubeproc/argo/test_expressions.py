"""The expr-lang part of expressions: values, precedence, functions, and that nothing but its own error comes out."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.argo.language import sprig
from kubeproc.argo.language.builtins import BUILTINS
from kubeproc.argo.language.expressions import (
    ExpressionError,
    NotSupported,
    compute,
    environment,
    evaluate,
    evaluate_bool,
    refused,
    waits_for,
)
from kubeproc.argo.language.operators import OPERATORS

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
        ("1 == 1.5", False),
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
        ("jsonpath(steps.a.outputs.result, '$.rows[1].n')", 2.0),
        ("jsonpath(steps.a.outputs.result, '$.rows[*].n')", [1, 2]),
        ("jsonpath(steps.a.outputs.result, '$..n')", [1, 2]),
        ("jsonpath(steps.a.outputs.result, '$.rows[?(@.n > 1)].n')", [2]),
        ("toJson({'b': 1, 'a': [1.0, 'x']})", '{"a":[1,"x"],"b":1}'),
        ("fromJSON(steps.a.outputs.result).rows[0].n", 1.0),
        ("sprig.trim(' a ') + sprig.upper('b')", "aB"),
        ("sprig.default('d', '')", "d"),
        ("sprig.add(1, '2', 3) + 0", 6),
        ("sprig.div(-7, 2) + 0", -3),
        ("sprig.splitList(',', 'a,b')", ["a", "b"]),
        ("sprig.replace('a', 'b', 'aa')", "bb"),
        ("workflow.parameters.list", "[1,2]"),
        ("/* note */ 1 // more", 1),
    ],
)
def test_an_expression_has_its_value(source: str, expected: Any) -> None:
    found = value(source)
    assert found == expected
    if not isinstance(expected, list):
        assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("unknown", "unknown name unknown"),
        ("null", "unknown name null"),
        ("steps.b.outputs", "cannot fetch outputs from <nil>"),
        ("1 + 'a'", "mismatched types"),
        ("1 +", "unexpected token EOF"),
        ("'open", "literal not terminated"),
        ("asInt('x')", "invalid operation: int(x) (1:1)\n | asInt('x')\n | ^"),
        ("sprig.env('HOME')", "invalid operation: cannot call nil (1:7)"),
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
    with pytest.raises(ExpressionError, match=r"unable to cast expression result '%!s\(int=1\)' to bool"):
        evaluate_bool("1", {})


def test_a_condition_that_fails_as_it_is_computed_says_so() -> None:
    with pytest.raises(ExpressionError, match=r"^unknown name zzz \(1:1\)"):
        evaluate_bool("zzz.a == 'b'", {})
    with pytest.raises(
        ExpressionError, match=r"^unable to evaluate expression 'a\.b\.c == 1': cannot fetch c from <nil>"
    ):
        evaluate_bool("a.b.c == 1", {"a": {}})


def test_what_the_cluster_cannot_do_is_refused_by_name() -> None:
    """Before anything runs where the call is seen, and as it is computed where it isn't."""
    assert refused("'x' + sprig.genPrivateKey('rsa')").startswith(
        "sprig.genPrivateKey: not supported by the embedded cluster"
    )
    assert "use `labkit up --engine kind`" in refused("true ? 1 : sprig?.bcrypt('x')")
    assert refused("sprig.upper('x')") == refused("sprig.nothing('x')") == refused("1 +") == ""
    with pytest.raises(NotSupported, match=r"sprig\.bcrypt: not supported"):
        value("let s = sprig; s.bcrypt('x')")


def test_every_function_of_sprig_is_done_or_refused() -> None:
    """211 there are; Argo takes `env` and `expandenv` away."""
    assert len(sprig.FUNCTIONS) + len(sprig.REFUSED) == 209
    assert not sprig.FUNCTIONS.keys() & (sprig.REFUSED.keys() | {"env", "expandenv"})


@pytest.mark.parametrize(
    "pattern", ["(x+x+)+y", "(a|a)*b", "(.*)*c", "(?:a?b?){0,300}c", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_no_regular_expression_takes_long(pattern: str) -> None:
    text, start = "x" * 5000 + "!", time.thread_time()
    names = {"text": text, "pattern": pattern} | environment({})
    with contextlib.suppress(ExpressionError):
        assert evaluate("text matches pattern", names) is False
    with contextlib.suppress(ExpressionError):
        evaluate("sprig.regexFindAll(pattern, text, -1)", names)
    assert time.thread_time() - start < 8


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("int(x)", "invalid operation: int(999"),
        ("duration(x + 'h')", "time: invalid duration"),
        ("sprig.atoi(x)", 2**63 - 1),
        ("sprig.int(x)", 0),
        ("sprig.toDecimal(sprig.repeat(5000, '7'))", 0),
        ("sprig.int(sprig.repeat(5000, '0') + '7')", 7),
    ],
)
def test_thousands_of_digits_are_a_number_out_of_range(source: str, outcome: Any) -> None:
    names = environment({"x": "9" * 5000})
    if isinstance(outcome, int):
        assert compute(source, names) == outcome
        return
    with pytest.raises(ExpressionError) as error:
        compute(source, names)
    assert outcome in str(error.value)


def test_an_expression_waits_for_what_comes_later() -> None:
    assert waits_for("item.name + 'x'", {})
    assert waits_for("asInt(lastRetry.exitCode) > 1", {})
    assert not waits_for("'item'", {})
    assert not waits_for("items", {})
    assert not waits_for("item", {"item": "1"})


ATOMS = ["1", "-2.5", "'a,b'", "'(x*)'", "nil", "true", "[1, 'b', nil]", "{'a': 1}", "1..3", "duration('1h')",
         "date('2024-01-02')",
         "sprig.semver('1.2.3')", "sprig.list()", "inputs.parameters.n", "'2006-01-02'", "'é'"]  # fmt: skip


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    names = sorted(BUILTINS) + [f"sprig.{name}" for name in sorted(sprig.FUNCTIONS)]
    calls = st.builds(
        lambda name, args: f"{name}({', '.join(args)})", st.sampled_from(names), st.lists(inner, max_size=4)
    )
    pairs = st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from(sorted(OPERATORS)), inner)
    return calls | pairs | inner.map(lambda a: f"{a}[0]") | inner.map(lambda a: f"{a}.String()")


@given(st.recursive(st.sampled_from(ATOMS), _combined, max_leaves=8))
def test_any_expression_has_a_value_or_an_error(source: str) -> None:
    with contextlib.suppress(ExpressionError):
        compute(source, environment(VARIABLES))


@given(st.text(alphabet="ab1.()[]{}'\"#?:,|&=!<>+-*/% inotsprig.tem\\", max_size=30))
def test_any_text_is_an_expression_or_an_expression_error(source: str) -> None:
    with contextlib.suppress(ExpressionError):
        compute(source, environment(VARIABLES))


numbers = st.integers(-20, 20)


@given(numbers, numbers, numbers, st.sampled_from("+-*"), st.sampled_from("+-*"))
def test_arithmetic_is_that_of_python(a: int, b: int, c: int, x: str, y: str) -> None:
    source = f"{a} {x} ({b}) {y} ({c})"
    assert value(source) == eval(source)
