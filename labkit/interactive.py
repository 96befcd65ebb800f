"""Errors in a notebook that are no bug: a cluster that does not answer, an interrupted wait, a check before its answer.

IPython shows up to a hundred lines of the libraries' frames for them. This module shows one line that says what to do; `%tb`
still shows the traceback. Every other error looks as usual.
"""

from __future__ import annotations

import linecache
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

WAITING = ("kubernetes.", "urllib3.", "http.client", "websocket.", "labkit.client.", "labkit.checks", "labkit.show.")
NO_ANSWER = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProtocolError",
    "ConnectError",
    "SSLError",
)
UNCONFIGURED = ("localhost", 80)  # where the official client looks for a cluster before a kubeconfig is loaded
ALL = "(%tb shows where)"


_used: set[tuple[str, int]] = set()  # where the clusters of this process have answered


def install() -> None:
    """Let this process's notebook, if it is one, show such errors in one line. A kernel of `labkit lab` or `labkit run` does
    so when it starts, other kernels do when they call `cluster.use()`."""
    shell = notebook()
    if shell is None:
        return
    if getattr(shell, "labkit_shows_errors", False):
        return
    shell.labkit_shows_errors = True
    shell.set_custom_exc((Exception, KeyboardInterrupt), _show)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a warning for each new try


def answered() -> None:
    """Remember the cluster that KUBECONFIG names now; a notebook that asks another one later hears so. Not part of `install`,
    which must import nothing that a student's module could stand for."""
    if notebook() and (address := _api()):
        _used.add(address)


def notebook() -> Any:
    """IPython's shell; None where Python runs without it."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def _show(
    shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: int | None = None
) -> None:
    said = None if hasattr(error, "_render_traceback_") else sentence(error, trace)
    if said is None:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)
        return
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    shell._showtraceback(kind, error, [said])


def sentence(error: BaseException, trace: TracebackType | None) -> str | None:
    """What to say instead of a traceback; None if the traceback says more."""
    if isinstance(error, KeyboardInterrupt):
        if any(module.startswith(WAITING) for module in _modules(trace)):
            return "stopped waiting; what runs on the cluster goes on: kubectl get pods,workflows shows it"
        return None
    if isinstance(error, NameError) and error.name and "checks." in _cell(trace):
        return f"`{error.name}` has no value yet: run the cells above, your answer's too, then this check again {ALL}"
    chain = list(_chain(error))
    if type(error).__name__ == "ApiException" and getattr(error, "status", None) == 401:
        return f"this is not the cluster that the notebook began with: run the notebook from its first cell {ALL}"
    if type(error).__name__ == "ConfigException":
        words = " ".join(str(error).split()).rstrip(".")
        return f"{words}: run labkit.cluster.use(), which returns the path of the cluster's kubeconfig {ALL}"
    if not any(isinstance(each, ConnectionError) or type(each).__name__ in NO_ANSWER for each in chain):
        return None
    api, asked = _api(), _asked(chain)
    if asked == UNCONFIGURED and any(module.startswith("kubernetes.") for module in _modules(trace)):
        return (
            "the client does not know the cluster, since no kubeconfig was loaded: run "
            f"kubernetes.config.load_kube_config(labkit.cluster.use()), then this cell again {ALL}"
        )
    if api and asked in (None, api) and not _listens(api):
        address = f"{api[0]}:{api[1]}"
        return f"the cluster does not answer at {address}: run labkit.cluster.use(), which starts it, then this cell again {ALL}"
    if asked in _used - {api}:
        return f"this is not the cluster that the notebook began with: run the notebook from its first cell {ALL}"
    if asked is None or asked == api:
        return f"the connection broke off: run this cell again {ALL}"
    return (
        f"nothing answers at {asked[0]}:{asked[1]}: is the program that listens there running? kubectl get pods {ALL}"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that led to it, as Python and urllib3 note it."""
    seen: set[int] = set()
    open_ = [error]
    while open_:
        each = open_.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            open_ += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]  # type: ignore[list-item]


def _modules(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", "")) + "."
        trace = trace.tb_next


def _cell(trace: TracebackType | None) -> str:
    """The source of the cell that raised the error itself, not through a function that it called; "" for others."""
    frames = []
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    code = frames[-1].f_code if frames else None
    if (
        code is None
        or frames[-1].f_globals.get("__name__") != "__main__"
        or code.co_name not in ("<module>", "<cell line>")
    ):
        return ""
    return "".join(linecache.getlines(code.co_filename))


def _asked(chain: list[BaseException]) -> tuple[str, int] | None:
    """The host and port that did not answer, where one of the errors knows them."""
    for each in chain:
        pool = getattr(each, "pool", None) or getattr(each, "conn", None)
        if getattr(pool, "host", None) and getattr(pool, "port", None):
            return str(pool.host), int(pool.port)  # type: ignore[union-attr]
        if found := re.search(r"host='([^']+)', port=(\d+)", str(each)):
            return found[1], int(found[2])
        url = getattr(getattr(each, "_request", None), "url", None)  # httpx
        if url is not None and getattr(url, "port", None):
            return str(url.host), int(url.port)
    return None


def _api() -> tuple[str, int] | None:
    """Host and port of the cluster that KUBECONFIG names."""
    import yaml

    try:
        with open(os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config"), encoding="utf-8") as file:
            said = yaml.safe_load(file)
        contexts = {each["name"]: each["context"] for each in said["contexts"]}
        clusters = {each["name"]: each["cluster"] for each in said["clusters"]}
        url = urlsplit(clusters[contexts[said["current-context"]]["cluster"]]["server"])
        return str(url.hostname), url.port or 443
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return None


def _listens(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False
