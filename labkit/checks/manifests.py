"""Answers that are manifests: their text, what was changed in it, and the object that the cluster made of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import yaml

from labkit import client
from labkit.checks import health, value_kinds
from labkit.checks.verdict import CheckFailed, expect
from labkit.errors import LabError

Object = dict[str, Any]
EMPTY = "between triple quotes: apiVersion, kind, metadata, spec"


def create(manifest: object, kind: str, name: str | None = None, *, variable: str = "") -> Object:
    """Make the one object that a manifest (YAML text, or a dict) describes, in place of an earlier one of that name.

    Returns it as the cluster has it. The diagnosis says what is wrong with the text, or why the cluster refused it;
    `variable` is the name that the answer has in the notebook.
    """
    wanted = read(manifest, kind, variable)
    called = wanted["metadata"].get("name")
    expect(called, "the manifest gives no name", "add it below metadata, with two spaces before it: name: ...")
    expect(
        name in (None, called),
        f"the {kind.lower()} is named {called!r}, expected {name!r}",
        f"below metadata: name: {name}",
    )
    return submit(wanted, replace=True)


def read(manifest: object, kind: str, variable: str = "") -> Object:
    """The one object of that kind that a manifest describes; CheckFailed says what is wrong with the text."""
    empty = f"give {variable} a text {EMPTY}" if variable else f"write it {EMPTY}"
    expect(manifest is not None, "there is no manifest yet: it is None", empty)
    expect(isinstance(manifest, dict | str), f"the manifest is {value_kinds.kind(manifest)}, not YAML text", empty)
    expect(str(manifest).strip() and manifest, "the manifest is empty", empty)
    if isinstance(manifest, str):
        _has_fields(manifest, empty)
    try:
        found = client.documents(manifest + "\n" if isinstance(manifest, str) else manifest)  # type: ignore[operator, arg-type]
    except LabError as error:
        raise CheckFailed(
            error.message.replace("the text, document 1: no ", "the manifest has no "), error.hint
        ) from None
    expect(found, "the manifest is empty", empty)
    expect(
        len(found) == 1,
        f"there are {len(found)} objects in the manifest, expected one",
        "a line of three dashes begins another object: remove it, with what doesn't belong here",
    )
    wanted = found[0]
    for field in ("apiVersion", "kind", "metadata"):  # a dict is not looked into by `documents`
        expect(field in wanted, f"the manifest has no {field}", empty)
    expect(
        wanted["kind"] == kind,
        f"the manifest is of kind {wanted['kind']}, expected {kind}",
        f"its second line must be: kind: {kind}",
    )
    expect(
        isinstance(wanted["metadata"], dict),
        "the manifest's metadata is empty",
        "what belongs to it stands below it, with two spaces before it",
    )
    return wanted


def _has_fields(text: str, hint: str) -> None:
    """CheckFailed for a text that is YAML, but a word or a list in place of an object."""
    try:
        first = next((d for d in yaml.safe_load_all(text) if d is not None), None)
    except yaml.YAMLError:
        return  # whoever reads it says where
    said = f"the manifest is {value_kinds.kind(first)}, {str(first)[:60]!r}, and not an object with fields"
    expect(first is None or isinstance(first, dict), said, hint)


def submit(wanted: Object, replace: bool = False) -> Object:
    """Send the object to the cluster. CheckFailed where the API server refuses it, LabError where there is no cluster."""
    from urllib3.exceptions import HTTPError

    try:
        if replace:
            client.remove(wanted["kind"].lower(), wanted["metadata"]["name"])
        return client.apply(wanted)[0]
    except LabError as error:
        health.require()
        raise CheckFailed(
            error.message, "correct the field that the message names, and run the answer's cell"
        ) from None
    except (HTTPError, ConnectionError):
        health.require()
        raise


def pretend(manifest: object, field: str, value: str) -> Object:
    """The pod of a manifest as if `field` had another value: variables that take it by the downward API get `value` instead.
    This shows whether the program reads the variable at all."""
    made = copy.deepcopy(read(manifest, "Pod"))
    for container in made["spec"]["containers"]:
        for number, variable in enumerate(container.get("env") or []):
            source = (variable.get("valueFrom") or {}).get("fieldRef") or {}
            if source.get("fieldPath") == field:
                container["env"][number] = {"name": variable["name"], "value": value}
    return made


def changes(before: str | Object, after: object, kind: str = "Workflow", *, variable: str = "") -> set[str]:
    """The fields in which a manifest differs from another, as paths: `spec.templates.main.container.image`.

    Items of a list go by their name where all have one, so that their order is no difference.
    """
    one = yaml.safe_load(before) if isinstance(before, str) else before
    return set(_differences(one, read(after, kind, variable), ""))


def _differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, list) and isinstance(other, list):
        named = [_by_name(one), _by_name(other)]
        one, other = named if all(named) else [dict(enumerate(items)) for items in (one, other)]
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            below = f"{path}.{key}" if path else str(key)
            if key not in one or key not in other:
                yield below
            else:
                yield from _differences(one[key], other[key], below)
    elif one != other or type(one) is not type(other):
        yield path


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """The items by their names; None where one has none, or two have the same."""
    named = {item["name"]: item for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)}
    return named if named and len(named) == len(items) else None
