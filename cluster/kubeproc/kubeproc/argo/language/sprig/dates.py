"""sprig's functions on dates and durations."""

from __future__ import annotations

import time
from typing import Any

from kubeproc.argo.language import clock
from kubeproc.argo.language.builtins_numbers import parse_int
from kubeproc.argo.language.clock import LOCAL, SECOND, Time
from kubeproc.argo.language.durations import duration_text, parse_duration, rounded
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.layouts import parse_time
from kubeproc.argo.language.values import Int, type_name

_UNITS = (("y", 365 * 86_400), ("mo", 30 * 86_400), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def _moment(value: Any, kinds: tuple[str, ...] = ("int", "int32", "int64")) -> Time:
    """A time, or seconds since 1970; anything else is now."""
    if isinstance(value, Time):
        return value
    if isinstance(value, int) and type_name(value) in kinds:
        return Time(int(value), 0, LOCAL)
    return clock.now()


def _date(layout: str, value: Any, zone: str = "Local") -> str:
    try:
        where = clock.location(zone)
    except Panic:
        where = clock.UTC_ZONE
    moment = _moment(value)
    return Time(moment.seconds, moment.nanoseconds, where).format(layout)


def _modified(change: str, moment: Time) -> Time:
    try:
        return moment.add(parse_duration(change))
    except Panic:
        return moment


def _ago(value: Any) -> str:
    since = time.time_ns() - _moment(value, ("int", "int64")).instant
    return duration_text(rounded(since, SECOND))


def _duration(value: Any) -> str:
    seconds = 0
    if isinstance(value, str):
        seconds = parse_int(value) or 0
    elif type_name(value) == "int64":
        seconds = int(value)
    return duration_text(Int(seconds * SECOND, "int64"))


def _rounded(value: Any) -> str:
    """A duration in its largest unit."""
    left = 0
    if isinstance(value, str):
        try:
            left = parse_duration(value)
        except Panic:
            left = 0
    elif type_name(value) == "int64":
        left = int(value)
    elif isinstance(value, Time):
        left = time.time_ns() - value.instant
    left = abs(left)
    return next((f"{left // (size * SECOND)}{unit}" for unit, size in _UNITS if left > size * SECOND), "0s")


def _parsed(layout: str, value: str) -> Time:
    return parse_time(layout, value, LOCAL)


def _lenient(layout: str, value: str) -> Time:
    try:
        return _parsed(layout, value)
    except Panic:
        return clock.ZERO


def _modified_or_not(change: str, moment: Time) -> Time:
    return moment.add(parse_duration(change))


_HTML = "2006-01-02"
DATES: dict[str, tuple[str, Any]] = {
    "now": ("", clock.now),
    "date": ("string any", _date),
    "dateInZone": ("string any string", _date),
    "date_in_zone": ("string any string", _date),
    "htmlDate": ("any", lambda value: _date(_HTML, value)),
    "htmlDateInZone": ("any string", lambda value, zone: _date(_HTML, value, zone)),
    "dateModify": ("string time", _modified),
    "date_modify": ("string time", _modified),
    "mustDateModify": ("string time", _modified_or_not),
    "must_date_modify": ("string time", _modified_or_not),
    "toDate": ("string string", _lenient),
    "mustToDate": ("string string", _parsed),
    "unixEpoch": ("time", lambda moment: str(moment.seconds)),
    "ago": ("any", _ago),
    "duration": ("any", _duration),
    "durationRound": ("any", _rounded),
}
