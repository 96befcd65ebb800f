"""The lines of a log that match an expression: which, in RE2's syntax only, and never at the server's cost."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from kubeproc.argo.server.grep import Grep
from kubeproc.argo.server.grpc import Refusal

LINES = ["one", "two words", "2 is a number", "x^y", "é", ""]


def matching(expression: str, texts: list[str]) -> list[int]:
    return asyncio.run(Grep(expression).matches(texts))


@pytest.mark.parametrize(("expression", "wanted"), [
    ("", [0, 1, 2, 3, 4, 5]), ("o", [0, 1]), ("^o", [0]), (r"\d", [2]), (r"(?i)TWO\s", [1]), ("o|y$", [0, 1, 3]),
    (r"x\^y", [3]), ("^$", [5]), (r"^\w+$", [0]), ("[]^]|[a-z]{3,}", [0, 1, 2, 3]), ("(?P<n>e)(?:$)", [0]), ("é", [4]),
    (r"^.{3,1000}$", [0, 1, 2, 3]), (r"o{0}n{1}e", [0]), ("[{,5}]", []), (r"\{,5}|y{1,}", [3]),
    (r"\pL+\z", [0, 1, 2, 3, 4]), (r"[[:alpha:]]{2}", [0, 1, 2]), (r"\x{65}$", [0]), (r"\Qx^y\E", [3]), ("a(?i)B|(?<n>w)", [1]),
])  # fmt: skip
def test_lines_match_as_re2_says(expression: str, wanted: list[int]) -> None:
    assert matching(expression, LINES) == wanted


def test_many_lines_are_asked_about_in_batches() -> None:
    texts = [random.choice(("yes", "no")) for _ in range(3500)]
    assert matching("^y.s$", texts) == [i for i, text in enumerate(texts) if text == "yes"]


@pytest.mark.parametrize(("expression", "words"), [
    ("(", "missing closing ): `(`"), ("a**", "invalid nested repetition operator: `**`"),
    (r"(a)\1", r"invalid escape sequence: `\1`"), ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
    ("(?<!a)b", "invalid named capture: `(?<!a)b`"), ("(?>a)", "Perl syntax: `(?>`"), ("(?P<n>a)(?P=n)", "Perl syntax: `(?P`"),
    ("(?x)a b", "Perl syntax: `(?x"), ("a*+", "invalid nested repetition operator: `*+`"),
    ("a{1001}", "invalid repeat count: `{1001}`"), ("*a", "missing argument to repetition operator: `*`"),
    ("[z-a]", "invalid character class range: `z-a`"), ("[a", "missing closing ]: `[a`"),
    (r"a\C", r"invalid escape sequence: `\C`"), ("a" * 10_001, "expression too large"),
    ("\\", "trailing backslash at end of expression: ``"),
])  # fmt: skip
def test_an_invalid_re2_expression_is_refused(expression: str, words: str) -> None:
    with pytest.raises(Refusal, match=r"failed to compile .*: error parsing regexp: ") as refused:
        Grep(expression)
    assert words in refused.value.message


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|aa)+$", "(a*)*b", "^(a?){25}a{25}$", "(x+x+)+y"])
def test_no_expression_holds_the_loop(expression: str) -> None:
    start = time.thread_time()
    assert matching(expression, ["a" * 2000 + "!", "x" * 2000]) == []
    assert time.thread_time() - start < 2


def test_a_large_expression_is_not_searched_for_in_a_long_line() -> None:
    with pytest.raises(Refusal, match="expression too large for a text of 100000 bytes"):
        matching("(?:a?b?){0,900}c", ["ab" * 50_000])


def test_others_have_their_turn_between_many_lines() -> None:
    async def go() -> int:
        asking = asyncio.create_task(Grep("^y").matches(["no"] * 20_000))
        turns = 0
        while not asking.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(go()) > 10
