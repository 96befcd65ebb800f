"""Reviews: may a user do this, who am I, whose token is this, and how much does a pod use.

A review is created, answered in its `status`, and not stored. `rbac.authorizer`, which authorizes every request,
decides what is allowed. `kubectl top` needs the group metrics.k8s.io. This cluster announces the group only to return
an error with a hint: without it kubectl just prints "Metrics API not available".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kubeproc import embedder
from kubeproc.api.rest import answer, auth
from kubeproc.api.schema import validation
from kubeproc.api.schema.discovery import REVIEWS
from kubeproc.api.wire import body
from kubeproc.api_errors import ApiError, bad_request
from kubeproc.rbac.rules import Attributes
from kubeproc.rbac.users import User

Review = dict[str, Any]
AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io/v1", "authentication.k8s.io/v1"
NO_METRICS = "the embedded cluster does not measure its pods"


async def _read(request: Request, kind: str) -> Review:
    """The body as a review of that kind; 400 for another kind, or a field of the wrong type."""
    resource = next(r for r in REVIEWS if r.kind == kind)
    sent = await body.read(request)
    if isinstance(sent, dict):
        sent = {"kind": kind} | sent
    review, _ = validation.decoded(resource, sent, "Ignore", [])
    return review


def _answered(request: Request, review: Review, status: dict[str, Any]) -> Response:
    review["metadata"].setdefault("creationTimestamp", None)
    return answer.plain(request, review | {"status": status}, 201)


# -- authorization ---------------------------------------------------------------------------------------------------


def _access(request: Request, user: User, spec: Review, namespace: str = "") -> dict[str, Any]:
    """The status of an access review: exactly one of resourceAttributes and nonResourceAttributes is required."""
    wanted, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if bool(wanted) == bool(other):
        raise bad_request("exactly one of spec.resourceAttributes and spec.nonResourceAttributes must be specified")
    if other:
        asked = Attributes(other.get("verb", ""), path=other.get("path") or "/")
    else:
        assert wanted
        of = {k: wanted.get(k, "") for k in ("verb", "group", "resource", "subresource", "namespace", "name")}
        asked = Attributes(**of)
        asked = asked._replace(namespace=namespace or asked.namespace)
    decision = request.app.state.authorizer.decide(user, asked)
    return {"allowed": decision.allowed} | ({"reason": decision.reason} if decision.reason else {})


async def self_access(request: Request) -> Response:
    review = await _read(request, "SelfSubjectAccessReview")
    return _answered(request, review, _access(request, request.state.user, review.get("spec") or {}))


async def access(request: Request) -> Response:
    namespace = request.path_params.get("namespace", "")
    review = await _read(request, "LocalSubjectAccessReview" if namespace else "SubjectAccessReview")
    spec = review.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        raise bad_request("at least one of spec.user and spec.groups must be specified")
    subject = User(spec.get("user") or "", tuple(spec.get("groups") or ()))
    return _answered(request, review, _access(request, subject, spec, namespace))


async def rules(request: Request) -> Response:
    """What the user may do in a namespace, as `kubectl auth can-i --list` prints it."""
    review = await _read(request, "SelfSubjectRulesReview")
    namespace = (review.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    found = [rule for _, rule in request.app.state.authorizer.rules(request.state.user, namespace)]
    status = {
        "resourceRules": [_only(rule, RESOURCE_RULE) for rule in found if rule.get("resources")],
        "nonResourceRules": [_only(rule, OTHER_RULE) for rule in found if rule.get("nonResourceURLs")],
        "incomplete": False,
    }
    return _answered(request, review, status)


RESOURCE_RULE, OTHER_RULE = ("verbs", "apiGroups", "resources", "resourceNames"), ("verbs", "nonResourceURLs")


def _only(rule: Review, fields: tuple[str, ...]) -> Review:
    return {k: rule[k] for k in fields if rule.get(k)}


# -- authentication --------------------------------------------------------------------------------------------------


def _about(user: User) -> dict[str, Any]:
    return {"username": user.name, "groups": list(user.groups)}


async def who_am_i(request: Request) -> Response:
    review = await _read(request, "SelfSubjectReview")
    return _answered(request, review, {"userInfo": _about(request.state.user)})


async def token(request: Request) -> Response:
    """The user of the token in `spec.token`."""
    review = await _read(request, "TokenReview")
    spec = review.get("spec") or {}
    if not spec.get("token"):
        raise bad_request("token is required for TokenReview in authentication")
    try:
        user, good = request.app.state.accounts.review(spec["token"], tuple(spec.get("audiences") or (auth.ISSUER,)))
    except ApiError:
        return _answered(request, review, {"user": {}, "error": "the token is not valid for this cluster"})
    return _answered(request, review, {"authenticated": True, "user": _about(user), "audiences": good})


async def no_metrics(request: Request) -> Response:
    raise ApiError(404, "NotFound", f"{NO_METRICS}; {embedder.current().metered}")


def _post(path: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
    return Route(f"/apis/{path}", handler, methods=["POST"])


routes: list[Route] = [
    _post(f"{AUTHORIZATION}/selfsubjectaccessreviews", self_access),
    _post(f"{AUTHORIZATION}/selfsubjectrulesreviews", rules),
    _post(f"{AUTHORIZATION}/subjectaccessreviews", access),
    _post(f"{AUTHORIZATION}/namespaces/{{namespace}}/localsubjectaccessreviews", access),
    _post(f"{AUTHENTICATION}/selfsubjectreviews", who_am_i),
    _post(f"{AUTHENTICATION}/tokenreviews", token),
    Route("/apis/metrics.k8s.io/v1beta1/{path:path}", no_metrics),
]
