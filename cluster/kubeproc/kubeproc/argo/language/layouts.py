"""Times parsed by Go's date layouts, with the errors of Go's time.Parse."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from kubeproc.argo.language.clock import UTC_ZONE, Location, Time, civil_from_days, days_from_civil, from_civil
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.layout_texts import MONTHS, WEEKDAYS, pieces_of
from kubeproc.argo.language.quoting import quote_bytes


class _Wrong(Exception):
    """An element doesn't match; the message gives the reason if it is out of range."""


class _Reading:
    """The parts of a time that have been parsed so far."""

    def __init__(self) -> None:
        self.year, self.month, self.day, self.year_day = 0, -1, -1, -1
        self.hour = self.minute = self.second = self.nanoseconds = 0
        self.pm: bool | None = None
        self.utc, self.offset, self.label = False, 0, ""
        self.has_offset = False


def parse_time(layout: str, text: str, zone: Location = UTC_ZONE) -> Time:
    """Parse a time by its layout; Panic with Go's message if it does not match. A text without a zone is in `zone`."""
    found, rest = _Reading(), text
    pieces = list(pieces_of(layout))
    for index, (prefix, element) in enumerate(pieces):
        try:
            rest = _skip(rest, prefix)
        except _Wrong:
            raise Panic(_words(layout, text, prefix, rest)) from None
        if not element:
            if rest:
                raise Panic(f"parsing time {quote_bytes(text)}: extra text: {quote_bytes(rest)}")
            break
        before = rest
        try:
            rest = _read(found, element, rest, pieces[index + 1])
        except _Wrong as why:
            if str(why):
                raise Panic(f"parsing time {quote_bytes(text)}: {why} out of range") from None
            raise Panic(_words(layout, text, element, before)) from None
    return _moment(found, text, zone)


def _words(layout: str, text: str, element: str, rest: str) -> str:
    where = f"parsing time {quote_bytes(text)} as {quote_bytes(layout)}"
    return f"{where}: cannot parse {quote_bytes(rest)} as {quote_bytes(element)}"


def _skip(text: str, prefix: str) -> str:
    """The text after a literal; a space matches any number of spaces."""
    while prefix:
        if prefix[0] == " ":
            if text and text[0] != " ":
                raise _Wrong
            prefix, text = prefix.lstrip(" "), text.lstrip(" ")
            continue
        if not text or text[0] != prefix[0]:
            raise _Wrong
        prefix, text = prefix[1:], text[1:]
    return text


def _digits(text: str, least: int, most: int) -> tuple[int, str]:
    size = 0
    while size < most and text[size : size + 1].isascii() and text[size : size + 1].isdigit():
        size += 1
    if size < least:
        raise _Wrong
    return int(text[:size]), text[size:]


def _in(value: int, low: int, high: int, what: str) -> int:
    if not low <= value <= high:
        raise _Wrong(what)
    return value


def _name(names: tuple[str, ...], text: str, length: int = 0) -> tuple[int, str]:
    for index, name in enumerate(names):
        wanted = name[:length] if length else name
        if text[: len(wanted)].lower() == wanted.lower():
            return index, text[len(wanted) :]
    raise _Wrong


def _read(found: _Reading, element: str, text: str, after: tuple[str, str]) -> str:
    """Parse one element; returns the rest of the text."""
    reader = _READERS.get(element)
    if reader:
        return reader(found, text, after)
    if element[0] in ".,":
        return _fraction(found, element, text)
    return _zone_offset(found, element, text)


def _set(name: str, least: int, most: int, low: int, high: int, what: str) -> Callable[..., str]:
    def read(found: _Reading, text: str, after: tuple[str, str]) -> str:
        value, rest = _digits(text, least, most)
        setattr(found, name, _in(value, low, high, what) if what else value)
        return rest

    return read


def _padded(blanks: int, read: Callable[..., str]) -> Callable[..., str]:
    """A number that may be padded with spaces."""

    def padded(found: _Reading, text: str, after: tuple[str, str]) -> str:
        skipped = min(blanks, len(text) - len(text.lstrip(" ")))
        return read(found, text[skipped:], after)

    return padded


