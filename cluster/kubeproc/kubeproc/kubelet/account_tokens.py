"""Requests tokens of service accounts from the API: one token for all pods of an account, kept while it is fresh."""

from __future__ import annotations

import time
from typing import Any

from kubeproc.kubelet.api_client import Api

LIFE = 3600  # seconds that a token is valid


class AccountTokens:
    def __init__(self, api: Api) -> None:
        self.api = api
        self._known: dict[tuple[str, str], tuple[str, float]] = {}

    async def of(self, pod: dict[str, Any], refused: str = "") -> str:
        """A token of the pod's service account, and not `refused`, which the server no longer accepts: an account that was
        deleted and created again has other tokens."""
        namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName") or "default"
        token, until = self._known.get((namespace, account), ("", 0.0))
        if until < time.time() or token == refused:
            request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}}
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
            answer = await self.api.create(path, request | {"spec": {"audiences": [], "expirationSeconds": LIFE}})
            token, until = answer["status"]["token"], time.time() + LIFE / 2
            self._known[namespace, account] = (token, until)
        return token
