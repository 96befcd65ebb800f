"""Rules written as a table: `VERBS | GROUPS | RESOURCES` or `VERBS @ URLS`, the core group as `core`."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
SHORT = {
    "ALL": "create,delete,deletecollection,get,list,patch,update,watch",
    "READ": "get,list,watch",
    "WRITE": "create,delete,deletecollection,patch,update",
}


def rules(text: str) -> list[Object]:
    return [rule(line) for line in text.splitlines() if line.strip()]


def rule(line: str) -> Object:
    verbs, at, urls = line.partition("@")
    if at:
        return {"nonResourceURLs": urls.split(), "verbs": verbs.strip().split(",")}
    verbs, groups, resources = (part.strip() for part in line.split("|"))
    return {
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
        "verbs": SHORT.get(verbs, verbs).split(","),
    }
