"""Secrets: `stringData` becomes `data`, the type is `Opaque` by default and can't be changed."""

from __future__ import annotations

import base64

from kubeproc.admission.causes import Causes
from kubeproc.admission.configmap import LIMIT, check_immutable, check_key, decoded_size
from kubeproc.api_errors import bad_request
from kubeproc.resources import SECRETS
from kubeproc.store import Object, Store

NEEDED = {
    "kubernetes.io/basic-auth": (),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def default(store: Store, secret: Object, old: Object | None) -> None:
    for key, text in (secret.pop("stringData", None) or {}).items():
        secret["data"] = {**(secret.get("data") or {}), key: base64.b64encode(text.encode()).decode()}
    if "data" in secret and not secret["data"]:
        del secret["data"]
    secret.setdefault("type", old["type"] if old else "Opaque")


def validate(store: Store, secret: Object, old: Object | None) -> None:
    causes, size = Causes(), 0
    for key, value in (secret.get("data") or {}).items():
        check_key(causes, f"data[{key}]", key)
        length = decoded_size(value)
        if length is None:
            raise bad_request('Secret in version "v1" cannot be handled as a Secret: illegal base64 data')
        size += length
    if size > LIMIT:
        causes.too_long("data", LIMIT)
    for key in NEEDED.get(secret["type"], ()):
        if key not in (secret.get("data") or {}):
            causes.required(f"data[{key}]")
    check_immutable(causes, secret, old, ("data",))
    if old is not None:
        causes.immutable("type", secret["type"], old["type"])
    causes.settle(SECRETS, secret["metadata"]["name"])
