"""The JSONPath of Argo's `jsonpath(document, path)`: `$.a.b[0]`, `[*]`, `..name`, `[1:3]`, `[0,1]`, `['k']`,
`[?(@.x > 1)]` and `[(@.length-1)]`.

Mechanism. A path is split into steps; each step applies to a value and passes its result to the next one. A step that
selects several values returns the list of the results of the following steps, without empty ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kubeproc.argo.language import jsonpath_filters as filters
from kubeproc.argo.language import marshal
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.quoting import encoded
from kubeproc.argo.language.values import Int, kind

Step = Callable[[Any, Any, "Steps"], Any]
_KINDS = {"list": "[array map slice]", "map": "[map]", "index": "[array slice]", "length": "[array map slice string]"}


class Steps:
    """The remaining steps."""

    def __init__(self, steps: list[tuple[str, Step]]) -> None:
        self.steps = steps

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def by_index(self) -> bool:
        return bool(self.steps) and self.steps[0][0] == "index"

    def apply(self, root: Any, value: Any) -> Any:
        return self.steps[0][1](root, value, Steps(self.steps[1:])) if self.steps else value

    def each(self, root: Any, values: list[Any]) -> list[Any]:
        """The results of the remaining steps for each of the values."""
        found = []
        for value in values:
            try:
                made = self.apply(root, value)
            except Panic:
                continue
            if made is not None or not self:
                found.append(made)
        return found


def _target(name: str, value: Any, expected: str) -> Panic:
    got = "nil" if value is None else kind(value)
    return Panic(f"{name}: invalid token target. expected {_KINDS[expected]} got [{got}]")


def _members(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value, key=encoded)]
    return value if isinstance(value, list) else None


def _key(name: str) -> Step:
    def step(root: Any, value: Any, rest: Steps) -> Any:
        if not isinstance(value, dict):
            raise _target("key", value, "map")
        if name not in value:
            raise Panic(f"key: invalid token key '{name}' not found")
        return rest.apply(root, value[name])

    return step


def _index(number: int) -> Step:
    def step(root: Any, value: Any, rest: Steps) -> Any:
        if not isinstance(value, list):
            raise _target("index", value, "index")
        if not -len(value) <= number < len(value):
            raise Panic("index: invalid token out of range")
        return rest.apply(root, value[number])

    return step


def _length(root: Any, value: Any, rest: Steps) -> Any:
    if isinstance(value, dict) and "length" in value:
        return rest.apply(root, value["length"])
    if not isinstance(value, (dict, list, str)):
        raise _target("length", value, "length")
    size = len(encoded(value)) if isinstance(value, str) else len(value)
    return rest.apply(root, Int(size, "int64"))


def _wildcard(root: Any, value: Any, rest: Steps) -> Any:
    members = _members(value)
    if members is None:
        raise _target("wildcard", value, "list")
    return rest.each(root, members)


def _recursive(root: Any, value: Any, rest: Steps) -> Any:
    found: list[Any] = []
    if value is None:
        return found
    if rest:
        try:
            made = rest.apply(root, value)
        except Panic:
            made = None
        found += made if isinstance(made, list) else [] if made is None else [made]
    else:
        found.append(value)
    for member in _members(value) or ():
        found += _recursive(root, member, rest)
    return found


def _find(path: str, root: Any, value: Any) -> Any:
    """The value of a path within a filter or a script."""
    return Steps([_step(word) for word in cut(path)]).apply(root, value)


def _filter(source: str) -> Step:
    program = filters.compile_script(source)

    def step(root: Any, value: Any, rest: Steps) -> Any:
        members = _members(value)
        if not source:
            raise Panic("invalid expression. is empty")
        if members is None:
            raise _target("filter", value, "list")
        kept = [member for member in members if filters.includes(program, root, member, _find)]
        if not rest:
            return kept
        if rest.by_index:
            return rest.apply(value, kept)
        return rest.each(root, kept)

    return step


def _script(source: str) -> Step:
    program = filters.compile_script(source)

    def step(root: Any, value: Any, rest: Steps) -> Any:
        made = filters.run(program, root, value, _find)
        if made is None:
            raise Panic("unexpected expression result. expected [int string] got [nil]")
        if isinstance(made, str):
            return _key(made)(root, value, rest)
        return _index(_integer(made, "unexpected expression result. expected [int string]"))(root, value, rest)

    return step


def _integer(value: Any, words: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise Panic(f"{words} got [{kind(value)}]")
    return int(value)


def _argument(part: Any, root: Any, value: Any) -> Any:
    """A literal number or text, or the result of a script."""
    return filters.run(part[1], root, value, _find) if isinstance(part, tuple) else part


def _range(parts: list[Any]) -> Step:
    def step(root: Any, value: Any, rest: Steps) -> Any:
        if not isinstance(value, list):
            raise _target("range", value, "index")
        start, end, by = (
            None
            if part is None
            else _integer(_argument(part, root, value), "range: invalid token argument. expected [int]")
            for part in (*parts, None)[:3]
        )
        if by == 0:
            raise Panic("range: invalid token out of range")
        size = len(value)
        first = 0 if start is None else min(max(start + size if start < 0 else start, 0), size)
        last = size if end is None else min(max(end + size if end < 0 else end, 0), size)
        order = range(last - 1, first - 1, by or 1) if (by or 1) < 0 else range(first, last, by or 1)
        chosen = [value[i] for i in order]
        return rest.apply(root, chosen) if rest.by_index else rest.each(root, chosen)

    return step


def _union(parts: list[Any]) -> Step:
    def step(root: Any, value: Any, rest: Steps) -> Any:
        wanted = [_argument(part, root, value) for part in parts]
        if all(isinstance(part, str) for part in wanted):
            if not isinstance(value, dict):
                raise _target("union", value, "map")
            chosen = [value[key] for key in wanted if key in value]
        elif any(isinstance(part, str) for part in wanted):
            raise Panic("union: invalid token argument. expected [int] got [string]")
        else:
            if not isinstance(value, list):
                raise _target("union", value, "index")
            places = [_integer(part, "union: invalid token argument. expected [int string]") for part in wanted]
            chosen = [value[i] for i in places if -len(value) <= i < len(value)]
        return rest.apply(root, chosen) if rest.by_index else rest.each(root, chosen)

    return step


# -- parsing ------------------------------------------------------------------------------------------------------------


def cut(path: str) -> list[str]:
    """The steps of a path, as they are written."""
    if not path or path[0] not in "$@":
        raise Panic(f"unexpected token '{path[:1]}' at index 0")
    if len(path) > 1 and path[1] not in ".[":
        raise Panic(f"unexpected token '{path[1]}' at index 1")
    found, at = [path[0]], 1
    while at < len(path):
        if path.startswith("..", at):
            found.append("..")
            at += 2
            if at < len(path) and path[at] not in ".[":
                end = _name_end(path, at)
                found.append(path[at:end])
                at = end
        elif path[at] == "[":
            end = _bracket_end(path, at)
            found.append(path[at:end])
            at = end
        else:
            at += path[at] == "."
            if path[at : at + 1] == "[":
                continue
            end = _name_end(path, at)
            found.append(path[at:end])
            at = end
    return found


def _name_end(path: str, at: int) -> int:
    while at < len(path) and path[at] not in ".[":
        at += 1
    return at


def _bracket_end(path: str, at: int) -> int:
    """The place after the bracket that closes this one; brackets in quotes and scripts don't count."""
    depth = opened = 0
    quoted = False
    for i in range(at, len(path)):
        char = path[i]
        quoted ^= char == "'"
        depth += {"[": 1, "]": -1}.get(char, 0)
        opened += {"(": 1, ")": -1}.get(char, 0)
        if char == "]" and depth == 0 and opened == 0 and not quoted:
            return i + 1
    return len(path)


