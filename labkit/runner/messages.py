"""What a kernel sends, in the shape that a notebook's file can hold.

A cell can publish anything: a number under `text/plain`, a traceback that is no list, an error without a name. JupyterLab
shows what it can of that. Here each message is put into shape before nbclient looks at it.
"""

from __future__ import annotations

import json
import re
from typing import Any

OUTPUTS = ("stream", "display_data", "update_display_data", "execute_result", "error")
JSON = re.compile(r"application/(.+\+)?json")  # the media types whose data may be any JSON
NAME, VALUE = "Error", ""


def shaped(kind: str, content: Any) -> dict[str, Any]:
    """The content of a message of this kind, as nbformat's schema asks for it."""
    content = dict(content) if isinstance(content, dict) else {}
    if kind == "stream":
        return content | {"name": _stream(content.get("name")), "text": text(content.get("text", ""))}
    if kind == "error":
        return content | error(content)
    if kind in ("display_data", "update_display_data", "execute_result"):
        transient = content.get("transient")
        content |= {
            "data": bundle(content.get("data")),
            "metadata": _mapping(content.get("metadata")),
            "transient": {k: text(v) for k, v in _mapping(transient).items() if v is not None},
        }
        if kind == "execute_result" and not _is_count(content.get("execution_count")):
            content["execution_count"] = None
    return content


def error(content: dict[str, Any]) -> dict[str, Any]:
    """An exception's name, text and traceback."""
    trace = content.get("traceback")
    lines = trace if isinstance(trace, list) else [] if trace is None else [trace]
    return {
        "ename": text(content.get("ename") or NAME),
        "evalue": text(content.get("evalue") or VALUE),
        "traceback": [text(line) for line in lines],
    }


def bundle(data: Any) -> dict[str, Any]:
    """A MIME bundle: text for all media types but JSON's."""
    shaped = {}
    for kind, value in _mapping(data).items():
        if JSON.fullmatch(kind):
            shaped[kind] = value
        elif isinstance(value, list) and all(isinstance(line, str) for line in value):
            shaped[kind] = "".join(value)
        elif value is not None:
            shaped[kind] = text(value)
    return shaped


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0  # True is an int, too


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _stream(name: Any) -> str:
    return "stderr" if name == "stderr" else "stdout"
