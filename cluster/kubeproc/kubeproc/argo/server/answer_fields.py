"""The `fields` parameter of the Argo Server: which parts of a response the client wants, or, with a leading `-`, does
not want.

`items.metadata.name,items.status.phase` keeps these paths and everything below them; `-items.status.nodes` excludes
that path. Paths apply to each item of a list.
"""

from __future__ import annotations

from typing import Any


def clean(obj: Any, text: str, prefix: str = "") -> Any:
    """A copy of `obj` with the wanted parts; `prefix` is dropped from the paths of `text`."""
    if not text:
        return obj
    exclude = text.startswith("-")
    paths = {p.removeprefix(prefix) for p in text.removeprefix("-").split(",")}
    return _clean(obj, "", paths, exclude)


def _clean(obj: Any, at: str, paths: set[str], exclude: bool) -> Any:
    if isinstance(obj, list):
        return [_clean(item, at, paths, exclude) for item in obj]
    if not isinstance(obj, dict):
        return obj
    kept = {}
    for name, value in obj.items():
        path = f"{at}.{name}" if at else name
        named = path in paths
        above = named or any(p.startswith(path) for p in paths)
        if (exclude and not named) or (not exclude and above):
            kept[name] = value if named else _clean(value, path, paths, exclude)
    return kept
