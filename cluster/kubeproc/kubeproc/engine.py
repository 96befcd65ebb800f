"""Start, inspect and stop a cluster.

`up` prepares the folder (certificates, tokens, kubeconfig), starts the kubelet as a daemon, which starts the server,
and waits for a byte on a pipe, which means that the cluster is ready. A process is alive while it holds its lock
(`run/kubelet.lock`, `run/server.lock`, with the pid inside); a pid alone proves nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeproc import __version__, embedder, exposed, machines, ready, timestamps
from kubeproc import info as cluster_info
from kubeproc.environment import PORTABLE
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder, appended, own
from kubeproc.folder import portable as without_linux
from kubeproc.network import mode

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_SECONDS = 30
STOP_SECONDS = 30
DAEMONS = ("kubelet", "server")
PHASES = (
    "SELECT coalesce(json_extract(CAST(body AS TEXT), '$.status.phase'), 'Pending'), count(*) "
    "FROM object WHERE resource='pods' GROUP BY 1"
)
PID_PROBES = 100


@dataclass(frozen=True)
class Daemon:
    """One process of the cluster: alive while its lock is held; `pid` is 0 when it is not."""

    name: str
    pid: int

    @property
    def alive(self) -> bool:
        return self.pid > 0


def daemon(folder: ClusterFolder, name: str) -> Daemon:
    """The process that holds the lock `run/NAME.lock`, if any."""
    try:
        with (folder.run / f"{name}.lock").open("rb") as lock:
            for _ in range(PID_PROBES):
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    words = os.pread(lock.fileno(), 20, 0).split()
                    if words and _exists(int(words[0])):
                        return Daemon(name, int(words[0]))
                time.sleep(0.01)  # it holds the lock and has yet to replace the pid of its dead predecessor
    except FileNotFoundError:
        pass
    return Daemon(name, 0)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def up(
    folder: ClusterFolder,
    port: int | None = None,
    nodes: int | None = None,
    node_cpus: int | None = None,
    node_memory: str | None = None,
    portable: bool | None = None,
    network: str | None = None,
    outside: bool = True,
) -> dict[str, Any]:
    """Start the cluster, or the parts that do not run; returns `cluster.json`'s content once the API answers.

    A new cluster has `nodes` nodes (one), each with all of this machine, or with `node_cpus` CPUs and `node_memory`.
    `up` also switches on every node that is off. `portable` says whether to avoid features that only Linux has; None
    leaves that to KUBEPROC_PORTABLE. `network` says whether each pod of a new cluster has a network of its own ("pods") or
    shares this machine's ("shared"); None tries the first, and takes the other where the kernel does not grant it. Pods with
    one reach other networks, by TCP to ports 80 and 443, if `outside`.

    Idempotent: on a running cluster it does nothing. HintedError with the last lines of the logs if the cluster does not
    start within 30 s, if `port` is taken, if the cluster exists with other nodes, or if the folder is not writable.
    """
    from kubeproc import credentials

    own(folder.root)
    own(folder.run)
    with _writing(folder), _alone(folder):
        info = cluster_info.read(folder)
        if not info and any(daemon(folder, name).alive for name in DAEMONS):
            now = embedder.current()
            raise HintedError(f"{folder.info} is missing, but the cluster is running", f"{now.down}, then {now.up}")
        machine_info = _machines(info, {"nodes": nodes, "node_cpus": node_cpus, "node_memory": node_memory})
        kind = _network(folder, info, network, portable)
        stopped = [name for name in machines.names(machine_info["nodes"]) if machines.is_off(folder, name)]
        for name in stopped:
            machines.switch(folder, name, on=True)
        if daemon(folder, "kubelet").alive:
            if stopped:
                _tell_kubelet(folder)
            credentials.prepare(folder, info["port"])  # restores a deleted kubeconfig
            if port and port != info["port"]:
                raise HintedError(
                    f"the cluster runs on port {info['port']}, not on {port}",
                    f"{embedder.current().down}, then {embedder.current().up} with --port",
                )
            _await_server(folder, info["port"])
            return info
        for part in (folder.artifacts, folder.log):
            own(part)
        server_alive = daemon(folder, "server").alive
        chosen = info["port"] if server_alive else _port(port, info.get("port"))
        credentials.prepare(folder, chosen)
        info = {
            "name": folder.root.name,
            "port": chosen,
            "created": info.get("created") or timestamps.now(),
            "kubeproc": __version__,
            **machine_info,
            "network": kind,
            **(
                {"outside": info.get("outside", [] if not outside else list(mode.OUTSIDE))} if kind == mode.PODS else {}
            ),
            **embedder.saved(embedder.current()),
        }
        cluster_info.write(folder, info)
        _start_kubelet(folder, portable)
        return info


def another() -> str:
    """A hint: how to start another cluster beside this one, or instead of it."""
    now = embedder.current()
    return f"{now.another} to start a second cluster; {now.purge} deletes this one with all its state"


def _machines(info: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The nodes' settings for cluster.json; HintedError if an existing cluster has other ones than `asked`."""
    if not info:
        return {"nodes": 1} | {name: value for name, value in asked.items() if value is not None}
    has = {"nodes": 1} | {name: info[name] for name in asked if name in info}
    words = {"nodes": "nodes", "node_cpus": "CPUs of a node", "node_memory": "memory of a node"}
    for name, value in asked.items():
        if value not in (None, has.get(name)):
            what = f"{words[name]} {has.get(name) or 'as this machine has'}"
            raise HintedError(f"the cluster already exists, with {what}", another())
    return has


