"""A pod's log, exec, attach and port-forward: validated here, executed by the kubelet, relayed by the server.

Mechanism. The server resolves the container, returns the errors of a real API server and kubelet, and then passes bytes
(log) or websocket messages (the others) through unchanged: server and kubelet use the same framing as client and
server. Only kubectl's port-forward is served by the server itself (`portforward`). The kubelet's endpoints, on its unix
socket:

    GET /logs/NS/POD/CONTAINER?uid=&follow=&previous=&tailLines=&sinceSeconds=&sinceTime=&timestamps=&limitBytes=
    WS  /exec/NS/POD/CONTAINER?uid=&command=&command=&stdin=&stdout=&stderr=&tty=      v5.channel.k8s.io
    WS  /attach/NS/POD/CONTAINER?uid=&stdin=&stdout=&stderr=&tty=                      v5.channel.k8s.io
    WS  /portforward/NS/POD?uid=&ports=&ports=                                         v4.channel.k8s.io

Channels are the first byte of each message: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 resize, 255 (version 5
only, which the kubelet always speaks) closes the channel in the second byte. docs/architecture.md has the details.
Sources: apimachinery's pkg/util/httpstream/wsstream, pkg/registry/core/pod/strategy.go, kubelet's validateContainerLogStatus.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kubeproc import machines
from kubeproc.api.rest import options
from kubeproc.api.streams import channels, kubelet_client, portforward
from kubeproc.api_errors import ApiError, bad_request, cause
from kubeproc.folder import ClusterFolder
from kubeproc.resources import PODS

KUBELET = "127.0.0.1:10250"  # its address on a real node
POD = "/api/v1/namespaces/{namespace}/pods/{name}"
STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
PULL = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


# -- which container -------------------------------------------------------------------------------------------------


def _pod(request: HTTPConnection) -> dict[str, Any]:
    namespace, name = request.path_params["namespace"], request.path_params["name"]
    return request.app.state.store.get(PODS, namespace, name)


def _container(pod: Mapping[str, Any], wanted: str) -> str:
    """The container's name: the only one, or the requested one (400 otherwise)."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    lists = ("initContainers", "containers", "ephemeralContainers")
    names = [c["name"] for key in lists for c in spec.get(key) or []]
    if wanted:
        if wanted not in names:
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(spec.get("containers") or []) != 1:
        choices = f"[{' '.join(names)}]"
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: {choices}")
    return str(spec["containers"][0]["name"])


def _path(verb: str, pod: Mapping[str, Any], *more: str) -> str:
    meta = pod["metadata"]
    return "/".join(["", verb, meta["namespace"], meta["name"], *more])


def _socket(request: HTTPConnection) -> Any:
    return _folder(request).kubelet_socket


def _folder(request: HTTPConnection) -> ClusterFolder:
    return ClusterFolder(request.app.state.home)


def _reach(request: HTTPConnection, pod: Mapping[str, Any], asked: str = "") -> None:
    """Fail a request that the pod's kubelet would have to answer if its machine is off; `asked` is the kubelet's
    path."""
    if machines.is_off(ClusterFolder(request.app.state.home), pod["spec"]["nodeName"]):
        what = f'Get "https://{KUBELET}{asked}"' if asked else "error dialing backend"
        raise ApiError(500, "", f"{what}: dial tcp {KUBELET}: connect: no route to host")


# -- log -------------------------------------------------------------------------------------------------------------


def _log_query(query: Mapping[str, str], pod: str) -> kubelet_client.Query:
    """The log's options, checked as ValidatePodLogOptions does (422)."""
    numbers = {name: options.number(query, name) for name in ("tailLines", "limitBytes", "sinceSeconds")}
    causes = []
    for name, least, words in (("tailLines", 0, "greater than or equal to 0"), ("limitBytes", 1, "greater than 0"),
                               ("sinceSeconds", 1, "greater than 0")):  # fmt: skip
        value = numbers[name]
        if value is not None and value < least:
            causes.append(cause("FieldValueInvalid", name, f"Invalid value: {value}: must be {words}"))
    if numbers["sinceSeconds"] is not None and query.get("sinceTime"):
        words = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append(cause("FieldValueForbidden", "[]", words))
    if causes:
        words = ", ".join(f"{c['field']}: {c['message']}" for c in causes)
        words = f"[{words}]" if len(causes) > 1 else words
        details = {"name": pod, "kind": "PodLogOptions", "causes": causes}
        raise ApiError(422, "Invalid", f'PodLogOptions "{pod}" is invalid: {words}', details)
    flags = [(n, "true") for n in ("follow", "previous", "timestamps") if options.flag(query, n)]
    since = [("sinceTime", query["sinceTime"])] if query.get("sinceTime") else []
    return flags + since + [(n, str(v)) for n, v in numbers.items() if v is not None]


