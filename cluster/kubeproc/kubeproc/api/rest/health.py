"""`/version`, `/healthz`, `/livez` and `/readyz`: endpoints that need no token."""

from __future__ import annotations

import platform

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from kubeproc.api.rest import answer
from kubeproc.api_errors import ApiError

KUBERNETES = "1.34"  # this server follows its schemas, defaults and texts


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
    """`ok` while the store can be read; the event loop that answers also does all other work."""
    if request.app.state.store.closed:
        raise ApiError(500, "InternalError", "the store is closed")
    return PlainTextResponse("ok")


routes: list[BaseRoute] = [
    route
    for path, endpoint in (("version", version), ("healthz", health), ("livez", health), ("readyz", health))
    for route in (Route(f"/{path}", endpoint), Route(f"/{path}/", endpoint))
]
