"""Start, look at and stop an embedded cluster: the engine's side of `labkit up`, `status` and `down`.

`up` prepares the folder (certificates, tokens, kubeconfig), starts the kubelet as a daemon, which starts the server,
and waits until a byte comes through a pipe: the cluster is ready then. Who is alive is told by the locks that both
processes hold (`run/kubelet.lock`, `run/server.lock`, the pid inside), never by a pid alone.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import __version__
from labkit.embedded import exposed, machines, ready
from labkit.errors import LabError
from labkit.paths import ClusterFolder, appended, own

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
ANOTHER = (
    "labkit up --name OTHER makes another one beside it; labkit down --purge deletes this one with all that is in it"
)


@dataclass(frozen=True)
class Daemon:
    """One process of the cluster: alive while its lock is held; `pid` is 0 when it is not."""

    name: str
    pid: int

    @property
    def alive(self) -> bool:
        return self.pid > 0


def daemon(folder: ClusterFolder, name: str) -> Daemon:
    """Who holds the lock `run/NAME.lock`, if anybody."""
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
                time.sleep(0.01)  # it has the lock, and is about to write its pid over that of a dead one
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
) -> dict[str, Any]:
    """Start the cluster, or what is missing of it; returns `cluster.json`'s content once the API answers.

    A new cluster has `nodes` nodes (one), each with all of this machine, or with `node_cpus` CPUs and `node_memory`. All
    of them have power afterwards. Idempotent: on a cluster that runs it does nothing. LabError with the last words of the
    logs when it does not come up within 30 s, when the asked `port` is taken, when the cluster is there with other nodes,
    or when the folder can't be written.
    """
    from labkit.embedded import credentials

    own(folder.root)
    own(folder.run)
    with _writing(folder), _alone(folder):
        info = read_info(folder)
        if not info and any(daemon(folder, name).alive for name in DAEMONS):
            raise LabError(f"{folder.info} is gone, but the cluster runs", "labkit down, then labkit up")
        machine_info = _machines(info, {"nodes": nodes, "node_cpus": node_cpus, "node_memory": node_memory})
        stopped = [name for name in machines.names(machine_info["nodes"]) if machines.is_off(folder, name)]
        for name in stopped:
            machines.switch(folder, name, on=True)
        if daemon(folder, "kubelet").alive:
            if stopped:
                _tell_kubelet(folder)
            credentials.prepare(folder, info["port"])  # a kubeconfig that was deleted is back
            if port and port != info["port"]:
                raise LabError(
                    f"the cluster runs on port {info['port']}, not on {port}", "labkit down, then up with --port"
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
            "engine": "embedded",
            "port": chosen,
            "created": info.get("created") or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "labkit": __version__,
            **machine_info,
        }
        _write_info(folder, info)
        _start_kubelet(folder)
        return info


def _machines(info: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """What cluster.json says, or shall say, about the nodes; LabError where something else is asked for."""
    if not info:
        return {"nodes": 1} | {name: value for name, value in asked.items() if value is not None}
    has = {"nodes": 1} | {name: info[name] for name in asked if name in info}
    words = {"nodes": "nodes", "node_cpus": "CPUs of a node", "node_memory": "memory of a node"}
    for name, value in asked.items():
        if value not in (None, has.get(name)):
            what = f"{words[name]} {has.get(name) or 'as this machine has'}"
            raise LabError(f"the cluster is there already, with {what}", ANOTHER)
    return has


def _tell_kubelet(folder: ClusterFolder) -> None:
    """Let the kubelet look at the switches now; one that is dead, or only starting, looks by itself."""
    import httpx

    transport = httpx.HTTPTransport(uds=str(folder.kubelet_socket))
    with httpx.Client(transport=transport, timeout=READY_SECONDS) as client, contextlib.suppress(httpx.TransportError):
        client.post("http://kubelet/power")


def power(folder: ClusterFolder, node: str, on: bool) -> None:
    """Take the power of a node, or give it again. Its pods end at once and nobody says so: the node controller finds out.
    The API is not on any node: every one of them can fail, the only one too."""
    machines.switch(folder, node, on)
    _tell_kubelet(folder)


def read_info(folder: ClusterFolder) -> dict[str, Any]:
    """What `cluster.json` says, empty when there is no cluster."""
    try:
        info: dict[str, Any] = json.loads(folder.info.read_text())
        return info
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LabError(
            f"{folder.info} can't be read: {error.strerror}", "set LABKIT_HOME to a folder of your own"
        ) from error
    except ValueError as error:
        raise LabError(f"{folder.info} is damaged: {error}", "labkit down --purge, then labkit up") from error


def _write_info(folder: ClusterFolder, info: dict[str, Any]) -> None:
    new = folder.info.with_suffix(".new")
    new.write_text(json.dumps(info, indent=1))
    new.replace(folder.info)


@contextlib.contextmanager
def _alone(folder: ClusterFolder) -> Iterator[None]:
    """One `up` or `down` at a time; the second waits for the first."""
    with (folder.run / "up.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _writing(folder: ClusterFolder) -> Iterator[None]:
    """What can't be written is told to a person."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder.root
        raise LabError(
            f"{where} can't be written: {error.strerror}", "is the disk full, or the folder not yours?"
        ) from error


