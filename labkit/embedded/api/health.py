"""`/version`, `/healthz`, `/livez` and `/readyz`: what a client asks before it has a token."""

from __future__ import annotations

import platform

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from labkit.embedded.api import answer
from labkit.embedded.status import ApiError

KUBERNETES = "1.34"  # whose schemas, defaults and texts this server follows


def machine() -> str:
    """Go's name of the architecture."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


async def version(request: Request) -> Response:
    major, minor = KUBERNETES.split(".")
    info = {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{KUBERNETES}.4+labkit",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{machine()}",
    }
    return answer.plain(request, info)


async def health(request: Request) -> Response:
    """`ok` while the store can be read; the loop that answers is the one that does all the work."""
    if request.app.state.store.closed:
        raise ApiError(500, "InternalError", "the store is closed")
    return PlainTextResponse("ok")


routes: list[BaseRoute] = [
    route
    for path, endpoint in (("version", version), ("healthz", health), ("livez", health), ("readyz", health))
    for route in (Route(f"/{path}", endpoint), Route(f"/{path}/", endpoint))
]
