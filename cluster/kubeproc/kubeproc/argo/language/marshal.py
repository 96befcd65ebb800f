"""Go's encoding/json: the text of a value, and the value of a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.formats import float_text
from kubeproc.argo.language.quoting import HTML, LINES, encoded, quote, shown
from kubeproc.argo.language.values import Map, is_nil, type_name

_DEEPEST = 100


def string(value: str, *, html: bool = True) -> str:
    """A text as a JSON string."""
    made = json.dumps(shown(value), ensure_ascii=False)
    for char, escape in (LINES | (HTML if html else {})).items():
        made = made.replace(char, escape)
    return made


def marshal(value: Any, *, html: bool = True) -> str:
    """The JSON of a value, without spaces; Panic with Go's message for a value that JSON can't represent."""
    return _encode(value, html, 0)


def _encode(value: Any, html: bool, depth: int) -> str:
    if depth > _DEEPEST:
        raise Panic("json: the value is nested too deeply")
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        return string(value, html=html)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        if value - value != 0:
            raise Panic(f"json: unsupported value: {float_text(value)}")
        return float_text(value, least=-6, most=21).replace("e-0", "e-")
    if isinstance(value, list):
        if is_nil(value):
            return "null"
        return "[" + ",".join(_encode(item, html, depth + 1) for item in value) + "]"
    if isinstance(value, Mapping):
        if isinstance(value, Map) and value.go_type.startswith("map[interface"):
            raise Panic(f"json: unsupported type: {value.go_type}")
        keys = sorted(value, key=lambda key: encoded(str(key)))
        return "{" + ",".join(f"{string(str(k), html=html)}:{_encode(value[k], html, depth + 1)}" for k in keys) + "}"
    own = getattr(value, "go_json", None)
    if own is None:
        raise Panic(f"json: unsupported type: {type_name(value)}")
    return string(own(), html=html) if isinstance(own(), str) else "{}"


def indented(value: Any) -> str:
    """The JSON of a value over several lines, indented by two spaces."""
    return _indent(marshal(value))


def _indent(source: str) -> str:
    out, depth, at, text = "", 0, 0, False
    while at < len(source):
        char = source[at]
        if text:
            out += source[at : at + 2] if char == "\\" else char
            at += 2 if char == "\\" else 1
            text = char != '"'
            continue
        if char in "[{":
            if source[at + 1] in "]}":
                out, at = out + source[at : at + 2], at + 2
                continue
            depth += 1
            out += char + "\n" + "  " * depth
        elif char in "]}":
            depth -= 1
            out += "\n" + "  " * depth + char
        else:
            out += {",": ",\n" + "  " * depth, ":": ": "}.get(char, char)
            text = char == '"'
        at += 1
    return out


# -- reading ------------------------------------------------------------------------------------------------------------


def _constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_int=float, parse_constant=_constant, strict=True)


def unmarshal(source: str) -> Any:
    """The value of a JSON text, with numbers as float64; Panic with Go's message if it is not JSON."""
    try:
        value = _DECODER.decode(source)
    except (ValueError, RecursionError):
        raise Panic(why_not(source)) from None
    return _checked(value)


