"""Go's values and their representation.

nil, bool, int, float64 and string are None, bool, int, float and str; `[]interface {}` is a list and
`map[string]interface {}` a dict. For any other Go type the Python object carries it: `Int(3, "int64")`,
`Slice(["a"], "string")`, `Map({}, "map[string]string")`, and the classes of `times` and `versions`. The types matter: a
function that takes an int refuses an int64, and two lists of different types are never deeply equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubeproc.argo.language.clock import ZERO
from kubeproc.argo.language.expression_errors import Panic

ANY = "interface {}"
LIST = "[]interface {}"
DICT = "map[string]interface {}"
INTEGERS = ("int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64")


class Int(int):
    """A whole number of a Go type other than int, such as int64 or time.Month."""

    go_type: str

    def __new__(cls, value: int, go_type: str) -> Int:
        made = super().__new__(cls, wrapped(value, go_type))
        made.go_type = go_type
        return made


class Slice(list[Any]):
    """A list whose members have a type; `missing`: a nil slice, null in JSON; `size` makes it an array."""

    def __init__(
        self, members: Iterable[Any] = (), element: str = ANY, *, missing: bool = False, size: int = -1
    ) -> None:
        super().__init__(members)
        self.element, self.missing, self.size = element, missing, size


class Map(dict[Any, Any]):
    """A map of another type than `map[string]interface {}`."""

    def __init__(self, members: Mapping[Any, Any], go_type: str) -> None:
        super().__init__(members)
        self.go_type = go_type


class Function:
    """A function with Go's types for its parameters; the last one may be `...TYPE`."""

    def __init__(self, name: str, parameters: str, call: Callable[..., Any], result: str = ANY) -> None:
        types = [SHORT.get(word, word) for word in parameters.split()]
        self.name, self.call, self.result = name, call, result
        self.variadic = ""
        if types and types[-1].startswith("..."):
            word = types.pop()[3:]
            self.variadic = SHORT.get(word, word)
        self.parameters = types

    def expected(self, index: int) -> str:
        return self.parameters[index] if index < len(self.parameters) else self.variadic

    def __call__(self, *arguments: Any) -> Any:
        """Call the function; Panic with the message of Go's reflection if an argument has the wrong type."""
        if len(arguments) < len(self.parameters):
            raise Panic("reflect: Call with too few input arguments")
        if len(arguments) > len(self.parameters) and not self.variadic:
            raise Panic("reflect: Call with too many input arguments")
        given = []
        for index, value in enumerate(arguments):
            wanted = self.expected(index)
            if value is None:
                value = zero(wanted)
            elif wanted != ANY and type_name(value) != wanted:
                if index >= len(self.parameters):
                    raise Panic(f"reflect: cannot use {type_name(value)} as type {wanted} in Call")
                raise Panic(f"reflect: Call using {type_name(value)} as type {wanted}")
            given.append(value)
        return self.call(*given)


SHORT = {"any": ANY, "list": LIST, "map": DICT, "float": "float64", "time": "time.Time", "duration": "time.Duration"}


def wrapped(value: int, go_type: str = "int") -> int:
    """The number after overflow in a Go type with that many bits."""
    base = {"time.Duration": "int64", "time.Month": "int", "time.Weekday": "int"}.get(go_type, go_type)
    bits = int(base.removeprefix("u").removeprefix("int") or 64)
    value &= (1 << bits) - 1
    return value - (1 << bits) if not base.startswith("u") and value >> (bits - 1) else value


def zero(go_type: str) -> Any:
    """A type's zero value, which a nil argument becomes."""
    if go_type == "string":
        return ""
    if go_type == "bool":
        return False
    if go_type == "float64":
        return 0.0
    if go_type in INTEGERS:
        return 0 if go_type == "int" else Int(0, go_type)
    if go_type == "time.Time":
        return ZERO
    if go_type == DICT:
        return {}
    return None


def type_name(value: Any) -> str:
    """The Go type, as `%T` prints it."""
    if value is None:
        return "<nil>"
    for kind, name in ((bool, "bool"), (float, "float64"), (str, "string")):
        if isinstance(value, kind):
            return name
    if isinstance(value, int):
        return str(getattr(value, "go_type", "int"))
    if isinstance(value, list):
        element = getattr(value, "element", ANY)
        size = getattr(value, "size", -1)
        return f"[{size if size >= 0 else ''}]{element}"
    if isinstance(value, Mapping):
        return str(getattr(value, "go_type", DICT))
    if isinstance(value, Function):
        takes = [*value.parameters, *(["..." + value.variadic] if value.variadic else [])]
        return f"func({', '.join(takes)}) {value.result}"
    return str(getattr(value, "go_type", "func()"))


def kind(value: Any) -> str:
    """The Go kind: `slice`, `map`, `struct`, `ptr`, `func` or the name of a simple type."""
    name = type_name(value)
    if value is None:
        return "invalid"
    if isinstance(value, Slice) and value.size >= 0:
        return "array"
    if isinstance(value, list):
        return "slice"
    if isinstance(value, Mapping):
        return "map"
    if isinstance(value, Function) or name == "func()":
        return "func"
    known = {"time.Duration": "int64", "time.Month": "int", "time.Weekday": "int"}.get(name)
    return known or str(getattr(value, "go_kind", name))


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and type_name(value) in INTEGERS


def is_number(value: Any) -> bool:
    return isinstance(value, float) or is_integer(value)


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def is_nil(value: Any) -> bool:
    return value is None or bool(getattr(value, "missing", False))


def equal(a: Any, b: Any) -> bool:
    """The language's `==`."""
    if is_number(a) and is_number(b):
        return bool(float(a) == float(b)) if isinstance(a, float) or isinstance(b, float) else int(a) == int(b)
    if isinstance(a, list) and isinstance(b, list):
        elements = (getattr(a, "element", ANY), getattr(b, "element", ANY))
        if ANY in elements or elements[0] == elements[1]:
            return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    if is_nil(a) and is_nil(b):
        return True
    if type_name(a) == type_name(b) == "time.Time":
        return bool(a.instant == b.instant)
    return deep_equal(a, b)


def deep_equal(a: Any, b: Any) -> bool:
    """Go's reflect.DeepEqual: the types are equal, too."""
    if type_name(a) != type_name(b):
        return False
    if isinstance(a, list):
        same = is_nil(a) is is_nil(b) and len(a) == len(b)
        return same and all(deep_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Mapping):
        return len(a) == len(b) and all(key in b and deep_equal(value, b[key]) for key, value in a.items())
    return bool(a == b)


def like(owner: list[Any], members: list[Any]) -> list[Any]:
    """A list of the members with the type of another list."""
    if isinstance(owner, Slice):
        return Slice(members, owner.element, missing=owner.missing and not members)
    return members
