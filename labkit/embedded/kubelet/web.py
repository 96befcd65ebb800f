"""The HTTP client of probes. Certificates are not checked and redirects are followed, as upstream."""

from __future__ import annotations

import asyncio
import functools

import httpx

from labkit.embedded.kubelet.failure import Failure


@functools.cache
def client() -> httpx.AsyncClient:
    """One for all probes; each request has a connection of its own."""
    return httpx.AsyncClient(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


async def status(url: str, address: str, headers: dict[str, str], timeout: float) -> int:
    """The status of the answer to GET; Failure, in the words of Go's client, where there is none."""
    try:
        async with asyncio.timeout(timeout):
            answer = await client().get(url, headers=headers, timeout=timeout, follow_redirects=True)
            return answer.status_code
    except (TimeoutError, httpx.TimeoutException):
        words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise Failure(f'Get "{url}": {words}') from None
    except httpx.ConnectError:
        raise Failure(f'Get "{url}": dial tcp {address}: connect: connection refused') from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # the last one: a header that is not ASCII
        raise Failure(f'Get "{url}": {error}') from None
