"""The language's own functions: their signatures and a table of them. The functions themselves are in `builtins_*`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kubeproc.argo.language import builtins_lists as lists
from kubeproc.argo.language import builtins_numbers as numbers
from kubeproc.argo.language import builtins_texts as texts
from kubeproc.argo.language.expression_errors import Misfit, Panic
from kubeproc.argo.language.natures import ANY_MAP, FLOAT, INT, LIST, LOCATION, TIME, UNKNOWN, Nature, misfit, named
from kubeproc.argo.language.parser import PREDICATES
from kubeproc.argo.language.values import SHORT

Check = Callable[[list[Nature]], Nature]


class Builtin:
    """A function, and the check of its argument types, which returns the type of its result."""

    def __init__(self, name: str, call: Callable[..., Any], check: Check) -> None:
        self.name, self.call, self.check = name, call, check
        shape = [p for p in inspect.signature(call).parameters.values() if p.kind is not p.VAR_POSITIONAL]
        self.least = sum(p.default is p.empty for p in shape)
        self.most = len(shape) if len(shape) == len(inspect.signature(call).parameters) else None

    def __call__(self, *arguments: Any) -> Any:
        """Call the function. If the callee is unknown until runtime, the number of arguments has not been checked."""
        if len(arguments) < self.least or (self.most is not None and len(arguments) > self.most):
            raise Panic(f"invalid number of arguments for {self.name} (got {len(arguments)})")
        return self.call(*arguments)


def _type(word: str) -> str:
    return "[]" + _type(word[2:]) if word.startswith("[]") else SHORT.get(word, word)


def _overloads(name: str, shapes: str) -> Check:
    """A check of shapes such as `string string > string | string > string`."""
    choices = []
    for shape in shapes.split("|"):
        left, _, right = shape.partition(">")
        choices.append(([_type(w) for w in left.split()], named(_type(right.strip()))))

    def check(given: list[Nature]) -> Nature:
        error = Panic("")
        for wanted, result in choices:
            if len(given) != len(wanted):
                error = Panic(f"{'too many' if len(given) > len(wanted) else 'not enough'} arguments to call {name}")
                continue
            why = [misfit(n, w, name) for n, w in zip(given, wanted, strict=True)]
            if not any(why):
                return result
            error = next(Misfit(words, index) for index, words in enumerate(why) if words)
        raise error

    return check


def _one(given: list[Nature], expected: int = 1) -> None:
    if len(given) != expected:
        raise Panic(f"invalid number of arguments (expected {expected}, got {len(given)})")


def _kinds(words: str, test: Callable[[Nature], bool], result: Callable[[Nature], Nature]) -> Check:
    """A check of one argument: its kind, and the error message otherwise."""

    def check(given: list[Nature]) -> Nature:
        _one(given)
        if not given[0].unknown and not test(given[0]):
            raise Panic(words.format(given[0]))
        return result(given[0])

    return check


def _number(nature: Nature) -> bool:
    return nature.is_number or nature.kind in ("int", "int64", "uint8", "float64")


def _readable(nature: Nature) -> bool:
    return _number(nature) or nature.kind == "string"


def _sized(nature: Nature) -> bool:
    return nature.is_list or nature.kind in ("map", "string")


def _is_map(nature: Nature) -> bool:
    return nature.kind == "map"


def _is_list(nature: Nature) -> bool:
    return nature.is_list


def _always(result: Nature) -> Callable[[Nature], Nature]:
    return lambda nature: result


def _element(nature: Nature) -> Nature:
    """The type of a list's members, from the list's type."""
    return UNKNOWN if nature.unknown else named(nature.name[nature.name.index("]") + 1 :])


def _extreme(name: str) -> Check:
    def check(given: list[Nature]) -> Nature:
        if not given:
            raise Panic(f"not enough arguments to call {name}")
        for nature in given:
            if nature.unknown or nature.is_list:
                return UNKNOWN
            if not _number(nature):
                raise Panic(f"invalid argument for {name} (type {nature})")
        return given[0]

    return check


def _lists(verb: str, many: bool = False) -> Check:
    def check(given: list[Nature]) -> Nature:
        if many and not given:
            raise Panic("invalid number of arguments (expected at least 1, got 0)")
        if not many:
            _one(given)
        for nature in given:
            if not nature.unknown and not nature.is_list:
                raise Panic(f"cannot {verb} {nature}")
        return LIST

    return check


def _now(given: list[Nature]) -> Nature:
    if not given or (len(given) == 1 and given[0].name == LOCATION.name):
        return TIME
    raise Panic(f"invalid number of arguments (expected 0, got {len(given)})")


def _date(given: list[Nature]) -> Nature:
    if not given:
        raise Panic("invalid number of arguments (expected at least 1, got 0)")
    rest = given[1:] if given[0].name == LOCATION.name else given
    if len(rest) > 3:
        raise Panic(f"invalid number of arguments (expected at most 3, got {len(rest)})")
    return TIME


def _take(given: list[Nature]) -> Nature:
    _one(given, 2)
    if not given[0].unknown and not given[0].is_list:
        raise Panic(f"cannot take from {given[0]}")
    if not given[1].unknown and not given[1].is_integer:
        raise Panic(f"cannot take {given[1]} elements")
    return given[0]


def _get(given: list[Nature]) -> Nature:
    _one(given, 2)
    owner, key = given
    if owner.unknown:
        return UNKNOWN
    if owner.is_list:
        if not key.is_integer and not key.unknown:
            raise Panic(f"non-integer slice index {key}")
        return owner.members
    if owner.kind == "map":
        if not key.unknown and not key.assignable_to(named(owner.name[4:].partition("]")[0])):
            raise Panic(f"cannot use {key} to get an element from {owner}")
        return owner.members
    raise Panic(f"type {owner} does not support indexing")


_SORTS = " | ".join(f"{kind} string > []any" for kind in ("[]any", "[]int", "[]float64", "[]string"))
_SORTS += " | " + " | ".join(f"{kind} > []any" for kind in ("[]any", "[]float64", "[]string", "[]int"))
_JOINS = (
    "[]string string > string | []any string > string | []any > string | []string string > string | []string > string"
)
_BITS = ("bitand", "bitor", "bitxor", "bitnand", "bitshl", "bitshr", "bitushr")
_TABLE: dict[str, tuple[Callable[..., Any], str | Check]] = {
    "len": (lists.length, _kinds("invalid argument for len (type {})", _sized, _always(INT))),
    "type": (texts.type_of, "any > string"),
    "abs": (numbers.absolute, _kinds("invalid argument for abs (type {})", _number, lambda nature: nature)),
    "ceil": (numbers.ceil, _kinds("invalid argument for ceil (type {})", _number, _always(FLOAT))),
    "floor": (numbers.floor, _kinds("invalid argument for floor (type {})", _number, _always(FLOAT))),
    "round": (numbers.round_half, _kinds("invalid argument for round (type {})", _number, _always(FLOAT))),
    "int": (
        numbers.to_int,
        _kinds("invalid argument for int (type {})", _readable, _always(INT)),
    ),
    "float": (
        numbers.to_float,
        _kinds("invalid argument for float (type {})", _readable, _always(FLOAT)),
    ),
    "string": (texts.text_of, "any > string"),
    "trim": (texts.trim, "string > string | string string > string"),
    "trimPrefix": (texts.trim_prefix, "string string > string | string > string"),
    "trimSuffix": (texts.trim_suffix, "string string > string | string > string"),
    "upper": (texts.upper, "string > string"),
    "lower": (texts.lower, "string > string"),
    "split": (texts.split, "string string > []string | string string int > []string"),
    "splitAfter": (texts.split_after, "string string > []string | string string int > []string"),
    "replace": (texts.replace, "string string string int > string | string string string > string"),
    "repeat": (texts.repeat, "string int > string"),
    "join": (texts.join, _JOINS),
    "indexOf": (texts.index_of, "string string > int"),
    "lastIndexOf": (texts.last_index_of, "string string > int"),
    "hasPrefix": (texts.has_prefix, "string string > bool"),
    "hasSuffix": (texts.has_suffix, "string string > bool"),
    "max": (numbers.extreme("max"), _extreme("max")),
    "min": (numbers.extreme("min"), _extreme("min")),
    "mean": (numbers.mean, _extreme("mean")),
    "median": (numbers.median, _extreme("median")),
    "toJSON": (texts.to_json, "any > string"),
    "fromJSON": (texts.from_json, "string > any"),
    "toBase64": (texts.to_base64, "string > string"),
    "fromBase64": (texts.from_base64, "string > string"),
    "now": (texts.now, _now),
    "duration": (texts.duration, "string > time.Duration"),
    "date": (texts.date, _date),
    "timezone": (texts.timezone, "string > *time.Location"),
    "first": (lists.first, _kinds("cannot get first element from {}", _is_list, _element)),
    "last": (lists.last, _kinds("cannot get last element from {}", _is_list, _element)),
    "get": (lists.get, _get),
    "take": (lists.take, _take),
    "keys": (lists.keys, _kinds("cannot get keys from {}", _is_map, _always(LIST))),
    "values": (lists.values, _kinds("cannot get values from {}", _is_map, _always(LIST))),
    "toPairs": (lists.to_pairs, _kinds("cannot transform {} to pairs", _is_map, _always(LIST))),
    "fromPairs": (lists.from_pairs, _kinds("cannot transform {} from pairs", _is_list, _always(ANY_MAP))),
    "reverse": (lists.reverse, _lists("reverse")),
    "uniq": (lists.uniq, _lists("uniq")),
    "concat": (lists.concat, _lists("concat", many=True)),
    "flatten": (lists.flatten, _lists("flatten")),
    "sort": (lists.sort, _SORTS),
    "bitnot": (numbers.bit_not, "int > int"),
}
_TABLE |= {name: (numbers.bits(name), "int int > int") for name in _BITS}


def _made(name: str, call: Callable[..., Any], check: str | Check) -> Builtin:
    return Builtin(name, call, _overloads(name, check) if isinstance(check, str) else check)


def _only_called(name: str) -> Builtin:
    """A function that takes a predicate is referred to by its name only."""

    def refuse(*arguments: Any) -> Any:
        raise Panic(f"invalid operation: cannot call {name} without a predicate")

    return Builtin(name, refuse, lambda given: UNKNOWN)


BUILTINS: dict[str, Builtin] = {name: _made(name, *row) for name, row in _TABLE.items()} | {
    name: _only_called(name) for name in PREDICATES
}
