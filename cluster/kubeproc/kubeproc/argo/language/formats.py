"""Go's fmt: how a value prints (`%v`), and the verbs of Sprintf for a whole number or a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from kubeproc.argo.language.digits import whole
from kubeproc.argo.language.durations import duration_text
from kubeproc.argo.language.layout_texts import MONTHS, WEEKDAYS
from kubeproc.argo.language.quoting import encoded, quote
from kubeproc.argo.language.values import Function, Int, Slice, type_name

WIDEST = 10**6


def float_text(value: float, least: int = -4, most: int = 6) -> str:
    """The shortest text that is this number, with an exponent below 10**least and from 10**most on."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    if value == 0:
        return "-0" if str(value)[0] == "-" else "0"
    number = Decimal(repr(value))
    exponent = number.adjusted()
    if least <= exponent < most:
        text = format(number, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign, digits, _ = number.as_tuple()
    body = "".join(map(str, digits)).rstrip("0")
    mantissa = body[0] + ("." + body[1:] if body[1:] else "")
    return f"{'-' if sign else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def text(value: Any) -> str:
    """`%v`."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, Int):
        return _named(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Slice) and value.missing and value.element == "uint8":
        return "[]"
    if isinstance(value, list):
        return "[" + " ".join(map(text, value)) + "]"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{text(k)}:{text(value[k])}" for k in sorted(value, key=_order)) + "]"
    return "0x0" if isinstance(value, Function) or callable(value) else str(value)


def _order(key: Any) -> tuple[int, Any]:
    """Go prints a map's keys in order: nil, numbers, texts."""
    if key is None:
        return 0, 0
    if isinstance(key, bool):
        return 2, key
    return (1, key) if isinstance(key, (int, float)) else (3, encoded(str(key)))


def _named(value: Int) -> str:
    if value.go_type == "time.Duration":
        return duration_text(value)
    if value.go_type == "time.Month" and 1 <= value <= 12:
        return MONTHS[value - 1]
    if value.go_type == "time.Weekday" and 0 <= value <= 6:
        return WEEKDAYS[value]
    return str(int(value))


# -- Sprintf ------------------------------------------------------------------------------------------------------------

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\d+|\*)?(?P<dot>\.(?P<precision>\d+|\*)?)?(?P<index>\[[^\]]*\])?(?P<verb>.)?", re.S
)


def _size(found: re.Match[str], part: str, arguments: tuple[Any, ...], used: int) -> tuple[int | None, int, str]:
    """A width or precision, the number of arguments used so far, and Go's message if it is invalid."""
    if not found[part]:
        return None, used, ""
    value: Any = found[part]
    if value == "*":
        value = arguments[used] if used < len(arguments) else None
        used += 1
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and value.isdecimal():
        number = whole(value)
    if number is None or abs(number) > WIDEST or (part == "precision" and number < 0):
        return None, used, f"%!(BAD{'WIDTH' if part == 'width' else 'PREC'})"
    return number, used, ""


def sprintf(pattern: str, *arguments: Any) -> str:
    """Go's Sprintf for whole numbers and texts: all verbs and flags for them, and Go's messages for the others."""
    result, at, used, reordered = "", 0, 0, False
    while (start := pattern.find("%", at)) >= 0:
        result += pattern[at:start]
        found = _VERB.match(pattern, start)
        assert found
        at = found.end()
        verb = found["verb"]
        if verb is None:
            result += "%!(NOVERB)"
            continue
        width, used, wrong = _size(found, "width", arguments, used)
        precision, used, more = _size(found, "precision", arguments, used)
        result += wrong + more
        if found["dot"] and precision is None and not found["precision"]:
            precision = 0
        if found["index"]:
            number = found["index"][1:-1]
            if not number.isdigit() or not 1 <= int(number) <= len(arguments):
                result += f"%!{verb}(BADINDEX)"
                reordered = True
                continue
            used, reordered = int(number) - 1, True
        if verb == "%":
            result += "%"
        elif used >= len(arguments):
            result += f"%!{verb}(MISSING)"
        else:
            result += _Verb(verb, found["flags"], width, precision).show(arguments[used])
            used += 1
    result += pattern[at:]
    if not reordered and used < len(arguments):
        more = ", ".join("<nil>" if a is None else f"{type_name(a)}={text(a)}" for a in arguments[used:])
        result += f"%!(EXTRA {more})"
    return result


