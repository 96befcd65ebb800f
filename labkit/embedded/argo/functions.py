"""What an expression can call: expr-lang's built-in functions, Argo's own, and the sprig functions in use.

`BUILTINS` are found when no variable has their name; `ARGO` stands among the variables (`asInt`, `jsonpath`,
`sprig.trim(...)`). A function raises ValueError or TypeError for what it cannot do; the evaluator turns both into
its one error. Not all of sprig is here: an unknown one is an error by its name.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from labkit.embedded.argo import gotext
from labkit.embedded.argo.expressions import ExpressionError, equal


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


def _from_json(value: str) -> Any:
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


def _unique(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in _members(items):
        if not any(equal(item, other) for other in found):
            found.append(item)
    return found


def _concat(*lists: Any) -> list[Any]:
    return [item for items in lists for item in _members(items)]


def _flatten(items: Any) -> list[Any]:
    return [x for item in _members(items) for x in (_flatten(item) if isinstance(item, list) else [item])]


def _now() -> str:
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
    "repeat": lambda s, n: s * n if n <= 1_000_000 else _refuse("memory budget exceeded"),
    "join": _join,
    "indexOf": str.find,
    "lastIndexOf": str.rfind,
    "hasPrefix": str.startswith,
    "hasSuffix": str.endswith,
    "max": _extreme(max),
    "min": _extreme(min),
    "mean": lambda *v: sum(_concat(*v)) / len(_concat(*v)) if _concat(*v) else 0,
    "toJSON": _to_json,
    "fromJSON": _from_json,
    "toBase64": lambda s: base64.b64encode(s.encode()).decode(),
    "fromBase64": lambda s: base64.b64decode(s, validate=True).decode(),
    "now": _now,
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
    "concat": _concat,
    "flatten": _flatten,
    "uniq": _unique,
}


def _at(items: Any, index: int) -> Any:
    return items[index] if -len(items) <= index < len(items) else None


def _refuse(why: str) -> Any:
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


# -- sprig -----------------------------------------------------------------------------------------------------------


def _whole(value: Any) -> int:
    """sprig's lenient toInt64: 0 for what is no number."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def _real(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _divided(a: Any, b: Any) -> int:
    if not _whole(b):
        raise ValueError("runtime error: integer divide by zero")
    quotient = abs(_whole(a)) // abs(_whole(b))
    return quotient if (_whole(a) < 0) is (_whole(b) < 0) else -quotient


_LAYOUT = [("2006", "%Y"), ("January", "%B"), ("Jan", "%b"), ("01", "%m"), ("02", "%d"), ("15", "%H"), ("03", "%I"),
           ("04", "%M"), ("05", "%S"), ("PM", "%p"), ("Monday", "%A"), ("Mon", "%a"), ("06", "%y"), ("MST", "%Z"),
           ("Z07:00", "Z"), ("-0700", "%z")]  # fmt: skip


def _date(layout: str, when: Any) -> str:
    moment = datetime.fromisoformat(when.replace("Z", "+00:00")) if isinstance(when, str) else None
    moment = moment or datetime.fromtimestamp(_real(when), UTC)
    for go, python in _LAYOUT:
        layout = layout.replace(go, python)
    return moment.strftime(layout)


def _default(value: Any, *given: Any) -> Any:
    return value if not given or given[0] in (None, "", 0, False, [], {}) else given[0]


def _coalesce(*values: Any) -> Any:
    return next((v for v in values if v not in (None, "", 0, False, [], {})), None)


def _ternary(yes: Any, no: Any, condition: bool) -> Any:
    return yes if condition else no


def _each(value: Any) -> list[str]:
    return [text(v) for v in value] if isinstance(value, list) else [text(value)]


