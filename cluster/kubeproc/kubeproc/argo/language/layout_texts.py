"""Go's date layouts, parsed and formatted: a layout shows how `Mon Jan 2 15:04:05 MST 2006` would be written."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Moment(Protocol):
    """The parts of a time that a layout shows; `clock.Time` is one."""

    nanoseconds: int

    @property
    def date(self) -> tuple[int, int, int]: ...

    @property
    def clock(self) -> tuple[int, int, int]: ...

    @property
    def weekday(self) -> int: ...

    @property
    def year_day(self) -> int: ...

    @property
    def offset(self) -> int: ...

    @property
    def label(self) -> str: ...


# The elements, longest first if one is a prefix of another; `Jan` and `Mon` only if no lower-case letter follows.
_ELEMENT = re.compile(
    r"""January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|002|01|02|03|04|05|06|15|__2|_2(?!006)|PM|pm
      |-070000|-07:00:00|-0700|-07:00|-07|Z070000|Z07:00:00|Z0700|Z07:00|Z07|[.,]0+(?![0-9])|[.,]9+(?![0-9])|[12345]""",
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def pieces_of(layout: str) -> tuple[tuple[str, str], ...]:
    """Literal texts and the elements after them; the last element may be empty."""
    found, at = [], 0
    while match := _ELEMENT.search(layout, at):
        found.append((layout[at : match.start()], match[0]))
        at = match.end()
    return (*found, (layout[at:], ""))


def format_time(moment: Moment, layout: str) -> str:
    return "".join(text + (_show(moment, element) if element else "") for text, element in pieces_of(layout))


def _show(moment: Moment, element: str) -> str:
    if element in _SHOWN:
        return _SHOWN[element](moment)
    if element[0] in "-Z" and element[1:2] == "0":
        return _offset(moment.offset, element)
    digits = f"{moment.nanoseconds:09d}"[: len(element) - 1]
    if element[1] == "9":
        digits = digits.rstrip("0")
        return element[0] + digits if digits else ""
    return element[0] + digits


def _year(moment: Moment) -> str:
    year = moment.date[0]
    return f"-{-year:04d}" if year < 0 else f"{year:04d}"


_SHOWN: dict[str, Callable[[Moment], str]] = {
    "2006": _year,
    "06": lambda t: f"{t.date[0] % 100:02d}",
    "January": lambda t: MONTHS[t.date[1] - 1],
    "Jan": lambda t: MONTHS[t.date[1] - 1][:3],
    "1": lambda t: str(t.date[1]),
    "01": lambda t: f"{t.date[1]:02d}",
    "Monday": lambda t: WEEKDAYS[t.weekday],
    "Mon": lambda t: WEEKDAYS[t.weekday][:3],
    "2": lambda t: str(t.date[2]),
    "_2": lambda t: f"{t.date[2]:2d}",
    "02": lambda t: f"{t.date[2]:02d}",
    "__2": lambda t: f"{t.year_day:3d}",
    "002": lambda t: f"{t.year_day:03d}",
    "15": lambda t: f"{t.clock[0]:02d}",
    "3": lambda t: str(t.clock[0] % 12 or 12),
    "03": lambda t: f"{t.clock[0] % 12 or 12:02d}",
    "4": lambda t: str(t.clock[1]),
    "04": lambda t: f"{t.clock[1]:02d}",
    "5": lambda t: str(t.clock[2]),
    "05": lambda t: f"{t.clock[2]:02d}",
    "PM": lambda t: "PM" if t.clock[0] >= 12 else "AM",
    "pm": lambda t: "pm" if t.clock[0] >= 12 else "am",
    "MST": lambda t: t.label or _unnamed(t.offset),
}


def _unnamed(offset: int) -> str:
    """A zone without a name shows its offset: `+0200`."""
    minutes = abs(offset) // 60
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02d}{minutes % 60:02d}"


def _offset(offset: int, element: str) -> str:
    if element[0] == "Z" and offset == 0:
        return "Z"
    left, sign = abs(offset), "-" if offset < 0 else "+"
    colon = ":" if ":" in element else ""
    digits = element[1:].replace(":", "")
    text = f"{sign}{left // 3600:02d}"
    if len(digits) >= 4:
        text += f"{colon}{left // 60 % 60:02d}"
    return text + (f"{colon}{left % 60:02d}" if len(digits) >= 6 else "")
