"""Computing an expression: a walk over its tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubeproc.argo.language import times
from kubeproc.argo.language.builtins import BUILTINS
from kubeproc.argo.language.expression_errors import Located, Panic
from kubeproc.argo.language.folding import constant_truth
from kubeproc.argo.language.formats import text
from kubeproc.argo.language.operators import MOST, OPERATORS, as_int, negate
from kubeproc.argo.language.parser import Node
from kubeproc.argo.language.predicates import PREDICATES
from kubeproc.argo.language.quoting import decoded, encoded
from kubeproc.argo.language.values import Int, Map, Slice, is_nil, kind, like, type_name, zero


class _Stop(Exception):
    """A `?.` found nil: the whole chain is nil."""


class Evaluator:
    """Computes one expression over its names. `spent` counts the list members that it has created."""

    def __init__(self, source: str, names: Mapping[str, Any]) -> None:
        self.source, self.names, self.spent = source, names, 0
        self.locals: dict[str, Any] = {}
        self.items: list[dict[str, Any]] = []

    def value(self, node: Node) -> Any:
        try:
            return _VALUES[node.kind](self, node)
        except Panic as error:
            raise Located(str(error), self.source, node.at) from None

    def spend(self, size: int) -> None:
        self.spent += size
        if self.spent >= MOST:
            raise Panic("memory budget exceeded")

    def name(self, node: Node) -> Any:
        if node.value in self.locals:
            return self.locals[node.value]
        if node.value == "$env":
            return self.names
        if node.value in self.names:
            return self.names[node.value]
        return None  # a built-in function can only be called, it is not a value

    def unary(self, node: Node) -> Any:
        value = self.value(node.parts[0])
        if node.value in ("not", "!"):
            return not _truth(value)
        return negate(value) if node.value == "-" else value

    def binary(self, node: Node) -> Any:
        left, right = node.parts
        if node.value in ("and", "&&", "or", "||"):
            return self._logical(left, right, node.value in ("or", "||"))
        if node.value == "??":
            found = self.value(left)
            return self.value(right) if is_nil(found) else found
        made = OPERATORS[node.value](self.value(left), self.value(right))
        if node.value == "..":
            self.spend(len(made))
        return made

    def _logical(self, left: Node, right: Node, decides: bool) -> Any:
        """`and` and `or`: a literal side is folded first, so that the other side can be of any type."""
        first, second = constant_truth(left), constant_truth(right)
        if first is (not decides):
            return self.value(right)
        if second is (not decides):
            return self.value(left)
        if decides in (first, second):
            return decides
        return decides if _truth(self.value(left)) is decides else self.value(right)

    def chain(self, node: Node) -> Any:
        try:
            return self.value(node.parts[0])
        except _Stop:
            return None

    def member(self, node: Node) -> Any:
        owner = self.value(node.parts[0])
        if node.optional and is_nil(owner):
            raise _Stop
        return fetch(owner, self.value(node.parts[1]))

    def slice(self, node: Node) -> Any:
        owner, (first, last) = self.value(node.parts[0]), node.parts[1:]
        if isinstance(owner, str):
            data: Any = encoded(owner)
        elif isinstance(owner, list):
            data = owner
        elif last.kind == "none" and not isinstance(owner, Mapping):
            raise Panic(f"invalid argument for len (type {type_name(owner)})")
        else:
            raise Panic(f"cannot slice {0 if first.kind == 'none' else self.value(first)}")
        size = len(data)
        start, end = (
            default if part.kind == "none" else as_int(self.value(part)) for part, default in ((first, 0), (last, size))
        )
        start = max(start + size, 0) if start < 0 else start
        end = min(max(end + size, 0) if end < 0 else end, size)
        part = data[min(start, end) : end]
        return decoded(part) if isinstance(owner, str) else like(owner, part)

    def call(self, node: Node) -> Any:
        arguments = [self.value(part) for part in node.parts[1:]]
        function = self.value(node.parts[0])
        if function is None:
            raise Panic("invalid operation: cannot call nil")
        if not callable(function):
            raise Panic(f"invalid operation: cannot call non-function of type {type_name(function)}")
        made = function(*arguments)
        if isinstance(made, list):
            self.spend(len(made))
        return made

    def builtin(self, node: Node) -> Any:
        predicate = PREDICATES.get(node.value)
        if predicate:
            return self._predicate(node, predicate)
        made = BUILTINS[node.value](*[self.value(part) for part in node.parts])
        if isinstance(made, list):
            self.spend(len(made))
        return made

    def _predicate(self, node: Node, apply: Callable[..., Any]) -> Any:
        items = self.value(node.parts[0])
        if not isinstance(items, list):
            if kind(items) in ("map", "string"):
                self.spend(0)
                size = len(encoded(items)) if isinstance(items, str) else len(items)
                if isinstance(items, str):
                    items = Slice([Int(byte, "uint8") for byte in encoded(items)], "uint8")
                elif size:
                    raise Panic("reflect: call of reflect.Value.Index on map Value")
                else:
                    items = []
            else:
                word = "zero" if items is None else kind(items)
                raise Panic(f"reflect: call of reflect.Value.Len on {word} Value")
        scope: dict[str, Any] = {"": None, "index": 0, "acc": None}

        def one(item: Any, index: int, gathered: Any = None) -> Any:
            scope.update({"": item, "index": index, "acc": gathered})
            self.items.append(scope)
            try:
                return self.value(node.parts[1].parts[0])
            finally:
                self.items.pop()

        more = [self.value(part) for part in node.parts[2:]]
        made = apply(items, one if len(node.parts) > 1 else None, *more)
        if isinstance(made, (list, Map)):
            self.spend(len(made))
        return made

    def pointer(self, node: Node) -> Any:
        return self.items[-1][node.value]

    def let(self, node: Node) -> Any:
        self.locals[node.value] = self.value(node.parts[0])
        try:
            return self.value(node.parts[1])
        finally:
            del self.locals[node.value]

    def sequence(self, node: Node) -> Any:
        return [self.value(part) for part in node.parts][-1]

    def condition(self, node: Node) -> Any:
        return self.value(node.parts[1 if _truth(self.value(node.parts[0])) else 2])

    def array(self, node: Node) -> Any:
        self.spend(len(node.parts))
        return [self.value(part) for part in node.parts]

    def map(self, node: Node) -> Any:
        made = {}
        for key, value in zip(node.parts[::2], node.parts[1::2], strict=True):
            name = self.value(key)
            made[_string(name)] = self.value(value)
        return made


_VALUES: dict[str, Callable[[Evaluator, Node], Any]] = {
    "constant": lambda self, node: node.value, "name": Evaluator.name, "unary": Evaluator.unary,
    "binary": Evaluator.binary, "chain": Evaluator.chain, "member": Evaluator.member, "slice": Evaluator.slice,
    "call": Evaluator.call, "builtin": Evaluator.builtin, "pointer": Evaluator.pointer, "let": Evaluator.let,
    "sequence": Evaluator.sequence, "if": Evaluator.condition, "array": Evaluator.array, "map": Evaluator.map,
}  # fmt: skip


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Panic(f"interface conversion: interface {{}} is {type_name(value).replace('<nil>', 'nil')}, not bool")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise Panic(f"interface conversion: interface {{}} is {type_name(value).replace('<nil>', 'nil')}, not string")
    return value


def fetch(owner: Any, key: Any) -> Any:
    """A member of a map, an item of a list, a byte of a text, or a method."""
    if owner is None:
        raise Panic(f"cannot fetch {text(key)} from <nil>")
    method = times.method(owner, key)
    if method:
        return method
    if isinstance(owner, (list, str)):
        data = encoded(owner) if isinstance(owner, str) else owner
        index = as_int(key)
        index = index + len(data) if index < 0 else index
        if not 0 <= index < len(data):
            raise Panic(f"index out of range: {index} (array length is {len(data)})")
        return Int(data[index], "uint8") if isinstance(owner, str) else data[index]
    if isinstance(owner, Mapping):
        return _of_map(owner, key)
    raise Panic(f"cannot fetch {text(key)} from {type_name(owner)}")


def _of_map(owner: Mapping[Any, Any], key: Any) -> Any:
    go_type = str(getattr(owner, "go_type", ""))
    if key is None and not go_type.startswith("map[interface"):
        key = ""
    if not isinstance(key, str) and not go_type.startswith("map[interface"):
        raise Panic(f"reflect.Value.MapIndex: value of type {type_name(key)} is not assignable to type string")
    if key in owner:
        return owner[key]
    return zero(go_type.partition("]")[2]) if go_type else None