def _check_log(pod: Mapping[str, Any], container: str, previous: bool) -> None:
    """400 with the kubelet's message if the container has no log."""
    status = pod.get("status") or {}
    found = next((c for key in STATUSES for c in status.get(key) or [] if c["name"] == container), None)
    what = f'container "{container}" in pod "{pod["metadata"]["name"]}"'
    if found is None:
        if status.get("phase") in ("Succeeded", "Failed"):
            raise bad_request(f"{what} is not available")
        raise bad_request(f"{what} is waiting to start: ContainerCreating")
    state, ended = found.get("state") or {}, (found.get("lastState") or {}).get("terminated")
    if previous:
        if not ended:
            raise bad_request(f"previous terminated {what} not found")
        return
    if "running" in state or "terminated" in state or ended:
        return
    reason = (state.get("waiting") or {}).get("reason")
    words = f": {PULL.get(reason, reason)}" if reason else " - no logs yet"
    raise bad_request(f"{what} is waiting to start{words}")


async def log(request: Request) -> Response:
    pod = _pod(request)
    query = _log_query(request.query_params, request.path_params["name"])
    container = _container(pod, request.query_params.get("container", ""))
    if not pod["spec"].get("nodeName"):
        return Response(status_code=204)  # nothing has been written yet
    _check_log(pod, container, ("previous", "true") in query)
    _reach(request, pod, _path("containerLogs", pod, container))
    opened = kubelet_client.get(
        _socket(request), _path("logs", pod, container), [("uid", pod["metadata"]["uid"]), *query]
    )
    chunks = await opened.__aenter__()
    heard = request.app.state.heard

    async def body() -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in chunks:
                yield chunk
                size += len(chunk)
            if not query:
                heard.note(request.state.user.name, pod, container, size)
        finally:
            await opened.__aexit__(None, None, None)

    return StreamingResponse(body(), media_type="text/plain")


# -- exec, attach, port-forward --------------------------------------------------------------------------------------


async def execute(socket: WebSocket) -> None:
    await _run(socket, "exec", [("command", c) for c in socket.query_params.getlist("command")])


async def attach(socket: WebSocket) -> None:
    """Attach to a container's program. kubectl reads the log first. If the program has ended since, it gets the rest of
    the log: after an error kubectl would print the log again, from the start of the same second."""
    try:
        await _run(socket, "attach", [])
    except ApiError as error:
        pod = _pod(socket)
        container = _container(pod, socket.query_params.get("container", ""))
        size = socket.app.state.heard.size(socket.state.user.name, pod, container)
        if error.code != 404 or size is None:
            raise
        query = [("uid", pod["metadata"]["uid"])]
        async with kubelet_client.get(_socket(socket), _path("logs", pod, container), query) as chunks:
            said = b"".join([chunk async for chunk in chunks])
        protocol = channels.choose(socket.scope["subprotocols"], channels.EXEC)
        await socket.accept(protocol.name)
        if said[size:]:
            await _say(socket, protocol.encode(bytes([channels.STDOUT]) + said[size:]))
        await _say(socket, protocol.ending(b'{"metadata":{},"status":"Success"}'))
        await socket.close()


class Heard:
    """How much of a container's log a client has read, remembered for the short time until it attaches."""

    MOMENT = 5.0  # seconds

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], tuple[float, int]] = {}

    def note(self, user: str, pod: Mapping[str, Any], container: str, size: int) -> None:
        now = time.monotonic()
        self._found = {key: value for key, value in self._found.items() if now - value[0] < self.MOMENT}
        self._found[user, pod["metadata"]["uid"], container] = now, size

    def size(self, user: str, pod: Mapping[str, Any], container: str) -> int | None:
        """The number of bytes, or None if nothing was read recently; can be called once."""
        when, size = self._found.pop((user, pod["metadata"]["uid"], container), (0.0, 0))
        return size if time.monotonic() - when < self.MOMENT else None


async def _run(socket: WebSocket, verb: str, command: kubelet_client.Query) -> None:
    pod = _pod(socket)
    query = socket.query_params
    container = _container(pod, query.get("container", ""))
    _scheduled(pod)
    _reach(socket, pod)
    if verb == "exec" and not command:
        raise bad_request("you must specify at least one command for the container")
    flags = [n for n in ("stdin", "stdout", "stderr", "tty") if options.flag(query, n)]
    if not set(flags) - {"tty"}:
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    protocol = channels.choose(socket.scope["subprotocols"], channels.EXEC)
    asked = [("uid", pod["metadata"]["uid"]), *command, *((n, "true") for n in flags)]
    await _relay(socket, protocol, _path(verb, pod, container), asked, channels.V5)


