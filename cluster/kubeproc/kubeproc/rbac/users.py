"""A user: a name and groups; a service account is a user, too."""

from __future__ import annotations

from typing import NamedTuple


class User(NamedTuple):
    name: str
    groups: tuple[str, ...] = ()


def account_name(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def account(namespace: str, name: str) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(account_name(namespace, name), groups)
