"""Authentication: bearer tokens and impersonation.

A bearer token is one of `tokens.json` (people, the kubelet) or a service account's: a JWT signed with the cluster's own
key, as upstream's are, so that none has to be stored. Such a token is valid for the audiences that it names, until it
expires or its account or the object that it is bound to is deleted. `rbac.authorizer` decides what a user may do. A
request may also impersonate another user (`kubectl --as`), which needs a permission like any other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers

from kubeproc import credentials
from kubeproc.api_errors import ApiError
from kubeproc.folder import ClusterFolder
from kubeproc.rbac import users
from kubeproc.rbac.rules import Attributes
from kubeproc.rbac.users import User
from kubeproc.resources import NODES, PODS, SECRETS, SERVICEACCOUNTS, Resource

log = logging.getLogger(__name__)
ISSUER = "https://kubernetes.default.svc.cluster.local"
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
BOUND: dict[str, Resource] = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}  # objects that a token can be bound to


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


class Authenticator:
    """Tokens to users. `uid(resource, namespace, name)` is the uid of the current object, or None: a token is bound to
    one account and one object, and becomes invalid even if others of the same names replace them."""

    def __init__(self, folder: ClusterFolder, uid: Callable[[Resource, str, str], str | None]) -> None:
        self.folder, self.uid = folder, uid
        self.key = credentials.signing_key(folder)
        self._tokens: dict[str, User] = {}
        self._read = 0

    def _people(self) -> dict[str, User]:
        """The users of tokens.json, read again when the file is replaced; unchanged if it is missing or damaged."""
        try:
            changed = self.folder.tokens.stat().st_mtime_ns
            if changed != self._read:
                self._read = changed
                listed = json.loads(self.folder.tokens.read_text())
                self._tokens = {t: User(u["name"], (*u["groups"], "system:authenticated")) for t, u in listed.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            log.warning("%s can't be read, the previous users stay: %r", self.folder.tokens, error)
        return self._tokens

    def authenticate(self, authorization: str) -> User:
        """The user of an Authorization header; ApiError 401 for a missing, wrong or expired token."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise unauthorized()
        return self.review(token, (ISSUER,))[0]

    def review(self, token: str, audiences: tuple[str, ...]) -> tuple[User, list[str]]:
        """The token's user, and the given audiences for which it is valid; ApiError 401 if there are none. Tokens of
        tokens.json are valid for the API only."""
        good: tuple[str, ...] = (ISSUER,)
        user = self._people().get(token)
        if user is None:
            account = verify(self.key, token)
            if account is None or not self._lives(account):
                raise unauthorized()
            user, good = users.account(account.namespace, account.name), account.audiences
        shared = [audience for audience in audiences if audience in good]
        if not shared:
            raise unauthorized()
        return user, shared

    def _lives(self, account: Account) -> bool:
        if self.uid(SERVICEACCOUNTS, account.namespace, account.name) != account.uid:
            return False
        if account.bound is None:
            return True
        kind, name, uid = account.bound
        resource = BOUND[kind]
        return self.uid(resource, account.namespace if resource.namespaced else "", name) == uid


def impersonated(headers: Headers) -> tuple[User, list[Attributes]] | None:
    """The user that the request impersonates, and the permissions that its sender needs; None without impersonation.

    Source: apiserver's pkg/endpoints/filters/impersonation.go.
    """
    name, groups = headers.get("impersonate-user", ""), headers.getlist("impersonate-group")
    more = any(header.startswith("impersonate-") for header in headers)
    if not name:
        if more:
            raise ApiError(500, "InternalError", "requested user must be set to impersonate others")
        return None
    parts = name.split(":")
    if name.startswith("system:serviceaccount:") and len(parts) == 4 and all(parts):
        needs = [Attributes("impersonate", "", "serviceaccounts", "", parts[2], parts[3])]
        groups = groups or list(users.account(parts[2], parts[3]).groups)
    else:
        needs = [Attributes("impersonate", "", "users", name=name)]
    needs += [Attributes("impersonate", "", "groups", name=group) for group in headers.getlist("impersonate-group")]
    known = (
        ("system:unauthenticated",) if name == ANONYMOUS.name else ("system:authenticated", "system:unauthenticated")
    )
    if not set(known) & set(groups):
        groups = [*groups, known[0]]
    return User(name, tuple(groups)), needs


@dataclass(frozen=True)
class Account:
    """A token's service account, its audiences, and the (kind, name, uid) of the object that it is bound to."""

    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...] = (ISSUER,)
    bound: tuple[str, str, str] | None = None


def issue(folder: ClusterFolder, account: Account, *, seconds: int | None = None) -> str:
    """A token for the service account, valid for `seconds` (None: as long as the account exists)."""
    about: dict[str, Any] = {
        "namespace": account.namespace,
        "serviceaccount": {"name": account.name, "uid": account.uid},
    }
    if account.bound:
        kind, name, uid = account.bound
        about[kind.lower()] = {"name": name, "uid": uid}
    claims: dict[str, Any] = {
        "aud": list(account.audiences),
        "iss": ISSUER,
        "sub": f"system:serviceaccount:{account.namespace}:{account.name}",
        "iat": int(time.time()),
        "kubernetes.io": about,
    }
    if seconds is not None:
        claims["exp"] = claims["iat"] + seconds
    signed = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + _encode(json.dumps(claims).encode())
    return signed + "." + _encode(_signature(credentials.signing_key(folder), signed))


def verify(key: bytes, token: str) -> Account | None:
    """The service account that the token was issued for, or None if it isn't signed with the key or has expired."""
    signed, _, signature = token.rpartition(".")
    if not signed or not hmac.compare_digest(_encode(_signature(key, signed)).encode(), signature.encode()):
        return None
    claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
    if claims.get("exp", float("inf")) < time.time():
        return None
    about = claims["kubernetes.io"]
    bound = next(((kind, of["name"], of["uid"]) for kind in BOUND if (of := about.get(kind.lower()))), None)
    account = about["serviceaccount"]
    audiences = tuple(claims.get("aud") or (ISSUER,))  # a Secret's token names none
    return Account(about["namespace"], account["name"], account["uid"], audiences, bound)


def _signature(key: bytes, signed: str) -> bytes:
    return hmac.new(key, signed.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
