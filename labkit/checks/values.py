"""Answers that are values or functions, and predictions, which are never graded."""

from __future__ import annotations

import copy
import datetime
import itertools
import math
import pickle
from collections.abc import ItemsView, Iterator, KeysView, Sequence, ValuesView
from typing import Any

from labkit.checks import value_kinds
from labkit.checks.verdict import CheckFailed, expect

COUNTED = {2: "two", 3: "three", 4: "four"}
MOST = 1000  # values of an answer that may have no end
GIVE = "give it a value in the answer's cell, and run that cell"
WORDS = {"true": True, "yes": True, "false": False, "no": False}


def number(given: object, right: float, name: str, hint: str = "", tolerance: float = 1e-6) -> None:
    """Compare a number that the student computed, within a relative tolerance; `hint` is for a number that is wrong."""
    expect(given is not None, f"{name} is None", GIVE)
    value = _number(given)
    if value is None:
        raise CheckFailed(
            f"{name} is {_short(given)}, {value_kinds.kind(given)}; expected a number", _as_number(name, given)
        )
    expect(math.isfinite(value), f"{name} is {value}, which is not a finite number", hint)
    close = abs(value - right) <= tolerance * max(1.0, abs(right))
    expect(close, f"{name} is {_short(given)}, which is too {'much' if value > right else 'little'}", hint)


def _as_number(name: str, given: object) -> str:
    if isinstance(given, datetime.timedelta):
        return f"{name} must be a number: the method total_seconds() of a timedelta returns its seconds"
    return f"{name} must be a number, such as 1.5{', without quotes' if isinstance(given, str) else ''}"


def _number(given: Any) -> float | None:
    """A number of Python, NumPy or TensorFlow as a float; also the one number of an array. None for anything else."""
    if getattr(given, "size", 0) == 1:
        given = given.item()
    if isinstance(given, str | bool | bytes) or not hasattr(given, "__float__"):
        return None
    try:
        return float(given)
    except (TypeError, ValueError):
        return None


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def returned(function: Any, name: str, *arguments: Any, case: str = "") -> Any:
    """What the student's function returns for copies of the arguments. CheckFailed where it is no function, raises, or
    changes its arguments: whoever calls it goes on with them."""
    expect(function is not None, f"{name} is None", "define it in the answer's cell, and run that cell")
    expect(callable(function), f"{name} is {value_kinds.kind(function)}, expected a function", f"def {name}(...):")
    about = f" {case}" if case else ""
    given = copy.deepcopy(arguments)
    try:
        answer = _complete(function(*given))
    except Exception as error:
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        raise CheckFailed(
            f"{name} raised {said}{about}", f"call {name} in a cell of your own to see the line that raised it"
        ) from None
    expect(
        _same(given, arguments),
        f"{name} changes what it is given{about}",
        "work on a copy: sorted(items) in place of items.sort(), a new list in place of items.remove(...)",
    )
    return answer


def _complete(answer: Any) -> Any:
    """The answer itself; of one that is computed on demand or looks into something else, a list of what it gives."""
    if isinstance(answer, Iterator | KeysView | ValuesView | ItemsView):
        return list(itertools.islice(answer, MOST))
    return answer


def numbers(given: object, names: Sequence[str], what: str, hint: str = "") -> list[Any]:
    """The values of an answer that has one for each name, in any kind of sequence; CheckFailed for everything else."""
    if getattr(given, "ndim", None) == 1:
        given = list(given)  # type: ignore[call-overload]
    right = isinstance(given, list | tuple) and len(given) == len(names)
    expect(right, f"{what} {_short(given)}, expected {COUNTED.get(len(names), len(names))} numbers", hint)
    return list(given)  # type: ignore[call-overload]


def _same(one: object, other: object) -> bool:
    """Whether two values are equal; where arrays are among them, which have no single answer, by their bytes."""
    try:
        return bool(one == other)
    except ValueError:
        return pickle.dumps(copy.deepcopy(one)) == pickle.dumps(copy.deepcopy(other))


def prediction(given: object, name: str, kind: type | Sequence[str] = float) -> Any:
    """A prediction in the form that the notebook uses, or None if it is missing; a line says what can't be used.

    `kind` is float (a positive number), bool, or the words to choose from. A prediction never stops a notebook.
    """
    if given is None:
        print(f"{name} is None: you predicted nothing. There is still time, if you have not looked.")
        return None
    text = str(given).strip().strip("'\"").lower()
    found: Any
    if kind is bool:
        found = given if isinstance(given, bool) else WORDS.get(text)
        wanted = "True or False"
    elif kind is float:
        found, wanted = _positive(given, text), "a positive number, such as 12.5"
    else:
        assert not isinstance(kind, type)
        found = next((word for word in kind if word.lower() == text), None)
        wanted = "one of " + ", ".join(kind)
    if found is None:
        print(f"{name} is {_short(given)}, and is left out: it must be {wanted}.")
    return found


def _positive(given: object, text: str) -> float | None:
    try:
        value = math.nan if isinstance(given, bool) else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
