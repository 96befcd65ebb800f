"""The HTTP client of probes. As upstream, it does not check certificates, and follows redirects."""

from __future__ import annotations

import asyncio
import functools

import httpx

from kubeproc.kubelet.failure import Failure


@functools.cache
def client() -> httpx.AsyncClient:
    """The client of all probes; each request has a connection of its own."""
    return httpx.AsyncClient(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


async def status(url: str, address: str, headers: dict[str, str], timeout: float) -> int:
    """The status code of the answer to GET; Failure, with the message of Go's client, if there is no answer."""
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
