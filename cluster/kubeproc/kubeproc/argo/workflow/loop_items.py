"""The items of a loop, as JSON texts: Argo never reads their numbers, so that `1e-05` and `1.0` stay what they are.

A text goes into a node's name and into `{{item}}` as it stands in the JSON, without blanks and, where it is a string,
without its quotes: an escape in it stays an escape.
"""

from __future__ import annotations

import json
from typing import Any

from kubeproc.argo.language import go_text, marshal
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.quoting import encoded

_READER: Any = json.JSONDecoder()
_BLANKS = " \t\r\n"


class NotJSON(Exception):
    """The text is not JSON; the message is Go's."""


def of(value: Any) -> str:
    """The item that a value of a stored object is."""
    return go_text.encode(value)


def checked(source: str) -> str:
    """The text of one item, without blanks around it; NotJSON if it is not valid."""
    try:
        marshal.unmarshal(source)
    except Panic as error:
        if not str(error).startswith("json:"):  # a number too large for a float is an item all the same
            raise NotJSON(str(error)) from None
    return source.strip(_BLANKS)


def _skip(source: str, at: int) -> int:
    while source[at] in _BLANKS:
        at += 1
    return at


def _value(source: str, at: int) -> tuple[str, int]:
    """The text of the value at a place, and where what follows it begins."""
    start = _skip(source, at)
    end = _READER.scan_once(source, start)[1]
    return source[start:end], end


def members(source: str) -> list[str]:
    """The items of a JSON list."""
    found: list[str] = []
    at = _skip(source, 1)
    while source[at] != "]":
        text, at = _value(source, at + (source[at] == ","))
        found.append(text)
        at = _skip(source, at)
    return found


def fields(source: str) -> dict[str, str]:
    """The items of a JSON map, by their keys in order."""
    found: dict[str, str] = {}
    at = _skip(source, 1)
    while source[at] != "}":
        key, at = _value(source, at + (source[at] == ","))
        text, at = _value(source, _skip(source, at) + 1)
        found[json.loads(key)] = text
        at = _skip(source, at)
    return {key: found[key] for key in sorted(found, key=lambda k: encoded(k))}


def compact(source: str) -> str:
    """A JSON text without blanks, and with Go's escapes."""
    return go_text.escaped(_squeezed(source) if source[:1] in "[{" or '"' in source else source)


def _squeezed(source: str) -> str:
    kept: list[str] = []
    text = escaped = False
    for char in source:
        if text:
            kept.append(char)
            text = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char not in _BLANKS:
            kept.append(char)
            text = char == '"'
    return "".join(kept)


def shown(source: str) -> str:
    """An item as it stands in a name or a text."""
    text = compact(source)
    if text[:1] == '"':
        text = text[1:-1]
    for char in "<>&":
        text = text.replace(go_text.ESCAPES[char], char)
    return text


def label(source: str) -> str:
    """An item in a node's name: `k:v,k2:v2` of a map, `[a b]` of a list; without parentheses, which name the index."""
    if source[:1] == "{":
        text = ",".join(sorted((f"{key}:{shown(value)}" for key, value in fields(source).items()), key=encoded))
    elif source[:1] == "[":
        text = "[" + " ".join(shown(member) for member in members(source)) + "]"
    elif source == "null":
        text = "[]"
    else:
        text = shown(source)
    return text.replace("(", "").replace(")", "")


def variables(source: str) -> dict[str, str]:
    """What `{{item}}` and `{{item.KEY}}` are for an item."""
    if source[:1] == "{":
        found = fields(source)
        whole = "{" + ",".join(f"{marshal.string(key)}:{compact(value)}" for key, value in found.items()) + "}"
        return {f"item.{key}": shown(value) for key, value in found.items()} | {"item": whole}
    if source[:1] == "[":
        return {"item": compact(source)}
    return {"item": shown(source)}