class _Verb:
    def __init__(self, verb: str, flags: str, width: int | None, precision: int | None) -> None:
        if width is not None and width < 0:
            flags, width = flags + "-", -width
        self.verb, self.width, self.precision = verb, width or 0, precision if (precision or 0) >= 0 else None
        self.minus, self.plus, self.sharp = "-" in flags, "+" in flags, "#" in flags
        self.space, self.zero = " " in flags, "0" in flags and "-" not in flags

    def pad(self, shown: str, zero: bool | None = None) -> str:
        zero = self.zero if zero is None else zero
        return shown.ljust(self.width) if self.minus else shown.rjust(self.width, "0" if zero else " ")

    def show(self, value: Any) -> str:
        if self.verb == "T":
            return self.pad(self.cut(type_name(value)))
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return self._number(value)
        return self.pad(text(value)) if self.verb == "v" else self._bad(value)

    def _bad(self, value: Any) -> str:
        if isinstance(value, str):
            shown = self.pad(self.cut(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            shown = self._integer(value, "d", "")
        else:
            shown = text(value)
        return f"%!{self.verb}({shown})" if value is None else f"%!{self.verb}({type_name(value)}={shown})"

    def cut(self, value: str) -> str:
        return value if self.precision is None else value[: self.precision]

    def _number(self, number: int) -> str:
        if self.verb == "v":
            self.plus = False
        if self.verb in "dv":
            return self._integer(number, "d", "")
        if self.verb in "bxX":
            return self._integer(number, self.verb, {"b": "0b", "x": "0x", "X": "0X"}[self.verb] if self.sharp else "")
        if self.verb in "oO":
            return self._integer(number, "o", ("0o" if self.verb == "O" else "") + ("0" if self.sharp else ""))
        if self.verb in "cqU":
            return self._rune(number)
        return self._bad(number)

    def _integer(self, number: int, kind: str, prefix: str) -> str:
        digits = format(abs(number), kind)
        sign = "-" if number < 0 else "+" if self.plus else " " if self.space else ""
        if self.precision is not None:
            digits = "" if self.precision == 0 and number == 0 else digits.rjust(self.precision, "0")
            if not digits:
                return " " * self.width
        elif self.zero and self.width:
            digits = digits.rjust(self.width - (1 if sign else 0), "0")
        if prefix == "0" and digits[:1] == "0":
            prefix = ""
        return self.pad(sign + prefix + digits, zero=False)

    def _rune(self, number: int) -> str:
        char = chr(number) if 0 <= number <= 0x10FFFF and not 0xD800 <= number < 0xE000 else "�"
        if self.verb == "c":
            return self.pad(char)
        if self.verb == "q":
            return self.pad(quote(char, "'", ascii_only=self.plus))
        shown = f"U+{max(number, 0) if number >= 0 else number & (2**64 - 1):0{max(self.precision or 0, 4)}X}"
        if self.sharp and char.isprintable() and 0 <= number <= 0x10FFFF:
            shown += f" '{char}'"
        return self.pad(shown, zero=False)

    def _text(self, value: str) -> str:
        cut = self.cut(value)
        if self.verb in "sv":
            return self.pad(quote(value) if self.verb == "v" and self.sharp else cut)
        if self.verb == "q":
            if self.sharp and "`" not in cut and cut.isprintable():
                return self.pad(f"`{cut}`")
            return self.pad(quote(cut))
        if self.verb in "xX":
            data = encoded(value)[: self.precision]
            sep = " " if self.space else ""
            mark = ("0x" if self.verb == "x" else "0X") if self.sharp else ""
            shown = sep.join(
                (mark if i == 0 or self.space else "") + format(b, "02" + self.verb) for i, b in enumerate(data)
            )
            return self.pad(shown)
        return self._bad(value)