def _read_year(found: _Reading, text: str, after: tuple[str, str]) -> str:
    if not re.match(r"[0-9]{4}", text):
        raise _Wrong
    found.year = int(text[:4])
    return text[4:]


def _read_short_year(found: _Reading, text: str, after: tuple[str, str]) -> str:
    value, rest = _digits(text, 2, 2)
    found.year = value + (1900 if value >= 69 else 2000)
    return rest


def _read_month(length: int) -> Callable[..., str]:
    def read(found: _Reading, text: str, after: tuple[str, str]) -> str:
        index, rest = _name(MONTHS, text, length)
        found.month = index + 1
        return rest

    return read


def _read_second(least: int) -> Callable[..., str]:
    def read(found: _Reading, text: str, after: tuple[str, str]) -> str:
        value, rest = _digits(text, least, 2)
        found.second = _in(value, 0, 59, "second")
        # A fraction may follow the seconds even if the layout has none.
        if re.match(r"[.,][0-9]", rest) and not re.match(r"[.,][09]", after[1]):
            size = len(re.match(r"[.,][0-9]+", rest)[0])  # type: ignore[index]
            found.nanoseconds = int(rest[1:size][:9].ljust(9, "0"))
            rest = rest[size:]
        return rest

    return read


def _read_half(words: tuple[str, str]) -> Callable[..., str]:
    def read(found: _Reading, text: str, after: tuple[str, str]) -> str:
        if text[:2] not in words:
            raise _Wrong
        found.pm = text[:2] == words[1]
        return text[2:]

    return read


def _read_label(found: _Reading, text: str, after: tuple[str, str]) -> str:
    if text[:3] == "UTC":
        found.utc = True
        return text[3:]
    match = re.match(r"ChST|MeST|GMT(?:[+-][0-9]+)?|[+-][0-9]+|[A-Z]{3,6}", text)
    label = match[0] if match else ""
    sign = max(label.find("+"), label.find("-"))
    if sign >= 0 and int(label[sign + 1 :]) > 23:
        label = label[:sign]
    if label.isalpha() and label.isupper() and (len(label) > 5 or (len(label) == 5 and label[-1] != "T")):
        label = ""
    if len(label) == 4 and label.isupper() and label.isalpha() and label[-1] != "T" and label != "WITA":
        label = ""
    if not label:
        raise _Wrong
    found.label = label
    return text[len(label) :]


_READERS: dict[str, Callable[..., str]] = {
    "2006": _read_year, "06": _read_short_year, "January": _read_month(0), "Jan": _read_month(3),
    "1": _set("month", 1, 2, 1, 12, "month"), "01": _set("month", 2, 2, 1, 12, "month"),
    "Monday": lambda found, text, after: _name(WEEKDAYS, text)[1],
    "Mon": lambda found, text, after: _name(WEEKDAYS, text, 3)[1],
    "2": _set("day", 1, 2, 0, 0, ""), "_2": _padded(1, _set("day", 1, 2, 0, 0, "")), "02": _set("day", 2, 2, 0, 0, ""),
    "__2": _padded(2, _set("year_day", 1, 3, 0, 0, "")), "002": _set("year_day", 3, 3, 0, 0, ""),
    "15": _set("hour", 1, 2, 0, 23, "hour"), "3": _set("hour", 1, 2, 0, 12, "hour"), "03": _set("hour", 2, 2, 0, 12, "hour"),
    "4": _set("minute", 1, 2, 0, 59, "minute"), "04": _set("minute", 2, 2, 0, 59, "minute"),
    "5": _read_second(1), "05": _read_second(2),
    "PM": _read_half(("AM", "PM")), "pm": _read_half(("am", "pm")), "MST": _read_label,
}  # fmt: skip