def _step(text: str) -> tuple[str, Step]:
    text = text.strip()
    if not text:
        raise Panic("invalid token. token string is empty")
    if text == "$":
        return "root", lambda root, value, rest: rest.apply(root, root)
    if text == "@":
        return "current", lambda root, value, rest: rest.apply(root, value)
    if text == "*":
        return "wildcard", _wildcard
    if text == "..":
        return "recursive", _recursive
    if not text.startswith("["):
        return ("length", _length) if text == "length" else ("key", _key(text))
    inside = text[1:-1].strip() if text.endswith("]") else ""
    if not inside:
        raise _no_format(text)
    if inside == "*":
        return "wildcard", _wildcard
    if inside.startswith("?"):
        if not inside.startswith("?(") or not inside.endswith(")"):
            raise _no_format(text)
        return "filter", _filter(inside[2:-1].strip())
    return _subscript(text, inside)


def _no_format(text: str) -> Panic:
    return Panic(f"invalid token. '{text}' does not match any token format")


_PART = re.compile(r"""\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|(-?[0-9]+)(?=\s*(?:[:,]|$))|(?=\()|)\s*""")


def _subscript(text: str, inside: str) -> tuple[str, Step]:
    parts: list[Any] = []
    signs = ""
    at = 0
    while True:
        match = _PART.match(inside, at)
        assert match
        at = match.end()
        if match[1] is not None or match[2] is not None:
            parts.append(re.sub(r"\\(['\"])", r"\1", match[1] if match[1] is not None else match[2]))
        elif match[3] is not None:
            parts.append(int(match[3]))
        elif inside[at : at + 1] == "(":
            end = _script_end(inside, at)
            parts.append(("script", filters.compile_script(inside[at + 1 : end - 1]), inside[at + 1 : end - 1]))
            at = end + len(inside[end:]) - len(inside[end:].lstrip())
        else:
            parts.append(None)
        if at >= len(inside):
            break
        if inside[at] not in ":,":
            raise _no_format(text)
        signs += inside[at]
        at += 1
    if not signs and parts[0] is not None:
        return _single(parts[0])
    if set(signs) == {","} and None not in parts:
        return "union", _union([part[:2] if isinstance(part, tuple) else part for part in parts])
    if set(signs) == {":"} and len(signs) <= 2 and not any(isinstance(part, str) for part in parts):
        return "range", _range([part[:2] if isinstance(part, tuple) else part for part in parts])
    raise _no_format(text)


def _single(part: Any) -> tuple[str, Step]:
    if isinstance(part, str):
        return "key", _key(part)
    return ("script", _script(part[2])) if isinstance(part, tuple) else ("index", _index(part))


def _script_end(text: str, at: int) -> int:
    depth = 0
    for i in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    raise _no_format(f"[{text}]")


@lru_cache(maxsize=256)
def compiled(path: str) -> Steps:
    try:
        return Steps([_step(text) for text in cut(path)])
    except Panic as error:
        raise Panic(f"invalid JSONPath selector '{path}' {error}") from None


def query(document: str, path: str) -> Any:
    """The result of a path on a JSON text."""
    value = marshal.unmarshal(document)
    return compiled(path).apply(value, value)
