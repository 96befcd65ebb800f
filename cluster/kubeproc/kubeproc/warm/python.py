"""Turns a forked child into a Python interpreter without starting one.

`python -m M`, `-c CODE`, `FILE` and `-` run as in the interpreter's own main: argv, `sys.path[0]`, `__main__`, standard
streams, exit codes, tracebacks, exit handlers, waiting for threads. Two things differ from a new process: the modules of the
parent are imported, with their import-time settings, and the hash seed is the parent's. `reread` reads again what such a
module has read from the parent's environment.
"""

from __future__ import annotations

import atexit
import builtins
import ctypes
import gc
import io
import linecache
import os
import random
import runpy
import signal
import sys
import tempfile
import threading
import time
import types
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, SourceFileLoader
from typing import Any, NoReturn

from kubeproc.warm import reread
from kubeproc.warm.link import Link

FLAGS = {"-u", "-B"}
C_LOCALES = {"C", "POSIX", "C.UTF-8", "C.utf8", "UTF-8"}  # where Python tolerates bytes that are not text


@dataclass(frozen=True)
class Command:
    """`kind` is "-m", "-c", "-" or "file"; `target` the module, the code or the file; `args` what follows."""

    kind: str
    target: str
    args: list[str]
    flags: frozenset[str]


def parse(argv: list[str]) -> Command | None:
    """Parse a python command line; None if it needs a new interpreter."""
    rest = argv[1:]
    flags = set()
    while rest and rest[0] in FLAGS:
        flags.add(rest.pop(0))
    if not rest:
        return None
    if rest[0] in ("-m", "-c"):
        return Command(rest[0], rest[1], rest[2:], frozenset(flags)) if len(rest) > 1 else None
    if rest[0] == "-":
        return Command("-", "<stdin>", rest[1:], frozenset(flags))
    if rest[0].startswith("-"):
        return None
    return Command("file", rest[0], rest[1:], frozenset(flags))


def run(argv: list[str], env: dict[str, str], link: Link) -> NoReturn:
    command = parse(argv)
    if command is None or (command.kind == "file" and not os.path.isfile(command.target)):
        env_python = [sys.executable, *argv[1:]]  # a folder, an archive or no arguments: left to the interpreter
        os.execve(sys.executable, env_python, env)
    renew(argv, env, command)
    link.say("running")
    link.close()
    code = 0
    try:
        execute(command)
    except BaseException as error:
        code = outcome(error)
    leave(code)


def renew(argv: list[str], env: dict[str, str], command: Command) -> None:
    """Make this process look like an interpreter that has just started."""
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    reread.kubeconfig()
    reread.backend()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    open_streams("-u" in command.flags or bool(env.get("PYTHONUNBUFFERED")))
    sys.dont_write_bytecode = "-B" in command.flags or bool(env.get("PYTHONDONTWRITEBYTECODE"))
    sys.orig_argv = list(argv)
    sys.argv = [command.target if command.kind == "file" else command.kind, *command.args]
    sys.path.insert(0, first_path(command))
    sys.path_importer_cache.clear()
    tempfile.tempdir = None
    reseed()
    main = types.ModuleType("__main__")
    main.__builtins__ = builtins  # type: ignore[attr-defined]
    main.__annotations__ = {}
    main.__loader__ = BuiltinImporter  # type: ignore[assignment]
    sys.modules["__main__"] = main


def open_streams(unbuffered: bool) -> None:
    """Standard streams as Python opens them (create_stdio in its pylifecycle.c)."""

    def stream(fd: int, name: str, errors: str, lines: bool = False) -> io.TextIOWrapper:
        raw = io.FileIO(fd, "w" if fd else "r", closefd=False)
        raw.name = name  # type: ignore[misc]
        buffer: Any = raw if fd and unbuffered else io.BufferedWriter(raw) if fd else io.BufferedReader(raw)
        through = bool(fd and unbuffered)
        wrapper = io.TextIOWrapper(buffer, "utf-8", errors, line_buffering=lines and not through, write_through=through)
        wrapper.mode = "w" if fd else "r"  # type: ignore[misc]
        return wrapper

    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "C"
    errors = "surrogateescape" if locale in C_LOCALES else "strict"
    sys.stdin = sys.__stdin__ = stream(0, "<stdin>", errors)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = stream(1, "<stdout>", errors, os.isatty(1))  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = stream(2, "<stderr>", "backslashreplace", True)  # type: ignore[misc]


def first_path(command: Command) -> str:
    if command.kind == "-m":
        return os.getcwd()
    if command.kind == "file":
        return os.path.dirname(os.path.realpath(command.target))
    return ""


def reseed() -> None:
    """Give each child random numbers of its own, if the parent has drawn or seeded any."""
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def execute(command: Command) -> None:
    main = sys.modules["__main__"].__dict__
    if command.kind == "-m":
        runpy._run_module_as_main(command.target)  # type: ignore[attr-defined]  # what `python -m` itself calls
        return
    if command.kind == "file":
        name = os.path.join(os.getcwd(), command.target)
        with io.open_code(name) as file:
            source: bytes | str = file.read()
        main["__loader__"] = SourceFileLoader("__main__", name)
    elif command.kind == "-":
        source, name = sys.stdin.buffer.read(), "<stdin>"
    else:
        source, name = command.target, "<string>"
        if sys.version_info >= (3, 13):  # from here on tracebacks show lines of -c
            linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    if command.kind != "-c":
        main |= {"__file__": name, "__cached__": None}
    exec(compile(source, name, "exec", dont_inherit=True), main)


def outcome(error: BaseException) -> int:
    """The exit code of an exception, which is printed to stderr as the interpreter prints it."""
    if isinstance(error, SystemExit):
        code = error.code
        if code is None or isinstance(code, int):
            return (code or 0) & 0xFF
        print(code, file=sys.stderr)
        return 1
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    error.__traceback__ = trace
    sys.excepthook(type(error), error, trace)
    return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def leave(code: int) -> NoReturn:
    """Exit as an interpreter does, without the slow teardown of the modules that the parent imported."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException as error:
        outcome(error)
    sys.setswitchinterval(3600)  # from here on daemon threads stop, as in a real exit
    vars(sys.modules["__main__"]).clear()  # open files are flushed, finalizers run
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120
    ctypes.CDLL(None).fflush(None)
    if code < 0:  # end by the signal, as Python does on Ctrl-C, so that shells see it
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        code = 128 - code
    os._exit(code)
