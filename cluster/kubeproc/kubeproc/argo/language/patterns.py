"""Regular expressions from untrusted input, in RE2's syntax, as in Go.

RE2 takes linear time and never backtracks, so it can run on the server's event loop; a large expression over a long
text is rejected (`MOST_WORK`). The syntax and the error messages are those of Go's regexp.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Any

import re2

from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.quoting import decoded, encoded

LONGEST = 10_000  # characters of an expression
MOST_WORK = 10_000_000  # steps of the expression times bytes of the text: at worst a second
MOST_SECONDS = 2  # of the processor for all matches in one text
_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "unexpected )": "unexpected )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
    "pattern too large - compile failed": "expression too large",
}
_SPECIAL = frozenset("\\.+*?()|[]{}^$")


def quote_meta(text: str) -> str:
    """The expression that matches exactly this text."""
    return "".join("\\" + char if char in _SPECIAL else char for char in text)


class Pattern:
    """A compiled expression, which searches bytes."""

    def __init__(self, source: str) -> None:
        self.source = source
        options = re2.Options()
        options.log_errors = False
        if len(source) > LONGEST:
            raise Panic(f"error parsing regexp: expression too large: more than {LONGEST} characters")
        if re.search(r"(?<!\\)(?:\\\\)*\\C", source):
            raise Panic("error parsing regexp: invalid escape sequence: `\\C`")
        try:
            self.compiled = re2.compile(encoded(source), options)
        except re2.error as error:
            raise Panic(f"error parsing regexp: {_words(error, source)}") from None

    def _affordable(self, data: bytes) -> bytes:
        """The text as bytes; Panic if this expression could take too long on it."""
        if self.compiled.programsize * len(data) > MOST_WORK:
            raise Panic(
                f"error parsing regexp: expression too large for a text of {len(data)} bytes: `{self.source[:200]}`"
            )
        return data

    def search(self, text: str) -> Any:
        """A match, or None."""
        return self.compiled.search(self._affordable(encoded(text)))

    def find(self, text: str) -> str:
        """The first match, or nothing."""
        found = self.search(text)
        return decoded(found[0]) if found else ""

    def find_all(self, text: str, limit: int = -1) -> list[str]:
        """The matches from left to right; an empty one never directly follows another."""
        data = encoded(text)
        return [decoded(data[start:end]) for start, end, _ in self._matches(data, limit)]

    def _matches(self, data: bytes, limit: int) -> list[tuple[int, int, Any]]:
        found: list[tuple[int, int, Any]] = []
        self._affordable(data)
        at, before, deadline = 0, -1, time.thread_time() + MOST_SECONDS
        while at <= len(data) and (limit < 0 or len(found) < limit):
            if time.thread_time() > deadline:
                raise Panic(f"error parsing regexp: too many matches: `{self.source[:200]}`")
            match = self.compiled.search(data, at)
            if not match:
                break
            start, end = match.span()
            again = start == end == before
            at = end if end > at else at + _width(data, at)
            before = end
            if not again:
                found.append((start, end, match))
        return found

    def replace(self, text: str, replacement: str, *, literal: bool = False) -> str:
        """The text with each match replaced; `$1`, `$name` and `${name}` name groups, unless it is literal."""
        data, new = encoded(text), encoded(replacement)
        out, at = b"", 0
        for start, end, match in self._matches(data, -1):
            out += data[at:start] + (new if literal else _expanded(new, match))
            at = end
        return decoded(out + data[at:])

    def split(self, text: str, limit: int) -> list[str] | None:
        """The parts between matches, at most `limit` if it is positive; None for a limit of 0."""
        if limit == 0:
            return None
        if self.source and not text:
            return [""]
        data = encoded(text)
        parts: list[bytes] = []
        begin = end = 0
        for start, stop, _ in self._matches(data, limit):
            if limit > 0 and len(parts) == limit - 1:
                break
            end = start
            if stop != 0:
                parts.append(data[begin:end])
            begin = stop
        if end != len(data):
            parts.append(data[begin:])
        return [decoded(part) for part in parts]


def _width(data: bytes, at: int) -> int:
    """The number of bytes of the character at this position."""
    lead = data[at] if at < len(data) else 0
    return 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


_REFERENCE = re.compile(rb"\$(?:(\$)|(\w+)|\{(\w+)\})")


def _expanded(template: bytes, match: Any) -> bytes:
    def one(reference: re.Match[bytes]) -> bytes:
        if reference[1]:
            return b"$"
        name = (reference[2] or reference[3]).decode()
        groups = match.groups()
        if name.isdigit():
            value = match[0] if int(name) == 0 else groups[int(name) - 1] if int(name) <= len(groups) else b""
        else:
            value = _group(match, name)
        return value or b""

    return _REFERENCE.sub(one, template)


def _group(match: Any, name: str) -> bytes:
    number = match.re.groupindex.get(name) or match.re.groupindex.get(name.encode())
    return (match.groups()[number - 1] or b"") if number else b""


def _words(error: Exception, source: str) -> str:
    """Go's message for RE2's error."""
    message = error.args[0] if error.args else str(error)
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    if text.endswith((": (?<!", ": (?<=")):
        return f"invalid named capture: `{source[source.index(text[-4:]) :]}`"
    for theirs, ours in sorted(_WORDS.items(), key=lambda pair: -len(pair[0])):
        if text.startswith(theirs):
            rest = text[len(theirs) :].removeprefix(":").strip()
            if ours.startswith("trailing"):
                return f"{ours}: ``"
            return f"{ours}: `{rest}`" if rest and ours != "expression too large" else ours
    what, _, rest = text.partition(": ")
    return f"{what}: `{rest}`" if rest else what


@lru_cache(maxsize=512)
def compiled(source: str) -> Pattern:
    """The pattern; Panic with Go's message if it is invalid."""
    return Pattern(source)