def _network(folder: ClusterFolder, info: dict[str, Any], asked: str | None, portable: bool | None) -> str:
    """The network's kind for cluster.json. HintedError if the cluster has another one, or if this machine does not support it."""
    translated = without_linux() if portable is None else portable
    if info:
        has: str = info.get("network", mode.SHARED)
        if asked not in (None, has):
            raise HintedError(f"the cluster already exists, with the network {has}", another())
        if has == mode.PODS and translated:
            words = f"unset {PORTABLE}, or {another()}"
            raise HintedError(
                "the pods of this cluster have a network of their own, and translated paths exclude it", words
            )
        return has
    if asked == mode.SHARED:
        return mode.SHARED
    from kubeproc.network import client

    own(folder.log)
    if translated:
        why = "paths are translated, as on a machine without namespaces"
    else:
        why = client.missing(folder.log / "network.log")
    if why and asked == mode.PODS:
        words = f"{embedder.current().up} without --network pods makes a cluster whose pods share this machine's"
        raise HintedError(f"pods can't have a network of their own here: {why}", words)
    return mode.SHARED if why else mode.PODS


def _tell_kubelet(folder: ClusterFolder) -> None:
    """Make the kubelet read the switches now; a kubelet that is still to start reads them by itself."""
    import httpx

    transport = httpx.HTTPTransport(uds=str(folder.kubelet_socket))
    with httpx.Client(transport=transport, timeout=READY_SECONDS) as client, contextlib.suppress(httpx.TransportError):
        client.post("http://kubelet/power")


def power(folder: ClusterFolder, node: str, on: bool) -> None:
    """Switch a node off or on. The node's pods end at once and nothing reports it: the node controller finds out. The
    API runs on no node, so any node can fail, even the only one."""
    machines.switch(folder, node, on)
    _tell_kubelet(folder)


