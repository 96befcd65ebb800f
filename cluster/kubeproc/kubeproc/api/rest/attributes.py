"""A request as the authorizer sees it: verb, group, resource, subresource, namespace and name, from its method and
path.

It looks only at the path, before the server checks whether the kind exists: a user without permission can't find out.
Source: apiserver's pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubeproc.api_errors import ApiError
from kubeproc.rbac.rules import Attributes

VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
OF_NAMESPACES = ("status", "finalize")  # subresources of the namespace itself


def attributes(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """`query` tells a watch from a GET, and a list of one name from a list."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, rest = parts[1], parts[3:]
    else:
        return Attributes(method.lower(), path=path)
    verb = VERBS.get(method, "")
    namespace = ""
    if rest[0] == "watch" and len(rest) > 1:
        verb, rest = "watch", rest[1:]
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in OF_NAMESPACES:
            rest = rest[2:]
    resource, name, subresource = (*rest[:3], "", "")[:3]
    if not name and verb == "get":
        verb = "watch" if query.get("watch", "false").lower() not in ("false", "0") else "list"
        name = _named(query.get("fieldSelector", ""))
    elif not name and verb == "delete":
        verb = "deletecollection"
    return Attributes(verb, group, resource, subresource, namespace, name)


def _named(selector: str) -> str:
    """The name that a field selector selects."""
    for part in selector.split(","):
        field, equals, value = part.replace("==", "=").partition("=")
        if equals and field.strip() == "metadata.name":
            return value.strip()
    return ""


def forbidden(user: str, wanted: Attributes) -> ApiError:
    """The 403 for a request, in the API server's wording."""
    why = _why(user, wanted)
    for mark, word in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        why = why.replace(mark, word)
    if wanted.path:
        return ApiError(403, "Forbidden", f"forbidden: {why}", {})
    kind = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    what = f'{kind} "{wanted.name}"' if wanted.name else kind
    about = {k: v for k, v in (("name", wanted.name), ("group", wanted.group), ("kind", wanted.resource)) if v}
    return ApiError(403, "Forbidden", f"{what} is forbidden: {why}", about)


def _why(user: str, wanted: Attributes) -> str:
    if wanted.path:
        return f'User "{user}" cannot {wanted.verb} path "{wanted.path}"'
    scope = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    return f'User "{user}" cannot {wanted.verb} resource "{wanted.combined}" in API group "{wanted.group}" {scope}'