def _checked(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0:
        raise Panic("json: cannot unmarshal number into Go value of type float64")
    if isinstance(value, list):
        return [_checked(item) for item in value]
    if isinstance(value, dict):
        return {shown(key): _checked(item) for key, item in value.items()}
    return shown(value) if isinstance(value, str) else value


def why_not(source: str) -> str:
    """Go's error message for a text that is not JSON."""
    return _Scanner(source).message()


class _Scanner:
    """Finds the first invalid character."""

    def __init__(self, source: str) -> None:
        self.source, self.at = source, 0

    def message(self) -> str:
        try:
            self._value("looking for beginning of value", 0)
            self._blanks()
            if self.at < len(self.source):
                self._wrong("after top-level value")
        except _Found as found:
            return str(found)
        return "unexpected end of JSON input"

    def _wrong(self, context: str) -> None:
        if self.at >= len(self.source):
            raise _Found("unexpected end of JSON input")
        char = self.source[self.at]
        name = "'\\''" if char == "'" else "'\"'" if char == '"' else quote(char, "'")
        raise _Found(f"invalid character {name} {context}")

    def _blanks(self) -> None:
        while self.source[self.at : self.at + 1] in (" ", "\t", "\r", "\n"):
            self.at += 1

    def _value(self, context: str, depth: int) -> None:
        self._blanks()
        char = self.source[self.at : self.at + 1]
        if depth > 10_000:
            raise _Found("exceeded max depth")
        if char == "{":
            self._object(depth)
        elif char == "[":
            self._array(depth)
        elif char == '"':
            self._string()
        elif char and char in "-0123456789":
            self._number()
        elif char and char in "tfn":
            self._literal({"t": "true", "f": "false", "n": "null"}[char])
        else:
            self._wrong(context)

    def _literal(self, word: str) -> None:
        self.at += 1
        for char in word[1:]:
            if self.source[self.at : self.at + 1] != char:
                self._wrong(f"in literal {word} (expecting '{char}')")
            self.at += 1

    def _string(self) -> None:
        self.at += 1
        while (char := self.source[self.at : self.at + 1]) != '"':
            if not char or char < " ":
                self._wrong("in string literal")
            self.at += 1
            if char == "\\":
                escape = self.source[self.at : self.at + 1]
                if not escape or escape not in 'bfnrt\\/"u':
                    self._wrong("in string escape code")
                self.at += 1
                for _ in range(4 if escape == "u" else 0):
                    digit = self.source[self.at : self.at + 1]
                    if not digit or digit not in "0123456789abcdefABCDEF":
                        self._wrong("in \\u hexadecimal character escape")
                    self.at += 1
        self.at += 1

    def _digits(self, context: str) -> None:
        if not (self.source[self.at : self.at + 1].isascii() and self.source[self.at : self.at + 1].isdigit()):
            self._wrong(context)
        while self.source[self.at : self.at + 1].isascii() and self.source[self.at : self.at + 1].isdigit():
            self.at += 1

    def _number(self) -> None:
        if self.source[self.at] == "-":
            self.at += 1
        if self.source[self.at : self.at + 1] == "0":
            self.at += 1
        else:
            self._digits("in numeric literal")
        if self.source[self.at : self.at + 1] == ".":
            self.at += 1
            self._digits("after decimal point in numeric literal")
        if self.source[self.at : self.at + 1] in ("e", "E"):
            self.at += 1
            if self.source[self.at : self.at + 1] in ("+", "-"):
                self.at += 1
            self._digits("in exponent of numeric literal")

    def _array(self, depth: int) -> None:
        self.at += 1
        self._blanks()
        if self.source[self.at : self.at + 1] == "]":
            self.at += 1
            return
        while True:
            self._value("looking for beginning of value", depth + 1)
            self._blanks()
            char = self.source[self.at : self.at + 1]
            if char not in (",", "]"):
                self._wrong("after array element")
            self.at += 1
            if char == "]":
                return

    def _object(self, depth: int) -> None:
        self.at += 1
        self._blanks()
        if self.source[self.at : self.at + 1] == "}":
            self.at += 1
            return
        while True:
            self._blanks()
            if self.source[self.at : self.at + 1] != '"':
                self._wrong("looking for beginning of object key string")
            self._string()
            self._blanks()
            if self.source[self.at : self.at + 1] != ":":
                self._wrong("after object key")
            self.at += 1
            self._value("looking for beginning of value", depth + 1)
            self._blanks()
            char = self.source[self.at : self.at + 1]
            if char not in (",", "}"):
                self._wrong("after object key:value pair")
            self.at += 1
            if char == "}":
                return


class _Found(Exception):
    """Where the scanner stopped, with Go's message."""