@contextlib.contextmanager
def _alone(folder: ClusterFolder) -> Iterator[None]:
    """One `up` or `down` at a time; the second waits for the first."""
    with (folder.run / "up.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _writing(folder: ClusterFolder) -> Iterator[None]:
    """Turn a failed write into a HintedError."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder.root
        raise HintedError(
            f"{where} can't be written: {error.strerror}",
            "is the disk full, or does the folder belong to another user?",
        ) from error


def _port(asked: int | None, before: int | None) -> int:
    """The requested port, else the previous one if it is free, else a free one."""
    for candidate in (asked, before):
        if candidate and _free(candidate):
            return candidate
        if candidate and candidate == asked:
            raise HintedError(f"port {asked} is taken", "choose another one with --port, or omit --port")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _start_kubelet(folder: ClusterFolder, portable: bool | None = None) -> None:
    """Start the daemon and wait for its byte; its end of the pipe closes when it dies, which ends the wait."""
    read, write = os.pipe()
    log = appended(folder.log / "kubelet.log")
    command = [sys.executable, "-m", "kubeproc.kubelet_process", "--home", str(folder.root), "--ready-fd", str(write)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[write],
            start_new_session=True,
            cwd="/",
            env=_environment(portable),
        )
        os.close(write)
        said, _, _ = select.select([read], [], [], READY_SECONDS)
        if not said or not ready.read(read):
            if process.poll() is None:
                process.terminate()
            what = "did not come up within 30 s" if not said else f"ended with exit code {process.wait()}"
            raise HintedError(f"the cluster {what}:\n{last_words(folder)}", f"the complete logs are in {folder.log}")
    except HintedError:
        process.wait(STOP_SECONDS)  # it reported the reason and ends: no process may outlive the error
        raise
    finally:
        os.close(read)
        log.close()


def _await_server(folder: ClusterFolder, port: int) -> None:
    """Return once the API's port accepts connections: the kubelet may be restarting its server."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=READY_SECONDS).close()
            return
        except OSError:
            time.sleep(0.02)  # nothing listens: there is nothing to watch
    raise HintedError(
        f"the API did not answer within {READY_SECONDS} s:\n{last_words(folder)}", f"the logs: {folder.log}"
    )


def _environment(portable: bool | None) -> dict[str, str]:
    """The daemons' environment: the caller's, without the variables that concern only the caller's process."""
    dropped = {"PYTHONSTARTUP", "MPLBACKEND", "JPY_PARENT_PID", "KUBECONFIG", "TF_CONFIG"}
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    return kept if portable is None else kept | {PORTABLE: str(int(portable))}


def last_words(folder: ClusterFolder, lines: int = 12) -> str:
    """The last lines of both daemons' logs, for an error message."""
    found = []
    for name in DAEMONS:
        path = folder.log / f"{name}.log"
        if path.exists():
            found += [f"  {name}: {line}" for line in path.read_text(errors="replace").splitlines()[-lines:]]
    return "\n".join(found) or "  (the logs are empty)"


def down(folder: ClusterFolder, purge: bool = False) -> bool:
    """Stop the cluster and all its pods; `purge` also deletes its state. False when there was nothing to stop."""
    if not folder.root.exists():
        return False
    own(folder.run)
    with _alone(folder):
        found = [d for d in (daemon(folder, name) for name in DAEMONS) if d.alive]
        for process in found:
            _end(folder, process)
    if purge:
        shutil.rmtree(folder.run, ignore_errors=True)
        shutil.rmtree(folder.plain, ignore_errors=True)
        cluster_info.delete(folder.root)
    return bool(found) or purge


def _end(folder: ClusterFolder, process: Daemon) -> None:
    """Send TERM, then KILL if the process does not end; returns when the process has released its lock."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        # Check the lock, not the pid: the process remains a zombie while its parent lives and does not wait for it.
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if daemon(folder, process.name).pid != process.pid:
                return
            time.sleep(0.01)
    raise HintedError(f"the {process.name} (pid {process.pid}) does not end", f"the logs: {folder.log}")


def status(folder: ClusterFolder) -> dict[str, Any]:
    """What runs: `{name, state, api, folder, daemons: {server: pid, kubelet: pid}, nodes: {name: running or stopped},
    pods: {phase: count}, mechanisms, notes}`; state is running, degraded (one of two processes runs, or a node is off),
    stopped or absent."""
    info = cluster_info.read(folder)
    daemons = {name: daemon(folder, name).pid for name in DAEMONS}
    alive = sum(pid > 0 for pid in daemons.values())
    nodes = {m.name: _node_state(folder, m.name, daemons["kubelet"]) for m in machines.of(folder)} if info else {}
    state = "absent" if not info else ("stopped", "degraded", "running")[alive]
    if state == "running" and "stopped" in nodes.values():
        state = "degraded"
    api = f"https://127.0.0.1:{info['port']}" if info else ""
    return {
        "name": folder.root.name,
        "state": state,
        "api": api,
        "folder": str(folder.root),
        "daemons": daemons,
        "nodes": nodes,
        **(_inside(folder) if alive else {}),
    }


def _node_state(folder: ClusterFolder, name: str, kubelet: int) -> str:
    return "running" if kubelet and not machines.is_off(folder, name) else "stopped"


def _inside(folder: ClusterFolder) -> dict[str, Any]:
    """The number of pods in each phase, and how they are isolated: read from the database directly, not through the
    server."""
    try:
        return _read_inside(folder)
    except sqlite3.Error:
        return {}  # a command that needs the database reports the damage


def _read_inside(folder: ClusterFolder) -> dict[str, Any]:
    with contextlib.closing(sqlite3.connect(f"file:{folder.database}?mode=ro", uri=True, timeout=2)) as database:
        pods = dict(database.execute(PHASES))
        node = database.execute("SELECT body FROM object WHERE resource='nodes'").fetchone()
        notes = exposed.notes(database)
    annotations = json.loads(node[0])["metadata"].get("annotations", {}) if node else {}
    mechanisms = json.loads(annotations.get("labkit.dev/mechanisms", "{}"))
    return {"pods": pods, "mechanisms": mechanisms, "notes": notes}
