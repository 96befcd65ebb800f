"""The methods of Go's time.Time, time.Location, time.Duration, time.Month and time.Weekday."""

from __future__ import annotations

from typing import Any

from kubeproc.argo.language.clock import DAY, LOCAL, SECOND, UTC_ZONE, ZERO, Location, Time
from kubeproc.argo.language.durations import duration_text, rounded, truncated
from kubeproc.argo.language.layout_texts import MONTHS, WEEKDAYS
from kubeproc.argo.language.values import Function, Int

_T = "time.Time"


def Duration(nanoseconds: int) -> Int:
    return Int(nanoseconds, "time.Duration")


TIME_METHODS: dict[str, tuple[str, str, Any]] = {
    "Format": ("string", "string", lambda t, layout: t.format(layout)),
    "String": ("", "string", str),
    "Year": ("", "int", lambda t: t.date[0]),
    "Month": ("", "time.Month", lambda t: Int(t.date[1], "time.Month")),
    "Day": ("", "int", lambda t: t.date[2]),
    "Hour": ("", "int", lambda t: t.clock[0]),
    "Minute": ("", "int", lambda t: t.clock[1]),
    "Second": ("", "int", lambda t: t.clock[2]),
    "Nanosecond": ("", "int", lambda t: t.nanoseconds),
    "YearDay": ("", "int", lambda t: t.year_day),
    "Weekday": ("", "time.Weekday", lambda t: Int(t.weekday, "time.Weekday")),
    "Date": ("", "many", lambda t: t.date[0]),
    "Clock": ("", "many", lambda t: t.clock[0]),
    "ISOWeek": ("", "int", lambda t: t.week[0]),
    "Unix": ("", "int64", lambda t: Int(t.seconds, "int64")),
    "UnixMilli": ("", "int64", lambda t: Int(t.instant // 10**6, "int64")),
    "UnixMicro": ("", "int64", lambda t: Int(t.instant // 10**3, "int64")),
    "UnixNano": ("", "int64", lambda t: Int(t.instant, "int64")),
    "UTC": ("", _T, lambda t: Time(t.seconds, t.nanoseconds, UTC_ZONE)),
    "Local": ("", _T, lambda t: Time(t.seconds, t.nanoseconds, LOCAL)),
    "In": ("*time.Location", _T, Time.in_zone),
    "Location": ("", "*time.Location", lambda t: t.zone),
    "Zone": ("", "string", lambda t: t.label),
    "IsDST": ("", "bool", lambda t: t.offset > min(t.zone.at(t.seconds + DAY * d)[0] for d in (-182, 0, 182))),
    "IsZero": ("", "bool", lambda t: t.instant == ZERO.instant),
    "Add": ("duration", _T, Time.add),
    "Sub": ("time", "time.Duration", lambda t, u: Duration(t.instant - u.instant)),
    "AddDate": ("int int int", _T, Time.add_date),
    "After": ("time", "bool", lambda t, u: t.instant > u.instant),
    "Before": ("time", "bool", lambda t, u: t.instant < u.instant),
    "Equal": ("time", "bool", lambda t, u: t.instant == u.instant),
    "Compare": ("time", "int", lambda t, u: (t.instant > u.instant) - (t.instant < u.instant)),
    "Truncate": ("duration", _T, lambda t, d: t.rounded(d, up=False)),
    "Round": ("duration", _T, lambda t, d: t.rounded(d, up=True)),
}


def _fraction(unit: int) -> Any:
    return lambda d: d // unit + d % unit / unit if d >= 0 else -(-d // unit + -d % unit / unit)


def _whole(unit: int) -> Any:
    return lambda d: Int(abs(d) // unit * (-1 if d < 0 else 1), "int64")


NUMBER_METHODS: dict[str, dict[str, tuple[str, str, Any]]] = {
    "time.Duration": {
        "Hours": ("", "float64", _fraction(3600 * SECOND)),
        "Minutes": ("", "float64", _fraction(60 * SECOND)),
        "Seconds": ("", "float64", _fraction(SECOND)),
        "Milliseconds": ("", "int64", _whole(10**6)),
        "Microseconds": ("", "int64", _whole(10**3)),
        "Nanoseconds": ("", "int64", lambda d: Int(d, "int64")),
        "Abs": ("", "time.Duration", lambda d: Duration(abs(d))),
        "String": ("", "string", duration_text),
        "Round": ("duration", "time.Duration", lambda d, step: Duration(rounded(d, step))),
        "Truncate": ("duration", "time.Duration", lambda d, step: Duration(truncated(d, step))),
    },
    "time.Month": {"String": ("", "string", lambda m: MONTHS[m - 1])},
    "time.Weekday": {"String": ("", "string", lambda d: WEEKDAYS[d])},
}


def number_method(value: Int, name: str) -> Function | None:
    """The method of a duration, month or weekday, bound to it."""
    found = NUMBER_METHODS.get(value.go_type, {}).get(name)
    return Function(name, found[0], lambda *given: found[2](int(value), *given), found[1]) if found else None


def method(value: Any, name: Any) -> Function | None:
    """The method of that name, bound to the value; None if the value has none."""
    if isinstance(value, Int) and isinstance(name, str):
        return number_method(value, name)
    if isinstance(value, Time) and name in TIME_METHODS:
        parameters, result, call = TIME_METHODS[name]
        return Function(name, parameters, lambda *given: call(value, *given), result)
    if isinstance(value, Location) and name == "String":
        return Function("String", "", lambda: value.name, "string")
    find = getattr(value, "method", None)  # a sprig version
    return find(name) if find and isinstance(name, str) else None
