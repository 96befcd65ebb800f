"""kubectl's JSONPath templates, as `valueFrom.jsonPath` of a resource template uses them.

`{.status.ready}`, `{.items[*].metadata.name}`, `{.a['b.c']}`, `[0]`, `[-1:]`, `{..name}`,
`[?(@.type=="Ready")].status`, `{range .items[*]}{.name}{"\\n"}{end}` and literal text between the braces. A missing
value is empty. Several values are joined by a space, strings are printed as they are, everything else as JSON, as in
kubectl.
"""

from __future__ import annotations

import json
import re
from typing import Any

_STEP = re.compile(
    r"\.\.(?P<deep>[\w-]+)|\.(?P<name>[\w$/:-]+(?:\\.[\w$/:-]+)*)|\.(?P<star>\*)"
    r"|\[(?P<quote>['\"])(?P<key>.*?)(?P=quote)\]|\[(?P<all>\*)\]"
    r"|\[\?\((?P<filter>.*?)\)\]|\[(?P<slice>-?\d*(?::-?\d*){1,2})\]|\[(?P<index>-?\d+(?:,-?\d+)*)\]"
)
_FILTER = re.compile(r"\s*@(?P<left>[^\s=!<>]*)\s*(?:(?P<sign>==|!=|<=|>=|<|>)\s*(?P<right>.+?))?\s*$")
_BLOCK = re.compile(r"\{((?:\"(?:\\.|[^\"])*\"|'(?:\\.|[^'])*'|[^{}])*)\}")


class JsonPathError(Exception):
    """The template does not parse; the message is kubectl's."""


def evaluate(obj: Any, template: str) -> str:
    """The template's text for the object. JsonPathError if it does not parse."""
    parts: list[tuple[bool, str]] = []  # (whether it is an expression, text)
    at = 0
    for block in _BLOCK.finditer(template):
        parts += [(False, template[at : block.start()]), (True, block[1].strip())]
        at = block.end()
    parts.append((False, template[at:]))
    text, rest = _print(obj, parts)
    if rest:
        raise JsonPathError(f"error parsing jsonpath {template}, not in range, nothing to end")
    return text


def _print(obj: Any, parts: list[tuple[bool, str]]) -> tuple[str, list[tuple[bool, str]]]:
    """The parts up to an unmatched `end`, and what follows it."""
    out = ""
    while parts:
        (expression, text), parts = parts[0], parts[1:]
        if not expression:
            out += text
        elif text == "end":
            return out, parts or [(False, "")]
        elif text.startswith("range "):
            inner, after = "", _after_end(parts)
            for item in find(obj, text[6:].strip()):
                inner += _print(item, parts)[0]
            out, parts = out + inner, after
        elif text[:1] in "\"'" and text[-1:] == text[:1]:
            out += json.loads('"' + text[1:-1].replace("\\'", "'") + '"')
        else:
            out += " ".join(_text(v) for v in find(obj, text))
    return out, []


def _after_end(parts: list[tuple[bool, str]]) -> list[tuple[bool, str]]:
    depth = 1
    for number, (expression, text) in enumerate(parts):
        depth += expression and text.startswith("range ")
        depth -= expression and text == "end"
        if depth == 0:
            return parts[number + 1 :]
    raise JsonPathError("error parsing jsonpath: unterminated range")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def find(obj: Any, path: str) -> list[Any]:
    """The values at a path such as `.a[0].b`."""
    path = path.removeprefix("$").removeprefix("@")
    if path and path[0] not in ".[":
        path = "." + path
    found, at = [obj], 0
    while at < len(path) and path[at:] != ".":
        step = _STEP.match(path, at)
        if not step:
            raise JsonPathError(f"error parsing jsonpath {{{path}}}: unexpected {path[at:]!r}")
        found = [value for here in found for value in _step(here, step)]
        at = step.end()
    return found


def _step(here: Any, step: re.Match[str]) -> list[Any]:
    name = step["name"].replace("\\.", ".") if step["name"] else step["key"]
    if name is not None:
        return [here[name]] if isinstance(here, dict) and name in here else []
    if step["deep"]:
        return _deep(here, step["deep"])
    if step["star"] or step["all"]:
        return list(here.values()) if isinstance(here, dict) else list(here) if isinstance(here, list) else []
    if not isinstance(here, list):
        return []
    if step["filter"] is not None:
        return [item for item in here if _holds(item, step["filter"])]
    if step["slice"]:
        return here[slice(*(int(n) if n else None for n in step["slice"].split(":")))]
    wanted = [int(n) for n in step["index"].split(",")]
    return [here[n] for n in wanted if -len(here) <= n < len(here)]


def _deep(here: Any, name: str) -> list[Any]:
    inner = list(here.values()) if isinstance(here, dict) else here if isinstance(here, list) else []
    own = [here[name]] if isinstance(here, dict) and name in here else []
    return own + [value for item in inner for value in _deep(item, name)]


def _holds(item: Any, text: str) -> bool:
    parsed = _FILTER.match(text)
    if not parsed:
        raise JsonPathError(f"error parsing jsonpath: filter {text!r} is not understood")
    left = find(item, parsed["left"])
    if not parsed["sign"]:
        return bool(left)
    right_text = parsed["right"]
    if right_text.startswith("@"):
        right = find(item, right_text)
    else:
        quoted = right_text[:1] in "'\""
        right = [right_text[1:-1] if quoted else json.loads(right_text)]
    if not left or not right:
        return False
    a, b = left[0], right[0]
    sign = parsed["sign"]
    if sign in ("==", "!="):
        return (a == b) is (sign == "==")
    try:
        return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[sign]
    except TypeError:
        return False