async def port_forward(socket: WebSocket) -> None:
    pod = _pod(socket)
    _scheduled(pod)
    _reach(socket, pod)
    ports = [p for text in socket.query_params.getlist("ports") for p in text.split(",")]
    for port in ports:
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise bad_request(f'unable to parse "{port}" as a port')
    if portforward.PROTOCOL in socket.scope["subprotocols"]:
        meta, store = pod["metadata"], socket.app.state.store
        find = functools.partial(store.find, PODS, meta["namespace"], meta["name"])
        await portforward.Forwarding(socket, meta["uid"], find, _folder(socket).lending_socket).run()
        return
    if not ports:
        raise bad_request('query parameter "ports" is required')
    protocol = channels.choose(socket.scope["subprotocols"], channels.FORWARD)
    asked = [("uid", pod["metadata"]["uid"]), *(("ports", p) for p in ports)]
    await _relay(socket, protocol, _path("portforward", pod), asked, channels.V4)


NO_SPDY = (
    "Upgrade request required (to a websocket: plain SPDY is not supported; unset KUBECTL_PORT_FORWARD_WEBSOCKETS, "
    "or use kubectl 1.31 or later)"
)


def _scheduled(pod: Mapping[str, Any]) -> None:
    if not pod["spec"].get("nodeName"):
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")


async def _relay(
    socket: WebSocket, protocol: channels.Subprotocol, path: str, query: kubelet_client.Query, inner: str
) -> None:
    """Pass messages both ways until either side ends; the kubelet is connected first, so that it can still reject."""
    kubelet = await kubelet_client.connect(_socket(socket), path, query, inner)
    try:
        await socket.accept(protocol.name)
        up = asyncio.create_task(_up(socket, kubelet, protocol))
        down = asyncio.create_task(_down(socket, kubelet, protocol, ends=inner == channels.V5))
        done, rest = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.result()
    finally:
        await kubelet.close()


async def _up(socket: WebSocket, kubelet: Any, protocol: channels.Subprotocol) -> None:
    from websockets.exceptions import ConnectionClosed

    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                data = protocol.decode(message["text"] if message.get("bytes") is None else message["bytes"])
            except ValueError:
                await socket.close(1007)  # RFC 6455: data that does not match the message's type
                return
            if data is not None:
                await kubelet.send(data)
    except ConnectionClosed:
        await asyncio.Event().wait()  # the kubelet's last messages are still in transit


async def _down(socket: WebSocket, kubelet: Any, protocol: channels.Subprotocol, ends: bool) -> None:
    """`ends`: whether the error channel carries a Status, as for exec and attach."""
    try:
        async for message in kubelet:
            data = message if isinstance(message, bytes) else message.encode()
            status = ends and data[:1] == bytes([channels.ERROR])
            await _say(socket, protocol.ending(data[1:]) if status else protocol.encode(data))
        await socket.close()
    except (WebSocketDisconnect, RuntimeError):
        return  # the client disconnected first


async def _say(socket: WebSocket, message: bytes | str | None) -> None:
    if isinstance(message, str):
        await socket.send_text(message)
    elif message is not None:
        await socket.send_bytes(message)


async def upgrade_required(request: Request) -> Response:
    """The response to a plain request, or a SPDY upgrade, for an endpoint that needs a websocket. kubectl sends one
    after its websocket was rejected, and shows only this response, so the response repeats the reason."""
    subresource = request.url.path.rpartition("/")[2]
    pod = _pod(request)
    if subresource == "portforward":
        _scheduled(pod)
        raise bad_request(NO_SPDY)
    container = _container(pod, request.query_params.get("container", ""))
    _scheduled(pod)
    states = {c["name"]: c.get("state") or {} for key in STATUSES for c in (pod.get("status") or {}).get(key) or []}
    if "running" not in states.get(container, {}):
        raise ApiError(404, "NotFound", f'container not found ("{container}")')
    raise bad_request("Upgrade request required (to a websocket: SPDY is not supported)")


routes: list[BaseRoute] = [
    Route(f"{POD}/log", log, methods=["GET"]),
    WebSocketRoute(f"{POD}/exec", execute),
    WebSocketRoute(f"{POD}/attach", attach),
    WebSocketRoute(f"{POD}/portforward", port_forward),
    *(Route(f"{POD}/{verb}", upgrade_required, methods=["GET", "POST"]) for verb in ("exec", "attach", "portforward")),
]
