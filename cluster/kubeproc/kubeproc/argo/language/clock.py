"""Times and time zones, like Go's time.Time and time.Location; `times` has their methods."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.layout_texts import format_time

SECOND = 10**9
DAY = 86_400
FAR, YEARS_400 = 32_503_680_000, 146_097 * DAY  # the year 3000, in seconds since 1970


class Location:
    """A time zone: UTC, one of the IANA database, or a fixed offset."""

    go_type, go_kind = "*time.Location", "ptr"

    def __init__(self, name: str, zone: ZoneInfo | None = None, fixed: int = 0, label: str = "") -> None:
        self.name, self.zone, self.fixed, self.label = name, zone, fixed, label

    def at(self, seconds: int) -> tuple[int, str]:
        """The offset from UTC in seconds, and the zone's short name, at a given time."""
        if self.zone is None:
            return self.fixed, self.label
        near = max(seconds, -62_000_000_000)
        if near > FAR:  # the calendar repeats itself after 400 years, and so do the rules of zones
            near -= -((FAR - near) // YEARS_400) * YEARS_400
        moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=near)).astimezone(self.zone)
        return int((moment.utcoffset() or timedelta()).total_seconds()), moment.tzname() or ""

    def offset_of(self, label: str, seconds: int) -> int | None:
        """The offset for the zone's short name, at a given local time; None for an unknown name."""
        if self.zone is None:
            return self.fixed if label == self.label else None
        offsets = _offsets(self.name, label)
        return next((o for o in offsets if self.at(seconds - o) == (o, label)), next(iter(offsets), None))

    def __str__(self) -> str:
        return self.name


UTC_ZONE = Location("UTC", label="UTC")
LOCAL = Location("Local", label="UTC")  # Argo's controller runs in a container without a zone of its own


def location(name: str) -> Location:
    """The zone of that name; Panic if it is unknown."""
    if name in ("", "UTC"):
        return UTC_ZONE
    if name == "Local":
        return LOCAL
    try:
        return Location(name, ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        raise Panic(f"unknown time zone {name}") from None


@lru_cache(maxsize=256)
def _offsets(zone: str, label: str) -> tuple[int, ...]:
    """The offsets that a short name has had in a zone, sampled four times a year from 1900 to 2037."""
    where = location(zone)
    found = (where.at(quarter * 91 * DAY) for quarter in range(-280, 273))
    return tuple(dict.fromkeys(offset for offset, name in found if name == label))


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; a month beyond 12 is one of a later year."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    year -= month <= 2
    era, day_of_year = year // 400, (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    year_of_era = year - era * 400
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def civil_from_days(days: int) -> tuple[int, int, int]:
    days += 719_468
    era, day_of_era = days // 146_097, days % 146_097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


class Time:
    """A time: whole seconds since 1970, nanoseconds, and the zone in which it is shown."""

    go_type, go_kind = "time.Time", "struct"

    def __init__(self, seconds: int, nanoseconds: int = 0, zone: Location = UTC_ZONE) -> None:
        self.seconds, self.nanoseconds, self.zone = seconds, nanoseconds, zone

    @property
    def instant(self) -> int:
        """Nanoseconds since 1970."""
        return self.seconds * SECOND + self.nanoseconds

    @classmethod
    def of(cls, instant: int, zone: Location) -> Time:
        return cls(instant // SECOND, instant % SECOND, zone)

    @cached_property
    def offset(self) -> int:
        return self.zone.at(self.seconds)[0]

    @cached_property
    def label(self) -> str:
        return self.zone.at(self.seconds)[1]

    @cached_property
    def date(self) -> tuple[int, int, int]:
        return civil_from_days((self.seconds + self.offset) // DAY)

    @property
    def clock(self) -> tuple[int, int, int]:
        second = (self.seconds + self.offset) % DAY
        return second // 3600, second % 3600 // 60, second % 60

    @property
    def weekday(self) -> int:
        return ((self.seconds + self.offset) // DAY + 4) % 7

    @property
    def year_day(self) -> int:
        return (self.seconds + self.offset) // DAY - days_from_civil(self.date[0], 1, 1) + 1

    @property
    def week(self) -> tuple[int, int]:
        """The year and number of the week, by ISO 8601."""
        days = (self.seconds + self.offset) // DAY
        thursday = days - (self.weekday + 6) % 7 + 3
        year = civil_from_days(thursday)[0]
        return year, (thursday - days_from_civil(year, 1, 1)) // 7 + 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.instant == other.instant and self.zone.name == other.zone.name

    def __hash__(self) -> int:
        return hash(self.instant)

    def format(self, layout: str) -> str:
        return format_time(self, layout)

    def __str__(self) -> str:
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")

    def go_json(self) -> str:
        if not 0 <= self.date[0] <= 9999:
            raise Panic(
                "json: error calling MarshalJSON for type time.Time: Time.MarshalJSON: year outside of range [0,9999]"
            )
        return self.format("2006-01-02T15:04:05.999999999Z07:00")

    def add(self, nanoseconds: int) -> Time:
        return Time.of(self.instant + nanoseconds, self.zone)

    def add_date(self, years: int, months: int, days: int) -> Time:
        year, month, day = self.date
        hour, minute, second = self.clock
        return from_civil((year + years, month + months, day + days, hour, minute, second, self.nanoseconds), self.zone)

    def in_zone(self, zone: Any) -> Time:
        if zone is None:
            raise Panic("time: missing Location in call to Time.In")
        return Time(self.seconds, self.nanoseconds, zone)

    def rounded(self, step: int, *, up: bool) -> Time:
        since = self.instant + 62_135_596_800 * SECOND
        if step <= 0:
            return self
        rest = since % step
        return self.add(step - rest if up and rest * 2 >= step else -rest)


def from_civil(parts: tuple[int, int, int, int, int, int, int], zone: Location) -> Time:
    """The time of a date and a clock in a zone; parts outside their range overflow."""
    year, month, day, hour, minute, second, nanoseconds = parts
    seconds = (days_from_civil(year, month, 1) + day - 1) * DAY + hour * 3600 + minute * 60 + second
    offset = zone.at(seconds)[0]
    if offset:
        offset = zone.at(seconds - offset)[0]
    return Time(seconds - offset, nanoseconds, zone)


def now(zone: Location = LOCAL) -> Time:
    return Time.of(time.time_ns(), zone)


ZERO = Time(days_from_civil(1, 1, 1) * DAY)
