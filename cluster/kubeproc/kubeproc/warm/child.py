"""What a forked child does before its program runs.

It closes all descriptors of its parent except its link, takes the descriptors of the request as standard input, output and
error, starts a session of its own, and asks the kernel to end it with its parent. A request may name an `enter` function
(`module:name`, called with the request's `spec` and the link), which isolates the process further and returns in the process
that is to run the program. The child then calls exec, or runs Python in place.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import resource
import signal
import socket
import termios
from typing import NoReturn

from kubeproc.warm import linux, wire
from kubeproc.warm.link import Link


def become(request: wire.Message, fds: list[int], sock: socket.socket) -> NoReturn:
    link = Link(sock)
    try:
        settle(request, fds, link)
        if linux.available and not request.get("portable"):
            link.say("program", pid=linux.host_pid())
        if request.get("enter"):
            module, name = request["enter"].split(":")
            getattr(importlib.import_module(module), name)(request["spec"], link)
        if request.get("tty"):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        enter_folder(request["cwd"])
        if request.get("python"):
            from kubeproc.warm import python

            python.run(request["argv"], request["env"], link)
        execute(request["argv"], request["env"])
    except BaseException as error:
        link.fail(error)


def settle(request: wire.Message, fds: list[int], link: Link) -> None:
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if len(fds) > 3:
        linux.enter(fds[3], linux.NEWNET, "the pod's network")
    if linux.available and not request.get("portable"):
        linux.die_with_parent()
    for target, source in enumerate(fds[:3]):  # received descriptors lie above 2: the parent keeps 0 to 2 open
        os.dup2(source, target)
    keep = link.sock.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 20))
    os.umask(0o022)


def enter_folder(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        raise OSError(error.errno, f'chdir to cwd ("{path}"): {os.strerror(error.errno or 0).lower()}') from None


def execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    """exec, with argv[0] looked up in the program's own PATH; errors have the messages of container runtimes."""
    name = argv[0]
    try:
        os.execvpe(name, argv, env)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            missing = "no such file or directory" if "/" in name else "executable file not found in $PATH"
            raise OSError(error.errno, f'exec: "{name}": {missing}') from None
        raise OSError(error.errno, f'exec: "{name}": {os.strerror(error.errno or 0).lower()}') from None
