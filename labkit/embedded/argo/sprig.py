"""What Argo puts among an expression's variables: `asInt`, `asFloat`, `jsonpath`, `toJson`, and `sprig.` with the functions in
use, under the names and with the argument orders of sprig. An unknown one is an error by its name.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from labkit.embedded.argo import functions, gotext
from labkit.embedded.argo.expressions import ExpressionError, equal
from labkit.embedded.argo.functions import concat, from_json, now, refuse, text, unique


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
    "repeat": lambda n, s: s * n if n <= 1_000_000 else refuse("too many repeats"),
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
    "concat": concat,
    "reverse": lambda items: list(items)[::-1],
    "uniq": unique,
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
    "fromJson": from_json,
    "now": now,
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
    "asInt": functions.as_int,
    "asFloat": functions.as_float,
    "jsonpath": functions.jsonpath,
    "toJson": gotext.encode,
    "sprig": _Sprig(SPRIG),
}
