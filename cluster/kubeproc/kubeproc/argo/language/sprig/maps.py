"""sprig's functions on maps, and those on values of any type."""

from __future__ import annotations

import copy
from typing import Any

from kubeproc.argo.language import marshal
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.formats import text
from kubeproc.argo.language.sprig.casts import empty
from kubeproc.argo.language.values import DICT, Slice, deep_equal, kind, type_name

Object = dict[str, Any]


def _dict(*values: Any) -> Object:
    return {text(key): values[i * 2 + 1] if i * 2 + 1 < len(values) else "" for i, key in enumerate(values[::2])}


def _set(mapping: Object, key: str, value: Any) -> Object:
    mapping[key] = value
    return mapping


def _unset(mapping: Object, key: str) -> Object:
    mapping.pop(key, None)
    return mapping


def _merge(into: Object, *others: Object, overwrite: bool = False) -> Object:
    """The first map with the entries of the others; the first map's value wins, unless it is empty."""
    for other in others:
        for key, value in other.items():
            if value is None:
                if overwrite:
                    into[key] = None
                continue
            mine: Any = into.get(key)
            if not empty(mine):
                if type_name(value) == type_name(mine) == DICT:
                    _merge(mine, value, overwrite=overwrite)
                    continue
                if isinstance(value, list):
                    into[key] = value if overwrite else mine
                    continue
            if overwrite or empty(mine):
                into[key] = value
    return into


def _overwrite(into: Object, *others: Object) -> Object:
    return _merge(into, *others, overwrite=True)


def _dig(*given: Any) -> Any:
    if len(given) < 3:
        raise Panic("dig needs at least three arguments")
    *path, default, here = given
    for key in path:
        if type_name(here) != DICT:
            name = type_name(here).replace("<nil>", "nil")
            raise Panic(f"interface conversion: interface {{}} is {name}, not map[string]interface {{}}")
        if not isinstance(key, str):
            raise Panic(f"interface conversion: interface {{}} is {type_name(key)}, not string")
        if key not in here:
            return default
        here = here[key]
    return here


def _copied(value: Any) -> Any:
    if value is None:
        raise Panic("reflect: call of reflect.Value.Type on zero Value")
    return copy.deepcopy(value) if isinstance(value, (list, dict)) else value


def _default(value: Any, *given: Any) -> Any:
    return value if not given or empty(given[0]) else given[0]


def _lenient(encode: Any) -> Any:
    """A string, empty if the value has no JSON."""

    def made(value: Any) -> str:
        try:
            return str(encode(value))
        except Panic:
            return ""

    return made


def _parsed(source: str) -> Any:
    try:
        return marshal.unmarshal(source)
    except Panic:
        return None


def _fail(message: str) -> Any:
    raise Panic(message)


def _raw(value: Any) -> str:
    return marshal.marshal(value, html=False)


def _ternary(yes: Any, no: Any, condition: bool) -> Any:
    return yes if condition else no


MAPS: dict[str, tuple[str, Any]] = {
    "dict": ("...any", _dict),
    "get": ("map string", lambda mapping, key: mapping.get(key, "")),
    "set": ("map string any", _set),
    "unset": ("map string", _unset),
    "hasKey": ("map string", lambda mapping, key: key in mapping),
    "pluck": ("string ...map", lambda key, *maps: [m[key] for m in maps if key in m]),
    "keys": ("...map", lambda *maps: Slice([key for m in maps for key in m], "string")),
    "values": ("map", lambda mapping: list(mapping.values())),
    "pick": ("map ...string", lambda mapping, *keys: {k: mapping[k] for k in keys if k in mapping}),
    "omit": ("map ...string", lambda mapping, *keys: {k: v for k, v in mapping.items() if k not in keys}),
    "merge": ("map ...map", _merge),
    "mustMerge": ("map ...map", _merge),
    "mergeOverwrite": ("map ...map", _overwrite),
    "mustMergeOverwrite": ("map ...map", _overwrite),
    "dig": ("...any", _dig),
    "deepCopy": ("any", _copied),
    "mustDeepCopy": ("any", _copied),
}

VALUES: dict[str, tuple[str, Any]] = {
    "default": ("any ...any", _default),
    "empty": ("any", empty),
    "coalesce": ("...any", lambda *values: next((v for v in values if not empty(v)), None)),
    "all": ("...any", lambda *values: not any(map(empty, values))),
    "any": ("...any", lambda *values: not all(map(empty, values))),
    "ternary": ("any any bool", _ternary),
    "fail": ("string", _fail),
    "toJson": ("any", _lenient(marshal.marshal)),
    "toPrettyJson": ("any", _lenient(marshal.indented)),
    "toRawJson": ("any", _raw),
    "fromJson": ("string", _parsed),
    "mustToJson": ("any", marshal.marshal),
    "mustToPrettyJson": ("any", marshal.indented),
    "mustToRawJson": ("any", _raw),
    "mustFromJson": ("string", marshal.unmarshal),
    "typeOf": ("any", type_name),
    "typeIs": ("string any", lambda wanted, value: wanted == type_name(value)),
    "typeIsLike": ("string any", lambda wanted, value: type_name(value) in (wanted, "*" + wanted)),
    "kindOf": ("any", kind),
    "kindIs": ("string any", lambda wanted, value: wanted == kind(value)),
    "deepEqual": ("any any", deep_equal),
}
