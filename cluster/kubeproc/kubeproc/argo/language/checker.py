"""The check of an expression before it runs: unknown names and mismatched types.

Go's compiler of expressions does this, so an error counts even in a branch that is not taken. Types are known for
literals, for results of operators and functions, and for top-level variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubeproc.argo.language import natures, patterns
from kubeproc.argo.language.builtins import BUILTINS
from kubeproc.argo.language.expression_errors import Located, Misfit, Panic
from kubeproc.argo.language.natures import (
    BOOL,
    DURATION,
    FLOAT,
    INT,
    LIST,
    MAP,
    STRING,
    TIME,
    UNKNOWN,
    Nature,
    list_of,
    misfit,
    named,
)  # fmt: skip
from kubeproc.argo.language.parser import PREDICATES, Node
from kubeproc.argo.language.times import NUMBER_METHODS, TIME_METHODS
from kubeproc.argo.language.values import Function

_NUMBER, _STRING, _TIME, _DURATION, _INTEGER, _BOOL = "number", "string", "time", "duration", "integer", "bool"
_CHECKS: dict[str, Callable[[Nature], bool]] = {
    _NUMBER: lambda n: n.is_number, _STRING: lambda n: n.kind == "string", _TIME: lambda n: n == TIME,
    _DURATION: lambda n: n.name == DURATION.name, _INTEGER: lambda n: n.is_integer, _BOOL: lambda n: n.kind == "bool",
}  # fmt: skip


class Checker:
    """Checks one expression over the available names."""

    def __init__(self, source: str, names: Mapping[str, Any]) -> None:
        self.source, self.names = source, names
        self.locals: list[tuple[str, Nature]] = []
        self.collections: list[tuple[Nature, dict[str, Nature]]] = []

    def wrong(self, node: Node, message: str) -> Located:
        return Located(message, self.source, node.at)

    def visit(self, node: Node) -> Nature:
        return _VISITS[node.kind](self, node)

    def name(self, node: Node) -> Nature:
        for name, nature in reversed(self.locals):
            if name == node.value:
                return nature
        if node.value == "$env":
            return UNKNOWN
        if node.value in self.names:
            return natures.of(self.names[node.value])
        if node.value in BUILTINS:
            return Nature("func()", "func")
        raise self.wrong(node, f"unknown name {node.value}")

    def unary(self, node: Node) -> Nature:
        found = self.visit(node.parts[0])
        if node.value in ("!", "not") and (found.kind == "bool" or found.unknown):
            return BOOL
        if node.value in ("+", "-") and (found.is_number or found.unknown):
            return found
        raise self.wrong(node, f"invalid operation: {node.value} (mismatched type {_shown(found)})")

    def binary(self, node: Node) -> Nature:
        left, right = self.visit(node.parts[0]), self.visit(node.parts[1])
        word = node.value
        if word in ("==", "!="):
            if left.comparable_to(right):
                return BOOL
        elif word == "??":
            return right if left.is_nil else left if right.is_nil or right.assignable_to(left) else UNKNOWN
        elif word == "in":
            if self._in(node, left, right):
                return BOOL
        else:
            if word == "matches" and node.parts[1].kind == "constant" and isinstance(node.parts[1].value, str):
                try:
                    patterns.compiled(node.parts[1].value)
                except Panic as error:
                    raise self.wrong(node, str(error)) from None
            if (
                word == "%"
                and all(p.kind == "constant" and type(p.value) is int for p in node.parts)
                and not node.parts[1].value
            ):
                raise self.wrong(node, "integer divide by zero")
            found = _result(word, left, right)
            if found is not None:
                return found
        raise self.wrong(node, f"invalid operation: {word} (mismatched types {_shown(left)} and {_shown(right)})")

    def _in(self, node: Node, left: Nature, right: Nature) -> bool:
        if right.kind == "struct" and (left.kind == "string" or left.unknown):
            return True
        if right.kind == "map":
            key = named(right.name[4:].partition("]")[0])
            if not left.unknown and not left.assignable_to(key):
                raise self.wrong(node, f"cannot use {left} as type {key} in map key")
            return True
        if right.is_list:
            if not left.comparable_to(right.members):
                raise self.wrong(node, f"cannot use {left} as type {right.members} in array")
            return True
        return right.unknown or (left.unknown and right.kind == "string")

    def member(self, node: Node) -> Nature:
        base, key = node.parts
        if base.kind == "name" and base.value == "$env" and key.kind == "constant":
            if key.value in self.names:
                return natures.of(self.names[key.value])
            if not node.optional and isinstance(key.value, str):
                raise self.wrong(node, f"unknown name {key.value}")
            return UNKNOWN
        owner, index = self.visit(base), self.visit(key)
        if owner.unknown:
            return UNKNOWN
        name = key.value if key.kind == "constant" and isinstance(key.value, str) else None
        if name is not None:
            if owner.is_nil:
                raise self.wrong(node, f"type nil has no field {name}")
            method = _method(owner, name)
            if method:
                return method
        if owner.kind == "map":
            wanted = named(owner.name[4:].partition("]")[0])
            if not index.assignable_to(wanted) and not index.unknown:
                raise self.wrong(key, f"cannot use {index} to get an element from {owner}")
            return owner.members
        if owner.is_list:
            if not index.is_integer and not index.unknown:
                raise self.wrong(key, f"array elements can only be selected using an integer (got {index})")
            return owner.members
        if name is not None:
            raise self.wrong(node, f"type {owner} has no {'method' if node.value == 'method' else 'field'} {name}")
        raise self.wrong(node, f"type {owner}[{index}] is undefined")

    def slice(self, node: Node) -> Nature:
        owner = self.visit(node.parts[0])
        if owner.unknown:
            return UNKNOWN
        if owner.kind != "string" and not owner.is_list:
            raise self.wrong(node, f"cannot slice {owner}")
        for part in node.parts[1:]:
            found = INT if part.kind == "none" else self.visit(part)
            if not found.is_integer and not found.unknown:
                raise self.wrong(part, f"non-integer slice index {found}")
        return owner

    def call(self, node: Node) -> Nature:
        callee, arguments = node.parts[0], node.parts[1:]
        found = self.visit(callee)
        if found.unknown:
            return UNKNOWN  # its arguments are not checked, either
        name = callee.value if callee.kind == "name" else "function"
        if callee.kind == "member" and callee.parts[1].kind == "constant":
            name = str(callee.parts[1].value)
        if callee.kind == "name" and found.function is None and name in BUILTINS:
            return self._checked(name, node, arguments)
        if found.is_nil:
            raise self.wrong(node, f"{name} is nil; cannot call nil as function")
        if found.function is None:
            raise self.wrong(node, f"{found} is not callable")
        if found.function.result == "many":
            raise self.wrong(node, f"func {name} returns more then two values")
        given = [self.visit(argument) for argument in arguments]
        self._arguments(name, found.function, node, arguments, given)
        return named(found.function.result)

    def _arguments(self, name: str, function: Function, node: Node, arguments: list[Node], given: list[Nature]) -> None:
        if len(given) < len(function.parameters):
            raise self.wrong(node, f"not enough arguments to call {name}")
        if len(given) > len(function.parameters) and not function.variadic:
            raise self.wrong(node, f"too many arguments to call {name}")
        for index, (argument, nature) in enumerate(zip(arguments, given, strict=True)):
            why = misfit(nature, function.expected(index), name)
            if why:
                raise self.wrong(argument, why)

    def builtin(self, node: Node) -> Nature:
        if node.value in PREDICATES:
            return self._predicate(node)
        return self._checked(node.value, node, node.parts)

    def _checked(self, name: str, node: Node, arguments: list[Node]) -> Nature:
        given = [self.visit(argument) for argument in arguments]
        if name == "get" and len(arguments) == 2 and arguments[0].kind == "name" and arguments[0].value == "$env":
            return UNKNOWN
        try:
            return BUILTINS[name].check(given)
        except Misfit as error:
            raise self.wrong(arguments[error.index], str(error)) from None
        except Panic as error:
            raise self.wrong(node, str(error)) from None

    def _predicate(self, node: Node) -> Nature:
        name, collection = node.value, self.visit(node.parts[0])
        if not collection.is_list and not collection.unknown:
            raise self.wrong(node.parts[0], f"builtin {name} takes only array (got {_shown(collection)})")
        if len(node.parts) == 1:
            return INT if name == "count" else UNKNOWN if collection.unknown else collection.members
        extra = {"index": INT} if name in ("map", "reduce") else {}
        self.collections.append((collection, extra | ({"acc": UNKNOWN} if name == "reduce" else {})))
        made = self.visit(node.parts[1].parts[0])
        self.collections.pop()
        for more in node.parts[2:]:
            self.visit(more)
        if name in _CONDITIONS:
            if made.is_nil:
                raise self.wrong(node.parts[1], "predicate should has one input and one output param")
            if made.kind != "bool" and not made.unknown:
                raise self.wrong(node.parts[1], f"predicate should return boolean (got {made})")
        elif made.is_nil and name != "sum":
            raise self.wrong(node.parts[1], "predicate should has one input and one output param")
        if name in ("all", "none", "any", "one"):
            return BOOL
        if name in ("count", "findIndex", "findLastIndex"):
            return INT
        if name in ("find", "findLast"):
            return UNKNOWN if collection.unknown else collection.members
        if name == "filter":
            return LIST if collection.unknown else list_of(collection.members)
        if name == "map":
            return list_of(made)
        if name == "groupBy":
            return Nature("map[interface {}][]interface {}", "map", list_of(collection.members))
        return collection if name == "sortBy" else made

    def pointer(self, node: Node) -> Nature:
        if not self.collections:
            raise self.wrong(node, "cannot use pointer accessor outside predicate")
        collection, extra = self.collections[-1]
        if not node.value:
            return UNKNOWN if collection.unknown else collection.members
        if node.value in extra:
            return extra[node.value]
        raise self.wrong(node, f"unknown pointer #{node.value}")

    def let(self, node: Node) -> Nature:
        if node.value in self.names:
            raise self.wrong(node, f"cannot redeclare {node.value}")
        if node.value in BUILTINS:
            raise self.wrong(node, f"cannot redeclare builtin {node.value}")
        if any(node.value == name for name, _ in self.locals):
            raise self.wrong(node, f"cannot redeclare variable {node.value}")
        self.locals.append((node.value, self.visit(node.parts[0])))
        found = self.visit(node.parts[1])
        self.locals.pop()
        return found

    def sequence(self, node: Node) -> Nature:
        return [self.visit(part) for part in node.parts][-1]

    def condition(self, node: Node) -> Nature:
        found = self.visit(node.parts[0])
        if found.kind != "bool" and not found.unknown:
            raise self.wrong(node.parts[0], f"non-bool expression (type {found}) used as condition")
        yes, no = self.visit(node.parts[1]), self.visit(node.parts[2])
        if yes.is_nil or no.is_nil:
            return no if yes.is_nil else yes
        if yes.assignable_to(no):
            same = not yes.is_list or (yes.members.assignable_to(no.members) and no.members.assignable_to(yes.members))
            return yes if same else LIST
        return UNKNOWN

    def array(self, node: Node) -> Nature:
        found = [self.visit(part) for part in node.parts]
        if not found:
            return list_of(UNKNOWN)
        return list_of(found[-1]) if len({n.kind for n in found}) == 1 else LIST

    def map(self, node: Node) -> Nature:
        for part in node.parts:
            self.visit(part)
        return MAP


def _shown(nature: Nature) -> str:
    """A type as an operator's message prints it, which does not mention nil."""
    return "unknown" if nature.is_nil else str(nature)


