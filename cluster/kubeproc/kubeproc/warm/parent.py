"""The control loop of a parent: forks on request, reaps, reports, and kills every child at the end.

One thread, one `poll`. It listens to its starter's socket, to SIGCHLD (through a wake-up socket) and to one *link* for each
child whose program has not started. The child reports its progress over the link, which exec closes. The parent can fork a
child into another pid namespace; the child enters other namespaces itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from kubeproc.warm import child, linux, wire

CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


@dataclass
class Record:
    """The parent's record of a child. The parent waits for `pid` and sends signals to `program` (they differ below an init)."""

    id: int
    pid: int
    link: socket.socket | None
    program: int = 0
    host: int = 0  # the program's pid in the starter's pid namespace
    started: float = 0.0
    error: str = ""
    errno: int = 0
    status: int | None = None  # reported by the child's own init
    ended: tuple[int, float, int] | None = None  # wait status, time, maxrss
    inbox: bytearray = field(default_factory=bytearray)


class Parent:
    def __init__(self, sock: socket.socket, loaded: dict[str, Any]) -> None:
        self.sock = sock
        self.reader = wire.Reader(sock)
        self.loaded = loaded
        self.records: dict[int, Record] = {}  # by id
        self.pids: dict[int, Record] = {}
        self.links: dict[int, Record] = {}  # by descriptor
        self.poll = select.poll()
        self.wake, self.waker = socket.socketpair()
        self.pid = linux.host_pid() if linux.available else os.getpid()
        self.ending = False

    def run(self) -> None:
        for end in (self.wake, self.waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.poll.register(self.sock, select.POLLIN)
        self.poll.register(self.wake, select.POLLIN)
        try:
            self.tell({"event": "ready", "pid": self.pid, "loaded": self.loaded})
            while not self.ending:
                for fd, _ in self.poll.poll():
                    self.turn(fd)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the starter is gone
        finally:
            self.kill_all()

    def end(self, *_: Any) -> None:
        self.ending = True

    def turn(self, fd: int) -> None:
        if fd == self.sock.fileno():
            self.hear()
        elif fd == self.wake.fileno():
            with contextlib.suppress(BlockingIOError):
                self.wake.recv(4096)
            self.reap()
        elif fd in self.links:
            self.listen(self.links[fd])

    def tell(self, message: wire.Message) -> None:
        wire.send(self.sock, message)

    # requests

    def hear(self) -> None:
        if not self.reader.read():
            self.ending = True
        for message, fds in self.reader.messages():
            if message["op"] == "spawn":
                self.spawn(message, fds)
            elif message["op"] == "signal":
                self.signal(message["id"], message["signal"])
            elif message["op"] == "stop":
                self.ending = True

    def spawn(self, request: wire.Message, fds: list[int]) -> None:
        record = None
        try:
            with linux.children_in(request.get("pid_namespace", "")):
                record = self.fork(request, fds)
        except OSError as error:
            self.tell({"event": "failed", "id": request["id"], "error": str(error), "errno": error.errno})
        for fd in fds:
            os.close(fd)
        if record and record.link:
            self.records[record.id] = self.pids[record.pid] = self.links[record.link.fileno()] = record
            self.poll.register(record.link, select.POLLIN)

    def fork(self, request: wire.Message, fds: list[int]) -> Record:
        ours, theirs = socket.socketpair()
        if linux.available:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        pid = os.fork()
        if pid == 0:
            self.let_go(ours)
            child.become(request, fds, theirs)
        theirs.close()
        return Record(request["id"], pid, ours)

    def let_go(self, ours: socket.socket) -> None:
        """In the child: forget the parent's descriptors, so that a collected object does not close a number that is reused."""
        signal.set_wakeup_fd(-1)
        for sock in (ours, self.sock, self.wake, self.waker, *(r.link for r in self.records.values() if r.link)):
            sock.detach()

    def signal(self, id: int, number: int) -> None:
        record = self.records.get(id)
        if record and not record.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.program or record.pid, number)

    # what children report before their program runs

    def listen(self, record: Record) -> None:
        assert record.link is not None
        data, ancillary, _, _ = record.link.recvmsg(wire.CHUNK, socket.CMSG_SPACE(CREDENTIALS.size))
        sender = 0
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == getattr(socket, "SCM_CREDENTIALS", None):
                sender = CREDENTIALS.unpack(value[: CREDENTIALS.size])[0]
        record.inbox += data
        while (end := record.inbox.find(b"\n")) >= 0:
            self.heard(record, json.loads(bytes(record.inbox[:end])), sender)
            del record.inbox[: end + 1]
        if not data:
            self.hang_up(record)
            self.begun(record)  # exec has closed the link: the program runs
            self.finish(record)

    def heard(self, record: Record, message: wire.Message, sender: int) -> None:
        if message["state"] == "program":  # a second one comes if the child has its own init
            record.program, record.host = sender, message["pid"]
        elif message["state"] == "running":
            self.begun(record)
        elif message["state"] == "exited":
            record.status = message["status"]
        elif message["state"] == "failed":
            record.error, record.errno = message["error"], message["errno"]

    def begun(self, record: Record) -> None:
        if not record.started and not record.error:
            record.started = record.ended[1] if record.ended else time.time()
            started = {"pid": record.host or record.pid, "at": record.started}
            self.tell({"event": "started", "id": record.id, **started})

    def hang_up(self, record: Record) -> None:
        if record.link:
            self.links.pop(record.link.fileno(), None)
            self.poll.unregister(record.link)
            record.link.close()
            record.link = None

    # ends

    def reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            record = self.pids.pop(pid, None)
            if record is None:
                continue  # an orphan that was adopted
            record.ended = (status, time.time(), usage.ru_maxrss)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # a container ends with its first process
            self.finish(record)

    def finish(self, record: Record) -> None:
        """Report an end once it is known and the link is closed."""
        if not record.ended or record.link or record.id not in self.records:
            return
        status, finished, maxrss = record.ended
        del self.records[record.id]
        if record.error or not record.started:
            error = record.error or "ended before its program began"
            self.tell({"event": "failed", "id": record.id, "error": error, "errno": record.errno})
            return
        code, number = ended(record.status if record.status is not None else status)
        report = {"code": code, "signal": number, "started": record.started, "finished": finished, "maxrss": maxrss}
        self.tell({"event": "exited", "id": record.id, **report})

    def kill_all(self) -> None:
        """SIGKILL for every descendant, and wait until none is left."""
        if os.getpid() == 1:
            return  # the kernel kills them
        for pid in [record.pid for record in self.records.values()] + descendants():
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(pid, signal.SIGKILL)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                return
            for pid in descendants():  # orphans that this process has adopted
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def ended(status: int) -> tuple[int, int | None]:
    """(exit code, signal) of a wait status; the exit code of a killed process is 128 + the signal, as in shells and runtimes."""
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (128 - code, -code)


def descendants() -> list[int]:
    """Pids of all processes below this one."""
    try:
        import psutil
    except ImportError:
        return []
    with contextlib.suppress(psutil.Error):
        return [process.pid for process in psutil.Process().children(recursive=True)]
    return []
