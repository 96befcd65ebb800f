"""The options of requests, in the query or, for deletions, in the body; validated as upstream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeproc.api_errors import ApiError, bad_request, cause

POLICIES = ("Foreground", "Background", "Orphan")
FIELD_VALIDATION = ("", "Ignore", "Strict", "Warn")
FORBIDDEN = "Forbidden: "
CONTINUED = "resourceVersionMatch is forbidden when continue is provided"
REASONS = {
    "Unsupported value": "FieldValueNotSupported",
    "Forbidden": "FieldValueForbidden",
    "Required value": "FieldValueRequired",
    "Too long": "FieldValueTooLong",
}


def refuse(kind: str, field: str, why: str) -> ApiError:
    """422 for an option, worded as upstream: `CreateOptions.meta.k8s.io "" is invalid: dryRun: ...`."""
    reason = next((r for words, r in REASONS.items() if why.startswith(words)), "FieldValueInvalid")
    details = {"group": "meta.k8s.io", "kind": kind, "causes": [cause(reason, field, why)]}
    return ApiError(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {field}: {why}', details)


def _unsupported(value: str, supported: tuple[str, ...]) -> str:
    return f'Unsupported value: "{value}": supported values: ' + ", ".join(f'"{s}"' for s in supported)


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean as clients send it: `true`, `True`, `1`; empty means true, as upstream."""
    return name in query and query[name].lower() not in ("false", "0")


def number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return _int64(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _int64(text: str) -> int:
    value = int(text) if text.lstrip("+-").isdecimal() and text.isascii() else None
    if value is None or not -(2**63) <= value < 2**63:
        raise ValueError(text)
    return value


def _dry(value: Any, kind: str) -> bool:
    if not value:
        return False
    values = value if isinstance(value, list) else [value]
    for wrong in values:
        if wrong != "All":
            raise refuse(kind, "dryRun", f'Unsupported value: {json.dumps(values)}: supported values: "All"')
    return True


@dataclass(frozen=True)
class WriteOptions:
    dry_run: bool
    manager: str
    validation: str  # Strict, Warn or Ignore
    force: bool | None


def write(query: Mapping[str, str], kind: str, user_agent: str = "") -> WriteOptions:
    """Options of a create, update or patch (`kind` is CreateOptions, UpdateOptions or PatchOptions)."""
    manager = query.get("fieldManager", "")
    if len(manager) > 128:
        raise refuse(kind, "fieldManager", "Too long: may not be more than 128 bytes")
    if not manager.isprintable():
        raise refuse(kind, "fieldManager", f'Invalid value: "{manager}": should only contain printable characters')
    validation = query.get("fieldValidation") or "Warn"
    if validation not in FIELD_VALIDATION:
        raise refuse(kind, "fieldValidation", _unsupported(validation, FIELD_VALIDATION))
    dry = _dry(query.get("dryRun"), kind)
    force = flag(query, "force") if "force" in query else None
    return WriteOptions(dry, manager or user_agent.partition("/")[0][:128], validation, force)


@dataclass(frozen=True)
class DeleteOptions:
    dry_run: bool
    policy: str  # empty: the kind's default
    grace: int | None
    uid: str
    version: str


def delete(query: Mapping[str, str], body: Any) -> DeleteOptions:
    """Options of a deletion, from the body if there is one, else from the query."""
    if body:
        if not isinstance(body, dict) or body.get("kind", "DeleteOptions") != "DeleteOptions":
            raise bad_request("the object provided is unrecognized (must be of type DeleteOptions)")
        source = body
    else:
        grace = number(query, "gracePeriodSeconds")
        orphan = flag(query, "orphanDependents") if "orphanDependents" in query else None
        source = dict(query) | {"gracePeriodSeconds": grace, "orphanDependents": orphan}
    policy = source.get("propagationPolicy") or ""
    if policy and policy not in POLICIES:
        raise refuse("DeleteOptions", "propagationPolicy", _unsupported(str(policy), (*POLICIES, "nil")))
    if source.get("orphanDependents") is not None:
        if policy:
            why = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
            raise refuse("DeleteOptions", "propagationPolicy", why)
        policy = "Orphan" if source["orphanDependents"] else "Background"
    grace = source.get("gracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int) or abs(grace) >= 2**63):
        words = f"json: cannot unmarshal {type(grace).__name__} into Go struct field DeleteOptions.gracePeriodSeconds"
        raise bad_request(words + " of type int64")
    before = source.get("preconditions") or {}
    if not isinstance(before, dict):
        raise bad_request("json: cannot unmarshal into Go struct field DeleteOptions.preconditions")
    dry = _dry(source.get("dryRun"), "DeleteOptions")
    # A negative grace period means immediately, but through the kubelet: one second, as in upstream's pod strategy.
    grace = 1 if grace is not None and grace < 0 else grace
    return DeleteOptions(dry, policy, grace, str(before.get("uid") or ""), str(before.get("resourceVersion") or ""))


@dataclass(frozen=True)
class ListOptions:
    labels: str
    fields: str
    version: str
    match: str
    limit: int | None
    token: str
    watch: bool
    bookmarks: bool
    initial: bool | None
    timeout: int | None


def listing(query: Mapping[str, str]) -> ListOptions:
    """Options of a list or watch; 400 for an option that can't be parsed, 422 for options that exclude each other."""
    options = ListOptions(
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        query.get("resourceVersion", ""),
        query.get("resourceVersionMatch", ""),
        number(query, "limit"),
        query.get("continue", ""),
        flag(query, "watch"),
        flag(query, "allowWatchBookmarks"),
        flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None,
        number(query, "timeoutSeconds"),
    )
    if options.version and not (options.version.isascii() and options.version.isdecimal()):
        error = f'Invalid value: "{options.version}": strconv.ParseUint: parsing "{options.version}": invalid syntax'
        raise bad_request(f"invalid resource version: resourceVersion: {error}")
    if options.watch:
        _check_watch(options)
    else:
        _check_list(options)
    return options


def _check_watch(options: ListOptions) -> None:
    match, initial = options.match, options.initial is not None
    if not initial and not match and options.version in ("", "0"):
        match, initial = "NotOlderThan", True  # the default, which a `continue` contradicts
    if initial and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise refuse("ListOptions", "resourceVersionMatch", FORBIDDEN + why)
    if match and not initial:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise refuse("ListOptions", "resourceVersionMatch", FORBIDDEN + why)
    if match and options.token:
        raise refuse("ListOptions", "resourceVersionMatch", FORBIDDEN + CONTINUED)


def _check_list(options: ListOptions) -> None:
    match = options.match
    if options.initial is not None:
        raise refuse("ListOptions", "sendInitialEvents", FORBIDDEN + "sendInitialEvents is forbidden for list")
    if not match:
        return
    if not options.version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise refuse("ListOptions", "resourceVersionMatch", FORBIDDEN + why)
    if options.token:
        raise refuse("ListOptions", "resourceVersionMatch", FORBIDDEN + CONTINUED)
    if match not in ("Exact", "NotOlderThan"):
        raise refuse("ListOptions", "resourceVersionMatch", _unsupported(match, ("Exact", "NotOlderThan", "")))
    if match == "Exact" and options.version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        raise refuse("ListOptions", "resourceVersionMatch", FORBIDDEN + why)
