"""The lines of a log that match an expression: which, in RE2's syntax only, and never at the server's cost."""

from __future__ import annotations

import asyncio
import random

import psutil
import pytest

from labkit.embedded.argo.grep import Grep
from labkit.embedded.argo.grpc import Refusal

LINES = ["one", "two words", "2 is a number", "x^y", "é", ""]


def matching(expression: str, texts: list[str]) -> list[int]:
    async def ask() -> list[int]:
        grep = Grep(expression)
        try:
            return await grep.matches(texts)
        finally:
            await grep.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(("expression", "wanted"), [
    ("", [0, 1, 2, 3, 4, 5]), ("o", [0, 1]), ("^o", [0]), (r"\d", [2]), (r"(?i)TWO\s", [1]), ("o|y$", [0, 1, 3]),
    (r"x\^y", [3]), ("^$", [5]), (r"^\w+$", [0]), ("[]^]|[a-z]{3,}", [0, 1, 2, 3]), ("(?P<n>e)(?:$)", [0]), ("é", [4]),
    (r"^.{3,1000}$", [0, 1, 2, 3]), (r"o{0}n{1}e", [0]), ("[{,5}]", []), (r"\{,5}|y{1,}", [3]),
])  # fmt: skip
def test_lines_match_as_re2_says(expression: str, wanted: list[int]) -> None:
    assert matching(expression, LINES) == wanted


def test_many_lines_are_asked_about_in_batches() -> None:
    texts = [random.choice(("yes", "no")) for _ in range(3500)]
    assert matching("^y.s$", texts) == [i for i, text in enumerate(texts) if text == "yes"]


@pytest.mark.parametrize(("expression", "words"), [
    ("(", "missing"), ("a**", "multiple repeat"), (r"(a)\1", r"invalid escape sequence: `\1`"),
    ("(?=a)", "unsupported Perl syntax: `(?=`"), ("(?<!a)b", "unsupported Perl syntax: `(?<!`"), ("(?>a)", "Perl syntax"),
    ("(?P<n>a)(?P=n)", "Perl syntax: `(?P=`"), ("(?x)a b", "Perl syntax: `(?x)`"), ("a*+", "nested repetition operator: `*+`"),
    ("a{2}+", "`{2}+`"), ("[[:alpha:]]", "invalid character class range"), (r"\pL", r"invalid escape sequence: `\p`"),
    ("a." * 501, "too large"), ("x{,5}", "write `\\{,5}`"), ("x{,}", "write `\\{,}`"), ("x{01}", "write `\\{01}`"),
    ("a{1001}", "invalid repeat count: `{1001}`"), ("a{1,1001}", "invalid repeat count"), ("a{1001,}", "invalid repeat count"),
    (r"a\z", r"bad escape \z"), (r"\x{41}", "incomplete escape"), ("a(?i)b", "global flags not at the start"),
    ("(?<n>a)", "Perl syntax"),
])  # fmt: skip
def test_what_is_no_expression_of_re2_is_refused(expression: str, words: str) -> None:
    with pytest.raises(Refusal, match=r"failed to compile .*: error parsing regexp: ") as refused:
        Grep(expression)
    assert words in refused.value.message


def test_an_expression_that_never_ends_dies_alone() -> None:
    async def go() -> tuple[str, int]:
        grep = Grep("(a+)+$")
        assert await grep.matches(["aaa", "b"]) == [0]
        asking = asyncio.create_task(grep.matches(["a" * 60 + "b"]))
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.01)
            turns += 1
        try:
            with pytest.raises(Refusal) as refused:
                await asking
            return refused.value.message, turns
        finally:
            await grep.close()

    message, turns = asyncio.run(go())
    assert message == '"(a+)+$" takes too long: a simpler expression is needed'
    assert turns > 10, "the loop went on meanwhile"
    assert not [p for p in psutil.Process().children() if "matcher.py" in " ".join(p.cmdline())]


def test_a_plain_text_needs_no_process() -> None:
    async def go() -> list[int]:
        return await Grep("two words").matches(LINES)

    before = psutil.Process().children()
    assert asyncio.run(go()) == [1]
    assert psutil.Process().children() == before
