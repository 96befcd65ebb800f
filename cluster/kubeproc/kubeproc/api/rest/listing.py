"""Lists and their pages.

All pages of a list show the state at the same version. Objects are immutable bytes, so the server keeps references to
the rest of a list for some minutes, and `continue` names it. After that the client gets 410 with a token that continues
from the same key over the current state, as upstream.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import uuid
from collections import OrderedDict

from starlette.requests import Request
from starlette.responses import Response

from kubeproc import selectors
from kubeproc.api.rest import answer
from kubeproc.api.rest.options import ListOptions
from kubeproc.api.rest.targets import Target
from kubeproc.api_errors import ApiError, bad_request
from kubeproc.store import Store

KEPT, SECONDS = 64, 300.0  # how many lists are kept, and for how long

TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class Pages:
    """The remainders of lists that clients read page by page."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, list[bytes], int]] = OrderedDict()

    def keep(self, raws: list[bytes], version: int) -> str:
        horizon = time.monotonic() - SECONDS
        for old in [k for k, (since, _, _) in self._kept.items() if since < horizon]:
            del self._kept[old]
        while len(self._kept) >= KEPT:
            self._kept.popitem(last=False)
        name = uuid.uuid4().hex
        self._kept[name] = (time.monotonic(), raws, version)
        return name

    def find(self, name: str) -> tuple[list[bytes], int] | None:
        found = self._kept.get(name)
        return found[1:] if found and time.monotonic() - found[0] < SECONDS else None


def _token(name: str, start: str, offset: int) -> str:
    plain = json.dumps({"v": "meta.k8s.io/v1", "list": name, "start": start, "offset": offset})
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _parse(token: str) -> tuple[str, str, int]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=="))
        return str(found["list"]), str(found["start"]), max(0, int(found["offset"]))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise bad_request(f"invalid continue token: {error}") from error


def _key(raw: bytes) -> str:
    meta = json.loads(raw)["metadata"]
    return meta.get("namespace", "") + "/" + meta["name"]


def selection(target: Target, options: ListOptions) -> selectors.Match | None:
    """The predicate of a list or watch: its selectors, and the name if the path has one."""
    found = selectors.both(
        selectors.labels(options.labels), selectors.fields(target.resource.qualified, options.fields)
    )
    if target.name:
        name = target.name
        return selectors.both(lambda o: o["metadata"]["name"] == name, found)
    return found


def check_version(options: ListOptions, current: int) -> None:
    """504 if the client has seen a later version than the server's, 410 for an exact version that is past."""
    if not options.version:
        return
    asked = int(options.version)
    if asked > current:
        words = f"Too large resource version: {asked}, current: {current}"
        details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
        raise ApiError(504, "Timeout", f"Timeout: {words}", details | {"retryAfterSeconds": 1})
    if options.match == "Exact" and asked != current:
        raise ApiError(410, "Expired", f"The resourceVersion for the provided list is too old. ({asked})")


def respond(request: Request, store: Store, pages: Pages, target: Target, options: ListOptions) -> Response:
    """The list, or the page of it, that the options ask for."""
    offset = 0
    if options.token:
        if options.version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        name, start, offset = _parse(options.token)
        kept = pages.find(name) if name else None
        if name and kept is None:
            refused = ApiError(410, "Expired", TOO_OLD)
            refused.metadata = {"continue": _token("", start, 0)}
            raise refused
        if kept:
            raws, version = kept
        else:
            name = ""
            raws, version = store.list_raw(target.resource, target.namespace or None, selection(target, options))
            raws = [r for r in raws if _key(r) >= start]
    else:
        name = ""
        raws, version = store.list_raw(target.resource, target.namespace or None, selection(target, options))
        check_version(options, version)
    meta: dict[str, object] = {"resourceVersion": str(version)}
    end = len(raws)
    if options.limit and options.limit > 0 and offset + options.limit < len(raws):
        end = offset + options.limit
        name = name or pages.keep(raws, version)
        meta["continue"] = _token(name, _key(raws[end]), end)
        if not options.labels and not options.fields:
            meta["remainingItemCount"] = len(raws) - end
    return answer.many(request, target.resource, raws[offset:end], meta)
