"""The language's functions on texts, times and JSON."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from kubeproc.argo.language import clock, layouts, marshal, times
from kubeproc.argo.language.durations import parse_duration
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.formats import text
from kubeproc.argo.language.operators import MOST, as_int
from kubeproc.argo.language.quoting import SPACES, decoded, encoded
from kubeproc.argo.language.values import ANY, Int, Slice, kind, type_name

_LAYOUTS = ("2006-01-02", "15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00", "02 Jan 06 15:04 MST",
            "Monday, 02-Jan-06 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 MST")  # fmt: skip
_POINTERS = dict.fromkeys(("*semver.Version", "semver.Version"), "github.com/Masterminds/semver/v3.Version") | {
    "*time.Location": "time.Location"
}
_NAMED = {
    "time.Time": "time.Time",
    "time.Duration": "time.Duration",
    "time.Month": "time.Month",
    "time.Weekday": "time.Weekday",
}


def string(value: Any) -> str:
    """The argument, which must be a string."""
    if not isinstance(value, str):
        name = type_name(value).removeprefix("*").replace("<nil>", "nil")
        raise Panic(f"interface conversion: interface {{}} is {name}, not string")
    return value


def type_of(value: Any) -> str:
    name = type_name(value)
    if value is None:
        return "nil"
    if name in _NAMED:
        return name
    what = kind(value)
    if what in ("slice", "array"):
        return "array"
    if what.startswith("uint"):
        return "uint"
    if name in _POINTERS:
        return _POINTERS[name]
    return {"float64": "float", "ptr": "unknown"}.get(what, "int" if what.startswith("int") else what)


def text_of(value: Any) -> str:
    return text(value)


def trim_space(value: str) -> str:
    return value.strip(SPACES)


def trim(value: Any, cutset: Any = None) -> str:
    if cutset is None:
        return trim_space(string(value))
    return string(value).strip(string(cutset)) if string(cutset) else string(value)


def trim_prefix(value: Any, prefix: Any = " ") -> str:
    return string(value).removeprefix(string(prefix))


def trim_suffix(value: Any, suffix: Any = " ") -> str:
    return string(value).removesuffix(string(suffix))


def upper(value: Any) -> str:
    return "".join(_simple(char, char.upper()) for char in string(value))


def lower(value: Any) -> str:
    return "".join(_simple(char, char.lower()) for char in string(value))


def _simple(char: str, changed: str) -> str:
    """Go maps one character to one."""
    return changed if len(changed) == 1 else {"İ": "i"}.get(char, char)


def pieces(value: str, separator: str, limit: int = -1) -> list[str]:
    """Go's strings.SplitN: an empty separator splits all characters; a limit of 0 returns none."""
    if limit == 0:
        return []
    if separator == "":
        chars = list(value)
        if 0 < limit < len(chars):
            chars = [*chars[: limit - 1], "".join(chars[limit - 1 :])]
        return chars
    return value.split(separator, limit - 1) if limit > 0 else value.split(separator)


def split(value: Any, separator: Any, limit: Any = -1) -> Slice:
    size = as_int(limit)
    return Slice(pieces(string(value), string(separator), size), "string", missing=size == 0)


def split_after(value: Any, separator: Any, limit: Any = -1) -> Slice:
    size, mark = as_int(limit), string(separator)
    found = pieces(string(value), mark, size)
    return Slice([part + mark for part in found[:-1]] + found[-1:], "string", missing=size == 0)


def replace(value: Any, old: Any, new: Any, limit: Any = -1) -> str:
    size = as_int(limit)
    return string(value).replace(string(old), string(new), size if size >= 0 else -1)


def repeat(value: Any, times_: Any) -> str:
    string(value)
    size = as_int(times_)
    if size < 0:
        raise Panic(f"invalid argument for repeat (expected positive integer, got {size})")
    if size > MOST or size * len(string(value)) >= MOST:
        raise Panic("memory budget exceeded")
    return string(value) * size


def join(items: Any, separator: Any = "") -> str:
    if not isinstance(items, list) or getattr(items, "element", ANY) not in (ANY, "string"):
        raise Panic(f"invalid argument for join (type {type_name(items)})")
    return string(separator).join(string(item) for item in items)


def index_of(value: Any, part: Any) -> int:
    return encoded(string(value)).find(encoded(string(part)))


def last_index_of(value: Any, part: Any) -> int:
    return encoded(string(value)).rfind(encoded(string(part)))


def has_prefix(value: Any, prefix: Any) -> bool:
    return string(value).startswith(string(prefix))


def has_suffix(value: Any, suffix: Any) -> bool:
    return string(value).endswith(string(suffix))


def to_json(value: Any) -> str:
    return marshal.indented(value)


def from_json(value: Any) -> Any:
    return marshal.unmarshal(string(value))


def to_base64(value: Any) -> str:
    return base64.b64encode(encoded(string(value))).decode()


def from_base64(value: Any) -> str:
    return decoded(base64_bytes(string(value)))


def base64_bytes(source: str) -> bytes:
    """The bytes of a base64 text; Panic with Go's message at the first invalid byte."""
    clean = re.sub(r"[\r\n]", "", source)
    try:
        return base64.b64decode(encoded(clean), validate=True)
    except (binascii.Error, ValueError):
        raise Panic(f"illegal base64 data at input byte {_bad_byte(source)}") from None


def _bad_byte(source: str) -> int:
    good, place = 0, 0
    for place, char in enumerate(source):
        if char in "\r\n":
            continue
        if char == "=" and good % 4 >= 2:
            return _bad_padding(source, place, 4 - good % 4)
        if not re.match(r"[A-Za-z0-9+/]", char):
            return place
        good += 1
    return len(source) // 4 * 4 if good % 4 else len(source)


def _bad_padding(source: str, place: int, needed: int) -> int:
    rest = re.sub(r"[\r\n]", "", source[place:])
    if len(rest) < needed and set(rest) == {"="}:
        return len(source)
    return place + (needed if rest.startswith("=" * needed) else 1)


def now(zone: Any = None) -> clock.Time:
    return clock.now(zone) if zone is not None else clock.now()


def duration(value: Any) -> Int:
    return times.Duration(parse_duration(string(value)))


def timezone(name: Any) -> clock.Location:
    return clock.location(string(name))


def date(*values: Any) -> clock.Time:
    zone = values[0] if isinstance(values[0], clock.Location) else None
    rest = values[1:] if zone else values
    if not rest:
        raise Panic("runtime error: index out of range [0] with length 0")
    value = string(rest[0])
    if len(rest) >= 2:
        layout = string(rest[1])
        where = clock.location(string(rest[2])) if len(rest) == 3 else zone
        return layouts.parse_time(layout, value, where or clock.UTC_ZONE)
    for moment in layouts.layouts(value, _LAYOUTS, zone or clock.UTC_ZONE):
        return moment
    raise Panic(f"invalid date {value}")
