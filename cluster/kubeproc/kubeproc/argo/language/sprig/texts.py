"""sprig's functions on texts."""

from __future__ import annotations

import secrets
import string
from typing import Any

from kubeproc.argo.language.builtins_texts import lower, pieces, trim_space, upper
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.formats import text
from kubeproc.argo.language.operators import MOST
from kubeproc.argo.language.quoting import decoded, encoded, quote
from kubeproc.argo.language.sprig import casts, words
from kubeproc.argo.language.values import Map, Slice

_ALPHA = string.ascii_letters
_ASCII = "".join(map(chr, range(32, 127)))


def _random(alphabet: str) -> Any:
    return lambda size: "".join(secrets.choice(alphabet) for _ in range(_small(size))) if size > 0 else ""


def _small(size: int) -> int:
    if size >= MOST:
        raise Panic("memory budget exceeded")
    return size


def _cut(data: bytes, start: int | None, end: int | None) -> str:
    """A part of a text by bytes; Panic if it is out of range."""
    first, last = start or 0, len(data) if end is None else end
    if not 0 <= first <= last <= len(data):
        shown = f"[{first}:{last}]" if last <= len(data) else f"[:{last}] with length {len(data)}"
        raise Panic(f"runtime error: slice bounds out of range {shown}")
    return decoded(data[first:last])


def substr(start: int, end: int, value: str) -> str:
    data = encoded(value)
    if start < 0:
        return _cut(data, None, end)
    return _cut(data, start, None if end < 0 or end > len(data) else end)


def trunc(size: int, value: str) -> str:
    data = encoded(value)
    if size < 0 and len(data) + size > 0:
        return decoded(data[len(data) + size :])
    return decoded(data[:size]) if 0 <= size < len(data) else value


def repeat(size: int, value: str) -> str:
    if size < 0:
        raise Panic("strings: negative Repeat count")
    return value * (_small(size * len(value)) // max(len(value), 1))


def indent(size: int, value: str) -> str:
    if size < 0:
        raise Panic("strings: negative Repeat count")
    pad = " " * _small(size)
    return pad + value.replace("\n", "\n" + pad)


def trim_all(cutset: str, value: str) -> str:
    return value.strip(cutset) if cutset else value


def _numbered(parts: list[str]) -> Map:
    return Map({f"_{index}": part for index, part in enumerate(parts)}, "map[string]string")


def _quoted(*values: Any) -> str:
    return " ".join(quote(text(value)) for value in values if value is not None)


def _without_blanks(value: str) -> str:
    """Byte by byte, as sprig does it: a non-ASCII character that contains the byte of a space is split."""
    chars = [chr(byte) for byte in encoded(value)]
    kept = [char for char in chars if char not in "\t\n\v\f\r \x85\xa0"]
    return value if len(kept) == len(chars) else "".join(kept)


def _shuffled(value: str) -> str:
    chars = list(value)
    secrets.SystemRandom().shuffle(chars)
    return "".join(chars)


TEXTS: dict[str, tuple[str, Any]] = {
    "hello": ("", lambda: "Hello!"),
    "trim": ("string", trim_space),
    "trimAll": ("string string", trim_all),
    "trimall": ("string string", trim_all),
    "trimPrefix": ("string string", lambda prefix, value: value.removeprefix(prefix)),
    "trimSuffix": ("string string", lambda suffix, value: value.removesuffix(suffix)),
    "upper": ("string", upper),
    "lower": ("string", lower),
    "title": ("string", words.title),
    "untitle": ("string", words.untitle),
    "swapcase": ("string", words.swapcase),
    "camelcase": ("string", words.camelcase),
    "snakecase": ("string", lambda value: words.lowercase(value, "_")),
    "kebabcase": ("string", lambda value: words.lowercase(value, "-")),
    "initials": ("string", words.initials),
    "abbrev": ("int string", lambda width, value: words.abbreviate(value, 0, width) if width >= 4 else value),
    "abbrevboth": ("int int string", words.abbreviate_both),
    "wrap": ("int string", lambda width, value: words.wrap(value, width, "\n", False)),
    "wrapWith": ("int string string", lambda width, end, value: words.wrap(value, width, end or "\n", True)),
    "repeat": ("int string", repeat),
    "substr": ("int int string", substr),
    "trunc": ("int string", trunc),
    "contains": ("string string", lambda part, value: part in value),
    "hasPrefix": ("string string", lambda prefix, value: value.startswith(prefix)),
    "hasSuffix": ("string string", lambda suffix, value: value.endswith(suffix)),
    "quote": ("...any", _quoted),
    "squote": ("...any", lambda *values: " ".join(f"'{text(v)}'" for v in values if v is not None)),
    "cat": ("...any", lambda *values: " ".join(text(v) for v in values if v is not None)),
    "indent": ("int string", indent),
    "nindent": ("int string", lambda size, value: "\n" + indent(size, value)),
    "replace": ("string string string", lambda old, new, value: value.replace(old, new)),
    "plural": ("string string int", lambda one, many, count: one if count == 1 else many),
    "nospace": ("string", _without_blanks),
    "split": ("string string", lambda separator, value: _numbered(pieces(value, separator))),
    "splitn": ("string int string", lambda separator, limit, value: _numbered(pieces(value, separator, limit))),
    "splitList": ("string string", lambda separator, value: Slice(pieces(value, separator), "string")),
    "join": ("string any", lambda separator, items: separator.join(casts.texts(items))),
    "toString": ("any", text),
    "toStrings": ("any", casts.texts),
    "sortAlpha": ("any", lambda items: Slice(sorted(casts.texts(items), key=encoded), "string")),
    "shuffle": ("string", _shuffled),
    "randAlpha": ("int", _random(_ALPHA)),
    "randAlphaNum": ("int", _random(_ALPHA + string.digits)),
    "randNumeric": ("int", _random(string.digits)),
    "randAscii": ("int", _random(_ASCII)),
}