def _port(asked: int | None, before: int | None) -> int:
    """The port asked for, else the one of last time if it is free, else a free one."""
    for candidate in (asked, before):
        if candidate and _free(candidate):
            return candidate
        if candidate and candidate == asked:
            raise LabError(f"port {asked} is taken", "choose another one with --port, or leave --port out")
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


def _start_kubelet(folder: ClusterFolder) -> None:
    """Start the daemon and wait for its byte; its end of the pipe closes when it dies, so that nobody waits in vain."""
    read, write = os.pipe()
    log = appended(folder.log / "kubelet.log")
    command = [sys.executable, "-m", "labkit.embedded.kubelet", "--home", str(folder.root), "--ready-fd", str(write)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[write],
            start_new_session=True,
            cwd="/",
            env=_environment(),
        )
        os.close(write)
        said, _, _ = select.select([read], [], [], READY_SECONDS)
        if not said or not ready.read(read):
            if process.poll() is None:
                process.terminate()
            what = "did not come up within 30 s" if not said else f"ended with exit code {process.wait()}"
            raise LabError(f"the cluster {what}:\n{last_words(folder)}", f"the whole logs are in {folder.log}")
    except LabError:
        process.wait(STOP_SECONDS)  # it has said why, and is ending: nothing runs on when the caller hears of it
        raise
    finally:
        os.close(read)
        log.close()


def _await_server(folder: ClusterFolder, port: int) -> None:
    """Return once the API's port accepts: the kubelet may be starting its server again at this moment."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=READY_SECONDS).close()
            return
        except OSError:
            time.sleep(0.02)  # nobody listens: there is nothing to watch
    raise LabError(f"the API did not answer within {READY_SECONDS} s:\n{last_words(folder)}", f"the logs: {folder.log}")


def _environment() -> dict[str, str]:
    """The daemons' environment: the caller's, without what belongs to the caller's own process."""
    dropped = {"PYTHONSTARTUP", "MPLBACKEND", "JPY_PARENT_PID", "KUBECONFIG", "TF_CONFIG"}
    return {k: v for k, v in os.environ.items() if k not in dropped}


def last_words(folder: ClusterFolder, lines: int = 12) -> str:
    """The last lines of both daemons' logs, for an error's text."""
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
        _delete(folder.root)
    return bool(found) or purge


def _end(folder: ClusterFolder, process: Daemon) -> None:
    """TERM, and KILL when that was not enough; returns when the process has let go of its lock."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        # The lock, not the pid: the process stays a zombie for as long as a parent that does not wait for it lives.
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if daemon(folder, process.name).pid != process.pid:
                return
            time.sleep(0.01)
    raise LabError(f"the {process.name} (pid {process.pid}) does not end", f"the logs: {folder.log}")


def _delete(root: Path) -> None:
    shutil.rmtree(root, onerror=_delete_by_force)


def _delete_by_force(function: Any, path: str, _error: Any) -> None:
    """Try again what a missing permission has prevented; whatever a link leads to keeps its own."""
    os.chmod(os.path.dirname(path), 0o700)
    if not os.path.islink(path):
        os.chmod(path, 0o700)
    function(path)


def status(folder: ClusterFolder) -> dict[str, Any]:
    """What runs: `{name, engine, state, api, folder, daemons: {server: pid, kubelet: pid}, nodes: {name: running or stopped},
    pods: {phase: count}, mechanisms, notes}`; state is running, degraded (one of two processes, or a node without power),
    stopped or absent."""
    info = read_info(folder)
    daemons = {name: daemon(folder, name).pid for name in DAEMONS}
    alive = sum(pid > 0 for pid in daemons.values())
    nodes = {m.name: _node_state(folder, m.name, daemons["kubelet"]) for m in machines.of(folder)} if info else {}
    state = "absent" if not info else ("stopped", "degraded", "running")[alive]
    if state == "running" and "stopped" in nodes.values():
        state = "degraded"
    api = f"https://127.0.0.1:{info['port']}" if info else ""
    return {
        "name": folder.root.name,
        "engine": "embedded",
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
    """How many pods are in which phase, and how they are kept apart: read from the database, beside its server."""
    try:
        return _read_inside(folder)
    except sqlite3.Error:
        return {}  # a damaged database is told by whoever needs it


def _read_inside(folder: ClusterFolder) -> dict[str, Any]:
    with contextlib.closing(sqlite3.connect(f"file:{folder.database}?mode=ro", uri=True, timeout=2)) as database:
        pods = dict(database.execute(PHASES))
        node = database.execute("SELECT body FROM object WHERE resource='nodes'").fetchone()
        notes = exposed.notes(database)
    annotations = json.loads(node[0])["metadata"].get("annotations", {}) if node else {}
    mechanisms = json.loads(annotations.get("labkit.dev/mechanisms", "{}"))
    return {"pods": pods, "mechanisms": mechanisms, "notes": notes}
