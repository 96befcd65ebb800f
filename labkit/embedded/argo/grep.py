"""`?grep=` of a workflow's log: the lines that match an expression, which anybody who may read logs can choose.

Mechanism. Argo's expressions are RE2's, which take a time linear in the text. Python's may take for ever, and would hold
the event loop for so long; so they run in a process of their own (`matcher`), which has a limit, and dies of it alone.
What only Python knows, and RE2 refuses, is refused. An expression without any special character needs no process.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

from labkit.embedded.argo.grpc import UNKNOWN, Refusal

LONGEST = 1000  # characters of an expression
MOST = 1000  # of a repeat count
BATCH = 1000  # lines that the process is asked about at once
ANSWER = 2**20  # bytes that an answer may have
PROGRAM = Path(__file__).with_name("matcher.py")
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_TOKEN = re.compile(
    r"""\\.                                          # an escape
    | \[ \^? \]? (?: \\. | \[:\^?\w+:\] | [^\]\\] )* \]     # a class of characters
    | \(\? (?: P[<=>] | <[=!]? | [=!>#(] | [A-Za-z-]*[:)] )  # a group that is no plain one
    | (?: [*+?] | \{(?:[0-9]+,?[0-9]*|,[0-9]*)\} ) \+    # possessive
    | \{(?:[0-9]+,?[0-9]*|,[0-9]*)\}                 # a count
    | .""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPES = frozenset("pPQECZNuU123456789")  # RE2 has other meanings for these, or none
_COUNT = re.compile(r"\{(0|[1-9][0-9]*)(?:,(0|[1-9][0-9]*)?)?\}")
_GROUP = re.compile(r"\(\?(P<|[ims-]*[:)])")


class Grep:
    """The lines that match; `Refusal` where `expression` is none of RE2's."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.plain = not _SPECIAL.search(expression)
        self._process: asyncio.subprocess.Process | None = None
        if not self.plain:
            _check(expression)

    async def matches(self, texts: list[str]) -> list[int]:
        """The indices of the texts that match."""
        if self.plain:
            return [index for index, text in enumerate(texts) if self.expression in text]
        found: list[int] = []
        for start in range(0, len(texts), BATCH):
            found += [start + index for index in await self._ask(texts[start : start + BATCH])]
        return found

    async def _ask(self, texts: list[str]) -> list[int]:
        if self._process is None:
            self._process = await _start()
            await _send(self._process, self.expression)
        await _send(self._process, texts)
        assert self._process.stdout
        answer = await self._process.stdout.readline()
        if not answer:
            raise Refusal(UNKNOWN, f"{_quoted(self.expression)} takes too long: a simpler expression is needed")
        found: list[int] = json.loads(answer)
        return found

    async def close(self) -> None:
        if self._process:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()


async def _start() -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(PROGRAM), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL,
        limit=ANSWER,
    )  # fmt: skip


async def _send(process: asyncio.subprocess.Process, value: object) -> None:
    assert process.stdin
    try:
        process.stdin.write(json.dumps(value).encode() + b"\n")
        await process.stdin.drain()
    except ConnectionError:
        pass  # it has ended, which its answer says


def _check(expression: str) -> None:
    """Refuse what is no expression, or none of RE2's."""
    if len(expression) > LONGEST:
        why = f"expression too large: more than {LONGEST} characters"
    else:
        why = next((words for token in _TOKEN.findall(expression) if (words := _foreign(token))), "")
        why = why or _wrong(expression)
    if why:
        raise Refusal(UNKNOWN, f"failed to compile {_quoted(expression)}: error parsing regexp: {why}")


def _wrong(expression: str) -> str:
    try:
        re.compile(expression, re.ASCII)
    except re.error as error:
        return str(error)
    except (RecursionError, OverflowError):
        return "expression nests too deeply"
    return ""


def _foreign(token: str) -> str:
    """Why a token is none of RE2's, in Go's words; empty where it means the same to Python."""
    if token[0] == "\\" and token[1:] in _ESCAPES:
        return f"invalid escape sequence: `{token}`"
    if token.startswith("(?") and not _GROUP.fullmatch(token):
        return f"invalid or unsupported Perl syntax: `{token}`"
    if len(token) > 1 and token[0] in "*+?{" and token[-1] == "+":
        return f"invalid nested repetition operator: `{token}`"
    if token[0] == "{" and token[-1] == "}":
        return _wrong_count(token)
    if token[0] == "[" and "[:" in token:
        return f"invalid character class range: `{token}`"
    return ""


def _wrong_count(token: str) -> str:
    if not (found := _COUNT.fullmatch(token)):
        return f"`{token}` is no repeat count: write `\\{token}` for the text"
    if any(number and int(number) > MOST for number in found.groups()):
        return f"invalid repeat count: `{token}`"
    return ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