SPRIG: dict[str, Callable[..., Any]] = {
    "trim": lambda s: s.strip(),
    "trimAll": lambda chars, s: s.strip(chars),
    "trimPrefix": lambda p, s: s.removeprefix(p),
    "trimSuffix": lambda p, s: s.removesuffix(p),
    "upper": lambda s: s.upper(),
    "lower": lambda s: s.lower(),
    "title": lambda s: re.sub(r"(^|\s)(\S)", lambda m: m[1] + m[2].upper(), s),
    "repeat": lambda n, s: s * n if n <= 1_000_000 else _refuse("too many repeats"),
    "substr": lambda start, end, s: s[max(start, 0) : end if end >= 0 else None],
    "trunc": lambda n, s: s[:n] if n >= 0 else s[n:],
    "contains": lambda part, s: part in s,
    "hasPrefix": lambda p, s: s.startswith(p),
    "hasSuffix": lambda p, s: s.endswith(p),
    "quote": lambda *v: " ".join(json.dumps(text(x), ensure_ascii=False) for x in v if x is not None),
    "squote": lambda *v: " ".join(f"'{text(x)}'" for x in v if x is not None),
    "cat": lambda *v: " ".join(text(x) for x in v if x is not None),
    "indent": lambda n, s: "\n".join(" " * n + line for line in s.split("\n")),
    "replace": lambda old, new, s: s.replace(old, new),
    "nospace": lambda s: re.sub(r"\s", "", s),
    "snakecase": lambda s: re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-\s]+", "_", s).lower(),
    "kebabcase": lambda s: re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\s]+", "-", s).lower(),
    "regexMatch": lambda pattern, s: re.search(pattern, s) is not None,
    "regexFind": lambda pattern, s: (re.search(pattern, s) or [""])[0],
    "regexFindAll": lambda pattern, s, n: [m[0] for m in re.finditer(pattern, s)][: n if n >= 0 else None],
    "regexReplaceAll": lambda pattern, s, new: re.sub(pattern, re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", new), s),
    "splitList": lambda sep, s: s.split(sep) if sep else list(s),
    "split": lambda sep, s: {f"_{i}": part for i, part in enumerate(s.split(sep))},
    "splitn": lambda sep, n, s: {f"_{i}": part for i, part in enumerate(s.split(sep, n - 1))},
    "join": lambda sep, items: sep.join(_each(items)),
    "sortAlpha": lambda items: sorted(_each(items)),
    "toStrings": _each,
    "toString": text,
    "default": _default,
    "empty": lambda v: v in (None, "", 0, False, [], {}),
    "coalesce": _coalesce,
    "ternary": _ternary,
    "add": lambda *v: sum(map(_whole, v)),
    "add1": lambda v: _whole(v) + 1,
    "sub": lambda a, b: _whole(a) - _whole(b),
    "mul": lambda *v: math.prod(map(_whole, v)),
    "div": _divided,
    "mod": lambda a, b: _whole(a) - _divided(a, b) * _whole(b),
    "addf": lambda *v: sum(map(_real, v)),
    "subf": lambda a, *v: _real(a) - sum(map(_real, v)),
    "mulf": lambda *v: math.prod(map(_real, v)),
    "divf": lambda a, *v: _real(a) / math.prod(map(_real, v)),
    "max": lambda *v: max(map(_whole, v)),
    "min": lambda *v: min(map(_whole, v)),
    "floor": lambda v: float(math.floor(_real(v))),
    "ceil": lambda v: float(math.ceil(_real(v))),
    "round": lambda v, places, *_: round(_real(v), places),
    "int": _whole,
    "int64": _whole,
    "float64": _real,
    "atoi": _whole,
    "until": lambda n: list(range(n)) if n >= 0 else list(range(0, n, -1)),
    "untilStep": lambda start, stop, step: list(range(start, stop, step)),
    "list": lambda *v: list(v),
    "first": lambda items: items[0] if items else None,
    "last": lambda items: items[-1] if items else None,
    "rest": lambda items: items[1:],
    "initial": lambda items: items[:-1],
    "append": lambda items, v: [*items, v],
    "prepend": lambda items, v: [v, *items],
    "concat": _concat,
    "reverse": lambda items: list(items)[::-1],
    "uniq": _unique,
    "without": lambda items, *v: [x for x in items if not any(equal(x, y) for y in v)],
    "has": lambda v, items: any(equal(v, x) for x in items),
    "compact": lambda items: [x for x in items if x not in (None, "", 0, False, [], {})],
    "slice": lambda items, *bounds: list(items)[slice(*bounds)],
    "dict": lambda *v: dict(zip(map(text, v[::2]), v[1::2], strict=False)),
    "get": lambda m, key: m.get(key, ""),
    "hasKey": lambda m, key: key in m,
    "keys": lambda *maps: [k for m in maps for k in m],
    "values": lambda m: list(m.values()),
    "pick": lambda m, *keys: {k: m[k] for k in keys if k in m},
    "omit": lambda m, *keys: {k: v for k, v in m.items() if k not in keys},
    "merge": lambda *maps: {k: v for m in reversed(maps) for k, v in m.items()},
    "b64enc": lambda s: base64.b64encode(s.encode()).decode(),
    "b64dec": lambda s: base64.b64decode(s).decode(),
    "sha256sum": lambda s: hashlib.sha256(s.encode()).hexdigest(),
    "sha1sum": lambda s: hashlib.sha1(s.encode(), usedforsecurity=False).hexdigest(),
    "toJson": lambda v: gotext.encode(v),
    "fromJson": _from_json,
    "now": _now,
    "date": _date,
    "unixEpoch": lambda when: str(int(gotext.moment(when) or 0)),
    "dateModify": lambda change, when: gotext.stamp((gotext.moment(when) or time.time()) + gotext.duration(change)),
    "uuidv4": lambda: str(uuid.uuid4()),
}


class _Sprig(dict[str, Callable[..., Any]]):
    def get(self, name: str, default: Any = None) -> Any:  # type: ignore[override]
        if name not in self:
            raise ExpressionError(f"sprig.{name}: not supported by the embedded cluster; use `labkit up --engine kind`")
        return self[name]


ARGO: dict[str, Any] = {
    "asInt": as_int,
    "asFloat": as_float,
    "jsonpath": jsonpath,
    "toJson": gotext.encode,
    "sprig": _Sprig(SPRIG),
}