def _fraction(found: _Reading, element: str, text: str) -> str:
    if element[1] == "9":
        match = re.match(r"[.,]([0-9]+)", text)
        if match:
            found.nanoseconds = int(match[1][:9].ljust(9, "0"))
            return text[match.end() :]
        return text
    size = len(element)
    if not re.fullmatch(r"[.,][0-9]+", text[:size]) or len(text) < size:
        raise _Wrong
    found.nanoseconds = int(text[1:size][:9].ljust(9, "0"))
    return text[size:]


def _zone_offset(found: _Reading, element: str, text: str) -> str:
    if element[0] == "Z" and text[:1] == "Z":
        found.utc = True
        return text[1:]
    pattern = re.sub("0|7", "#", element[1:]).replace("##", "([0-9]{2})").replace("#", "")
    match = re.match("([+-])" + pattern, text)
    if not match:
        raise _Wrong
    hours, minutes, seconds = (int(part) for part in (*match.groups()[1:], "0", "0")[:3])
    _in(hours, 0, 24, "time zone offset hour")
    _in(minutes, 0, 59, "time zone offset minute")
    _in(seconds, 0, 59, "time zone offset second")
    found.offset = (hours * 3600 + minutes * 60 + seconds) * (-1 if match[1] == "-" else 1)
    found.has_offset = True
    return text[match.end() :]


def _moment(found: _Reading, text: str, zone: Location) -> Time:
    if found.pm is not None:
        found.hour = found.hour % 12 + (12 if found.pm else 0)
    leap = found.year % 4 == 0 and (found.year % 100 != 0 or found.year % 400 == 0)
    if found.year_day >= 0:
        if not 1 <= found.year_day <= 365 + leap:
            raise Panic(f"parsing time {quote_bytes(text)}: day-of-year out of range")
        found.month, found.day = _day_of_year(found, text)
    month, day = (value if value >= 0 else 1 for value in (found.month, found.day))
    last = days_from_civil(found.year, month + 1, 1) - days_from_civil(found.year, month, 1)
    if not 1 <= day <= last:
        raise Panic(f"parsing time {quote_bytes(text)}: day out of range")
    parts = (found.year, month, day, found.hour, found.minute, found.second, found.nanoseconds)
    if found.utc:
        return from_civil(parts, UTC_ZONE)
    if found.has_offset:
        moment = from_civil(parts, UTC_ZONE)
        seconds = moment.seconds - found.offset
        here, label = zone.at(seconds)
        if here == found.offset and (not found.label or label == found.label):
            return Time(seconds, found.nanoseconds, zone)
        return Time(seconds, found.nanoseconds, Location(found.label, fixed=found.offset, label=found.label))
    if found.label:
        return _labelled(parts, found.label, zone)
    return from_civil(parts, zone)


def _day_of_year(found: _Reading, text: str) -> tuple[int, int]:
    _, month, day = civil_from_days(days_from_civil(found.year, 1, 1) + found.year_day - 1)
    if found.month >= 0 and found.month != month:
        raise Panic(f"parsing time {quote_bytes(text)}: day-of-year does not match month")
    if found.day >= 0 and found.day != day:
        raise Panic(f"parsing time {quote_bytes(text)}: day-of-year does not match day")
    return month, day


def _labelled(parts: tuple[int, int, int, int, int, int, int], label: str, zone: Location) -> Time:
    """A time with a zone's short name: one that the zone uses, or a zone with that name and no offset (except
    GMT+3)."""
    clock = from_civil(parts, UTC_ZONE)
    offset = zone.offset_of(label, clock.seconds)
    if offset is not None:
        return Time(clock.seconds - offset, clock.nanoseconds, zone)
    seconds = int(label[3:]) * 3600 if label.startswith("GMT") and len(label) > 3 else 0
    return Time(clock.seconds, clock.nanoseconds, Location(label, fixed=seconds, label=label))


def layouts(text: str, choices: tuple[str, ...], zone: Location) -> Iterator[Time]:
    """The text parsed by each layout that matches."""
    for layout in choices:
        try:
            yield parse_time(layout, text, zone)
        except Panic:
            continue
