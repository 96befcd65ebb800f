"""The built-in functions of expr-lang, and Argo's `jsonpath`.

A built-in is found when no variable has its name. A function raises ValueError or TypeError for what it cannot do; the
evaluator turns both into its one error.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from labkit.embedded.argo import gotext
from labkit.embedded.argo.expressions import equal


def as_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"invalid operation: int({value!r})")
    try:
        return int(value)
    except ValueError:
        raise ValueError(f'strconv.Atoi: parsing "{value}": invalid syntax') from None


def as_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"invalid operation: float({value!r})")
    try:
        return float(value)
    except ValueError:
        raise ValueError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None


def text(value: Any) -> str:
    """A value as Go's fmt prints it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, list):
        return "[" + " ".join(text(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{k}:{text(value[k])}" for k in sorted(value)) + "]"
    return gotext.text(value)


# -- predicates ------------------------------------------------------------------------------------------------------


def _members(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, Mapping):
        return list(value.values())
    raise TypeError(f"builtin takes only array (got {type(value).__name__})")


def _holds(predicate: Callable[..., Any], item: Any, index: int) -> bool:
    result = predicate(item, index)
    if not isinstance(result, bool):
        raise TypeError(f"predicate should return boolean (got {type(result).__name__})")
    return result


def _filter(items: Any, predicate: Callable[..., Any]) -> list[Any]:
    return [item for i, item in enumerate(_members(items)) if _holds(predicate, item, i)]


def _found(items: Any, predicate: Callable[..., Any]) -> list[int]:
    return [i for i, item in enumerate(_members(items)) if _holds(predicate, item, i)]


def _find(items: Any, predicate: Callable[..., Any], last: bool = False) -> Any:
    found = _found(items, predicate)
    return _members(items)[found[-1 if last else 0]] if found else None


def _group(items: Any, predicate: Callable[..., Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for i, item in enumerate(_members(items)):
        groups.setdefault(predicate(item, i), []).append(item)
    return groups


def _reduce(items: Any, predicate: Callable[..., Any], *start: Any) -> Any:
    members = _members(items)
    gathered, rest = (start[0], members) if start else (members[0], members[1:])
    for i, item in enumerate(rest):
        gathered = predicate(item, i + (0 if start else 1), gathered)
    return gathered


def _count(items: Any, predicate: Callable[..., Any] = lambda item, index: item) -> int:
    return len(_found(items, predicate))


def _sum(items: Any, predicate: Callable[..., Any] = lambda item, index: item) -> Any:
    return sum(predicate(item, i) for i, item in enumerate(_members(items)))


# -- strings, lists, maps --------------------------------------------------------------------------------------------


def _split(value: str, separator: str, limit: int = -1) -> list[str]:
    if separator == "":
        return list(value)
    return value.split(separator, limit - 1 if limit > 0 else -1)


def _join(items: Any, separator: str = "") -> str:
    members = _members(items)
    if not all(isinstance(m, str) for m in members):
        raise TypeError("cannot join: not all members are strings")
    return separator.join(members)


def from_json(value: str) -> Any:
    return json.loads(value)


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _length(value: Any) -> int:
    if isinstance(value, (str, list, tuple, Mapping)):
        return len(value)
    raise TypeError(f"invalid argument for len (type {type(value).__name__})")


def _round(value: float) -> float:
    return float(math.floor(abs(value) + 0.5)) * (1 if value >= 0 else -1)


def _type(value: Any) -> str:
    kinds: list[tuple[Any, str]] = [(bool, "bool"), (int, "int"), (float, "float"), (str, "string"),
                                    ((list, tuple), "array"), (Mapping, "map")]  # fmt: skip
    return next((name for kind, name in kinds if isinstance(value, kind)), "nil" if value is None else "func")


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def extreme(*values: Any) -> Any:
        flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in flat):
            raise TypeError("invalid argument for min or max: not a number")
        return choose(flat)

    return extreme


def unique(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in _members(items):
        if not any(equal(item, other) for other in found):
            found.append(item)
    return found


def concat(*lists: Any) -> list[Any]:
    return [item for items in lists for item in _members(items)]


def _flatten(items: Any) -> list[Any]:
    return [x for item in _members(items) for x in (_flatten(item) if isinstance(item, list) else [item])]


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


BUILTINS: dict[str, Callable[..., Any]] = {
    "all": lambda items, p: all(_holds(p, x, i) for i, x in enumerate(_members(items))),
    "any": lambda items, p: any(_holds(p, x, i) for i, x in enumerate(_members(items))),
    "none": lambda items, p: not _found(items, p),
    "one": lambda items, p: len(_found(items, p)) == 1,
    "filter": _filter,
    "map": lambda items, p: [p(x, i) for i, x in enumerate(_members(items))],
    "count": _count,
    "sum": _sum,
    "find": _find,
    "findLast": lambda items, p: _find(items, p, True),
    "findIndex": lambda items, p: next(iter(_found(items, p)), -1),
    "findLastIndex": lambda items, p: (_found(items, p) or [-1])[-1],
    "groupBy": _group,
    "sortBy": lambda items, p, order="asc": sorted(_members(items), key=p, reverse=order == "desc"),
    "reduce": _reduce,
    "len": _length,
    "type": _type,
    "abs": abs,
    "ceil": lambda x: float(math.ceil(x)),
    "floor": lambda x: float(math.floor(x)),
    "round": _round,
    "int": as_int,
    "float": as_float,
    "string": text,
    "trim": lambda s, chars=None: s.strip(chars),
    "trimPrefix": lambda s, p=" ": s.removeprefix(p),
    "trimSuffix": lambda s, p=" ": s.removesuffix(p),
    "upper": str.upper,
    "lower": str.lower,
    "split": _split,
    "splitAfter": lambda s, sep: [p + sep for p in s.split(sep)[:-1]] + [s.split(sep)[-1]],
    "replace": lambda s, old, new, n=-1: s.replace(old, new, n),
    "repeat": lambda s, n: s * n if n <= 1_000_000 else refuse("memory budget exceeded"),
    "join": _join,
    "indexOf": str.find,
    "lastIndexOf": str.rfind,
    "hasPrefix": str.startswith,
    "hasSuffix": str.endswith,
    "max": _extreme(max),
    "min": _extreme(min),
    "mean": lambda *v: sum(concat(*v)) / len(concat(*v)) if concat(*v) else 0,
    "toJSON": _to_json,
    "fromJSON": from_json,
    "toBase64": lambda s: base64.b64encode(s.encode()).decode(),
    "fromBase64": lambda s: base64.b64decode(s, validate=True).decode(),
    "now": now,
    "duration": gotext.duration,
    "first": lambda items: _members(items)[0] if items else None,
    "last": lambda items: _members(items)[-1] if items else None,
    "get": lambda items, key: items.get(key) if isinstance(items, Mapping) else _at(items, key),
    "take": lambda items, n: _members(items)[:n],
    "keys": lambda m: list(m.keys()),
    "values": lambda m: list(m.values()),
    "toPairs": lambda m: [[k, v] for k, v in m.items()],
    "fromPairs": dict,
    "reverse": lambda items: _members(items)[::-1],
    "sort": lambda items, order="asc": sorted(_members(items), reverse=order == "desc"),
    "concat": concat,
    "flatten": _flatten,
    "uniq": unique,
}


def _at(items: Any, index: int) -> Any:
    return items[index] if -len(items) <= index < len(items) else None


def refuse(why: str) -> Any:
    raise ValueError(why)


# -- Argo's own ------------------------------------------------------------------------------------------------------

_STEP = re.compile(r"\.\.|\.?\*|\.?([^\[\].*]+)|\[(\*|-?\d+|'[^']*'|\"[^\"]*\"|-?\d*:-?\d*|\?\(.*?\))\]")


def jsonpath(document: str, path: str) -> Any:
    """The value at a JSONPath: `$.a.b[0]`, `[*]`, `..name`, slices and `[?(@.x == 1)]`. A path that selects many gives
    a list; ValueError where it selects nothing."""
    if not path.startswith("$"):
        raise ValueError(f"invalid JSONPath query '{path}' unexpected token at index 0")
    found, many, position, deep = [json.loads(document)], False, 1, False
    while position < len(path):
        step = _STEP.match(path, position)
        if not step:
            raise ValueError(f"invalid JSONPath query '{path}' unexpected token at index {position}")
        position = step.end()
        if step[0] == "..":
            found, many, deep = [x for item in found for x in _below(item)], True, True
            continue
        found, several = _select(found, step)
        many = many or several
        if not found and not many:
            raise ValueError(f"key: invalid token key not found in '{path}'")
        deep = False
    if deep:
        raise ValueError(f"invalid JSONPath query '{path}'")
    return found if many else found[0]


def _below(item: Any) -> list[Any]:
    found = [item]
    for child in item.values() if isinstance(item, dict) else item if isinstance(item, list) else ():
        found += _below(child)
    return found


def _select(items: list[Any], step: re.Match[str]) -> tuple[list[Any], bool]:
    word = step[1] if step[1] is not None else step[2]
    if word in (None, "*"):
        kids = [list(x.values()) if isinstance(x, dict) else x if isinstance(x, list) else [] for x in items]
        return [x for members in kids for x in members], True
    if step[2] and word.startswith("?("):
        from labkit.embedded.argo.expressions import evaluate

        source = re.sub(r"@", "#", word[2:-1])
        lists = [x if isinstance(x, list) else list(x.values()) for x in items if isinstance(x, (list, dict))]
        return [x for members in lists for x in members if evaluate(source, {"#": x}) is True], True
    if step[2] and ":" in word:
        start, end = (int(part) if part else None for part in word.split(":"))
        return [x for item in items if isinstance(item, list) for x in item[start:end]], True
    if step[2] and re.fullmatch(r"-?\d+", word):
        index = int(word)
        return [x[index] for x in items if isinstance(x, list) and -len(x) <= index < len(x)], False
    key = word[1:-1] if step[2] else word
    return [x[key] for x in items if isinstance(x, dict) and key in x], False