_CONDITIONS = ("all", "none", "any", "one", "filter", "count", "find", "findIndex", "findLast", "findLastIndex")
_VISITS: dict[str, Callable[[Checker, Node], Nature]] = {
    "constant": lambda self, node: natures.of(node.value), "name": Checker.name, "unary": Checker.unary,
    "binary": Checker.binary, "chain": lambda self, node: self.visit(node.parts[0]), "member": Checker.member,
    "slice": Checker.slice, "call": Checker.call, "builtin": Checker.builtin, "pointer": Checker.pointer,
    "let": Checker.let, "sequence": Checker.sequence, "if": Checker.condition, "array": Checker.array, "map": Checker.map,
}  # fmt: skip


def _maybe(left: Nature, right: Nature, *checks: str) -> bool:
    """Whether an unknown type may match the other one."""
    if left.unknown and right.unknown:
        return True
    other = right if left.unknown else left if right.unknown else None
    return other is not None and any(_CHECKS[check](other) for check in checks)


def _promoted(left: Nature, right: Nature) -> Nature:
    return FLOAT if FLOAT in (left, right) else INT


def _result(word: str, left: Nature, right: Nature) -> Nature | None:
    """The result type of an operator on two types; None if they don't match."""
    both = [
        all(_CHECKS[check](n) for n in (left, right)) for check in (_NUMBER, _STRING, _TIME, _DURATION, _INTEGER, _BOOL)
    ]
    numbers, strings, times, durations, integers, bools = both
    time_and = _CHECKS[_TIME](left) and _CHECKS[_DURATION](right)
    and_time = _CHECKS[_DURATION](left) and _CHECKS[_TIME](right)
    if word in ("or", "||", "and", "&&"):
        return BOOL if bools or _maybe(left, right, _BOOL) else None
    if word in ("<", ">", "<=", ">="):
        fits = numbers or strings or times or durations or _maybe(left, right, _NUMBER, _STRING, _TIME, _DURATION)
        return BOOL if fits else None
    if word in ("/", "**", "^"):
        return FLOAT if numbers or _maybe(left, right, _NUMBER) else None
    if word == "%":
        return INT if integers or _maybe(left, right, _INTEGER) else None
    if word == "..":
        return list_of(INT) if integers or _maybe(left, right, _INTEGER) else None
    if word in ("matches", "contains", "startsWith", "endsWith"):
        return BOOL if strings or _maybe(left, right, _STRING) else None
    if numbers:
        return _promoted(left, right)
    if word == "+":
        if strings:
            return STRING
        if time_and or and_time:
            return TIME
        checks: tuple[str, ...] = (_NUMBER, _STRING, _TIME, _DURATION)
    elif word == "-":
        if times:
            return DURATION
        if time_and:
            return TIME
        checks = (_NUMBER, _TIME, _DURATION)
    else:
        mixed = [n for n in (left, right) if _CHECKS[_DURATION](n)]
        if mixed and all(_CHECKS[_NUMBER](n) or _CHECKS[_DURATION](n) for n in (left, right)):
            return DURATION
        checks = (_NUMBER, _DURATION)
    if durations and word in "+-":
        return DURATION
    return UNKNOWN if _maybe(left, right, *checks) else None


def _method(owner: Nature, name: str) -> Nature | None:
    methods = TIME_METHODS if owner.name == "time.Time" else NUMBER_METHODS.get(owner.name, {})
    if owner.name == "*time.Location" and name == "String":
        methods = {"String": ("", "string", None)}
    if name not in methods:
        return None
    parameters, result, call = methods[name]
    return Nature("func()", "func", function=Function(name, parameters, call, result))


def check(node: Node, source: str, names: Mapping[str, Any]) -> Nature:
    """The type of the expression as far as it is known; Located if it has an error."""
    return Checker(source, names).visit(node)
