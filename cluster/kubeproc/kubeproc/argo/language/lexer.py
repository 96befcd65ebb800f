"""The tokens of an expression."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from kubeproc.argo.language.expression_errors import Located
from kubeproc.argo.language.quoting import SPACES, quote

IDENTIFIER, NUMBER, STRING, OPERATOR, BRACKET, END = "Identifier", "Number", "String", "Operator", "Bracket", "EOF"
_WORDS = ("not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else")
_PAIRED = {
    "|": "|",
    ":": ":",
    "&": "&=*",
    "!": "&=*",
    "=": "&=*",
    "*": "&=*",
    "<": "&=*",
    ">": "&=*",
    "?": ".?",
    ".": ".",
}
_SINGLE = ",;%+-^"
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_HEX = "0123456789abcdefABCDEF"


class Token(NamedTuple):
    kind: str
    value: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind}({quote(self.value)})" if self.value else self.kind


def is_letter(char: str) -> bool:
    return char in ("_", "$") or char.isalpha()


def is_word(char: str) -> bool:
    return char != "" and (is_letter(char) or char.isdecimal())


class _Lexer:
    def __init__(self, source: str) -> None:
        self.source, self.at, self.found = source, 0, list[Token]()

    def peek(self, ahead: int = 0) -> str:
        return self.source[self.at + ahead : self.at + ahead + 1]

    def run(self, allowed: str) -> None:
        while self.peek() and self.peek() in allowed:
            self.at += 1

    def wrong(self, message: str, at: int | None = None) -> Located:
        return Located(message, self.source, self.at if at is None else at)

    def emit(self, kind: str, start: int, value: str | None = None) -> None:
        self.found.append(Token(kind, self.source[start : self.at] if value is None else value, start))

    def all(self) -> tuple[Token, ...]:
        while self.at < len(self.source):
            self._one()
        self.found.append(Token(END, "", max(len(self.source) - 1, 0)))
        return tuple(self.found)

    def _one(self) -> None:
        start, char = self.at, self.peek()
        self.at += 1
        if char in SPACES:
            return
        if char in "'\"":
            self._string(char, start)
        elif char == "`":
            self._raw(start)
        elif char in "0123456789" or (char == "." and self.peek() and self.peek() in "0123456789"):
            self._number(start)
        elif char == "/" and self.peek() in ("/", "*"):
            self._comment()
        elif char == "#":
            self._pointer(start)
        elif char in "([{)]}":
            self.emit(BRACKET, start)
        elif char in _PAIRED:
            if self.peek() and self.peek() in _PAIRED[char]:
                self.at += 1
            self.emit(OPERATOR, start)
        elif char in _SINGLE or char == "/":
            self.emit(OPERATOR, start)
        elif is_word(char):
            while is_word(self.peek()):
                self.at += 1
            self.emit(OPERATOR if self.source[start : self.at] in _WORDS else IDENTIFIER, start)
        else:
            shown = f"U+{ord(char):04X}" + (f" '{char}'" if char.isprintable() else "")
            raise self.wrong(f"unrecognized character: {shown}", start)

    def _comment(self) -> None:
        if self.peek() == "/":
            end = self.source.find("\n", self.at)
            self.at = len(self.source) if end < 0 else end + 1
            return
        end = self.source.find("*/", self.at + 1)
        if end < 0:
            raise self.wrong("unclosed comment", len(self.source))
        self.at = end + 2

    def _pointer(self, start: int) -> None:
        if self.peek() == "#":
            self.at += 1
        self.emit(OPERATOR, start)
        start = self.at
        while is_word(self.peek()):
            self.at += 1
        if self.at > start:
            self.emit(IDENTIFIER, start)

    def _number(self, start: int) -> None:
        self.at = start
        digits = "0123456789_"
        if self.peek() == "0":
            self.at += 1
            for mark, others in (("xX", _HEX + "_"), ("oO", "01234567_"), ("bB", "01_")):
                if self.peek() and self.peek() in mark:
                    self.at += 1
                    digits = others
                    break
        self.run(digits)
        if self.peek() == "." and self.peek(1) != ".":
            self.at += 1
            self.run(digits)
        elif self.peek() == ".":
            self.emit(NUMBER, start)
            return
        if self.peek() and self.peek() in "eE":
            self.at += 1
            if self.peek() and self.peek() in "+-":
                self.at += 1
            self.run(digits)
        if is_word(self.peek()):
            self.at += 1
            raise self.wrong(f"bad number syntax: {quote(self.source[start : self.at])}", self.at - 1)
        self.emit(NUMBER, start)

    def _raw(self, start: int) -> None:
        value = ""
        while True:
            end = self.source.find("`", self.at)
            if end < 0:
                raise self.wrong("literal not terminated", len(self.source))
            value += self.source[self.at : end]
            self.at = end + 1
            if self.peek() != "`":
                break
            value += "`"
            self.at += 1
        self.emit(STRING, start, value)

    def _string(self, mark: str, start: int) -> None:
        value = ""
        while (char := self.peek()) != mark:
            if char in ("", "\n"):
                raise self.wrong("literal not terminated", self.at)
            self.at += 1
            value += self._escape(mark) if char == "\\" else char
        self.at += 1
        self.emit(STRING, start, value.replace("\r", "\n"))

    def _escape(self, mark: str) -> str:
        char = self.peek()
        self.at += 1
        if char in _SIMPLE or char == mark:
            return _SIMPLE.get(char, char)
        if char == "u" and self.peek() == "{":
            end = self.source.find("}", self.at)
            digits = self.source[self.at + 1 : end] if end > 0 else ""
            self.at = end + 1
            return self._rune(digits, 1 <= len(digits) <= 6, 16)
        if char and char in "01234567":
            self.at += 2
            digits = self.source[self.at - 3 : self.at]
            code = self._rune(digits, len(digits) == 3, 8)
            return _byte(ord(code)) if ord(code) < 256 else code
        if char and char in "xuU":
            length = {"x": 2, "u": 4, "U": 8}[char]
            digits = self.source[self.at : self.at + length]
            self.at += length
            code = self._rune(digits, len(digits) == length, 16)
            return _byte(ord(code)) if char == "x" else code
        raise self.wrong("invalid char escape", self.at - 1)

    def _rune(self, digits: str, complete: bool, base: int) -> str:
        allowed = _HEX if base == 16 else "01234567"
        if not complete or any(d not in allowed for d in digits) or int(digits, base) > 0x10FFFF:
            raise self.wrong("invalid char escape", self.at - 1)
        code = int(digits, base)
        return "�" if 0xD800 <= code < 0xE000 else chr(code)


def _byte(code: int) -> str:
    """One byte of a string."""
    return bytes([code]).decode("utf-8", "surrogateescape")


@lru_cache(maxsize=2048)
def tokens(source: str) -> tuple[Token, ...]:
    """The tokens of the source; the last one marks the end."""
    return _Lexer(source).all()
