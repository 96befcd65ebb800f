"""A container of its own for a forked child: mount, pid, ipc and UTS namespaces, no capabilities.

`enter` is called in the child, which was forked as pid 1 of a pid namespace. It unshares the others, binds the host's
system folders and the Python environment read-only, gives itself /proc, /dev and /dev/shm, adds its mounts, makes the
result its root and unmounts the old one, which is then gone, not just hidden. With `init` it remains as a reaper and
the program is its child, so that signals from inside the container reach the program. `join` enters the namespaces of a
running container. Without root the parent has the rights for this in a user namespace of its own. See namespaces(7),
pivot_root(2), mount_setattr(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import posixpath
import stat
from collections.abc import Iterable
from typing import Any

from kubeproc.warm import linux
from kubeproc.warm.link import Link

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, SLAVE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 19
DETACH = 2
MOUNT_SETATTR, AT_RECURSIVE, AT_FDCWD = 442, 0x8000, -100
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
LAST_CAPABILITY = 63  # more than there are: the first EINVAL ends the loop
LINKS = 40

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
FOLDERS = ("/home", "/mnt", "/root", "/run", "/srv", "/var/log", "/var/tmp")  # each container has its own


def enter(spec: dict[str, Any], link: Link) -> None:
    """Isolate pid 1 of a new pid namespace; returns in the process of the container's program. `spec`: root, binds,
    mounts, caches, init, cwd, hostname (the host's if it is empty), tty."""
    linux.unshare(linux.NEWNS | linux.NEWIPC | linux.NEWUTS)
    if spec["hostname"]:
        linux.set_hostname(spec["hostname"])
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)  # the host's
    build(spec)
    pivot(spec["root"])
    with contextlib.suppress(OSError):
        os.makedirs(spec["cwd"], exist_ok=True)
    drop_privileges()
    if spec["init"]:
        below_init(link, proc)
    os.close(proc)


def join(spec: dict[str, Any], link: Link) -> None:
    """Become a process of the container that the process `spec["pid"]` runs in; forked into its pid namespace."""
    for name, flag in (("uts", linux.NEWUTS), ("ipc", linux.NEWIPC), ("mnt", linux.NEWNS)):
        linux.setns(f"/proc/{spec['pid']}/ns/{name}", flag)
    drop_privileges()


# mounts


def build(spec: dict[str, Any]) -> None:
    """Put the container's file system together at `root`."""
    root = spec["root"]
    mounts = sorted(spec["mounts"], key=lambda item: posixpath.normpath(item[1]).count("/"))
    mount(None, "/", REC | SLAVE)
    mount(root, root, BIND | REC)
    opened = to_open([posixpath.normpath(target) for _, target, _ in mounts], spec["binds"])
    for path in spec["binds"]:
        show(root, path, opened)
    for path in FOLDERS:
        place(root, path)
    mount("proc", place(root, "/proc"), NOSUID | NODEV | NOEXEC, "proc")
    devices(root, spec["tty"])
    for source, target, read_only in mounts:
        bind(source, place(root, target, folder=os.path.isdir(source)), read_only)
    for source, target in spec["caches"]:
        with contextlib.suppress(OSError):  # optional for a program, and existing files may be its own
            cache(root, source, target)


def cache(root: str, source: str, target: str) -> None:
    """Mount a file or folder read-only that the program would otherwise download."""
    folder = posixpath.dirname(target)
    link = posixpath.join(place(root, posixpath.dirname(folder)), posixpath.basename(folder))
    if os.path.islink(link) and os.path.realpath(link) == posixpath.dirname(source):  # as labkit made it once
        os.unlink(link)
    bind(source, place(root, target, folder=os.path.isdir(source)), True)


def to_open(targets: Iterable[str], binds: Iterable[str]) -> set[str]:
    """Host folders that can't be bound as a whole because a mount target below them does not exist."""
    opened: set[str] = set()
    for target in targets:
        for top in binds:
            if not target.startswith(top + "/") or os.path.lexists(target):
                continue
            path = posixpath.dirname(target)
            while path != posixpath.dirname(top):
                opened |= {os.path.realpath(path)} if os.path.isdir(path) else set()
                path = posixpath.dirname(path)
    return opened


def show(root: str, path: str, opened: set[str]) -> None:
    """The host's `path` in the container, read-only; an opened folder entry by entry."""
    if os.path.islink(path):
        there = root + path
        if not os.path.lexists(there):
            os.makedirs(posixpath.dirname(there), exist_ok=True)
            os.symlink(os.readlink(path), there)
    elif path in opened:
        place(root, path)
        for entry in os.scandir(path):
            show(root, entry.path, opened)
    elif os.path.isdir(path) or os.path.isfile(path):
        bind(path, place(root, path, folder=os.path.isdir(path)), True)


def place(root: str, path: str, folder: bool = True) -> str:
    """A mount point at the container's `path`, created if missing; links are resolved as inside the container, never
    out of root."""
    todo = [part for part in path.split("/") if part not in ("", ".")]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        here = "/".join([root, *done, part])
        try:
            mode = os.lstat(here).st_mode
        except FileNotFoundError:
            make(here, folder or bool(todo), path)
            mode = 0
        if stat.S_ISLNK(mode):
            if (links := links + 1) > LINKS:
                raise OSError(errno.ELOOP, f"mount {path}: {os.strerror(errno.ELOOP)}")
            target = os.readlink(here)
            done = [] if target.startswith("/") else done
            todo = [part for part in target.split("/") if part not in ("", ".")] + todo
            continue
        done.append(part)
    return "/".join([root, *done])


def make(here: str, folder: bool, path: str) -> None:
    try:
        if folder:
            os.mkdir(here, 0o755)
        else:
            os.close(os.open(here, os.O_CREAT | os.O_WRONLY, 0o644))
    except OSError as error:
        raise OSError(error.errno, f"mount {path}: {error.strerror}") from None


def devices(root: str, tty: bool) -> None:
    dev = place(root, "/dev")
    mount("tmpfs", dev, NOSUID, "tmpfs", "mode=755,size=64k")
    for name in DEVICES:
        bind(f"/dev/{name}", place(root, f"/dev/{name}", folder=False), False)
    if tty:  # the program's terminal, opened outside, gets a name inside as well
        with contextlib.suppress(OSError):
            bind(os.ttyname(0), place(root, "/dev/console", folder=False), False)
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    mount("devpts", place(root, "/dev/pts"), NOSUID | NOEXEC, "devpts", "newinstance,ptmxmode=0666,mode=620")
    mount("tmpfs", place(root, "/dev/shm"), NOSUID | NODEV, "tmpfs", "mode=1777")


def bind(source: str, target: str, read_only: bool) -> None:
    mount(source, target, BIND | REC)
    if read_only:
        make_read_only(target)


class MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def make_read_only(target: str) -> None:
    """Make a mount and all mounts below it read-only; before Linux 5.12 one by one, with each mount's (locked)
    flags."""
    wish = MountAttributes(set=RDONLY)
    arguments = (AT_FDCWD, os.fsencode(target), AT_RECURSIVE, ctypes.byref(wish), ctypes.sizeof(wish))
    if linux.libc().syscall(MOUNT_SETATTR, *arguments) == 0:
        return
    for path in mounted_below(target):
        flags = os.statvfs(path).f_flag & (NOSUID | NODEV | NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME | os.ST_RELATIME)
        mount(None, path, REMOUNT | BIND | RDONLY | flags)


def mounted_below(target: str) -> list[str]:
    with open("/proc/self/mountinfo") as file:
        points = [line.split()[4].encode().decode("unicode_escape") for line in file]
    return [point for point in points if point == target or point.startswith(target + "/")]


def mount(source: str | None, target: str, flags: int, kind: str | None = None, data: str | None = None) -> None:
    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    arguments = (text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data))
    linux.check(linux.libc().mount(*arguments), f"mount {source or ''} on {target}")


def pivot(root: str) -> None:
    os.chdir(root)
    linux.check(linux.libc().pivot_root(b".", b"."), "pivot_root")
    linux.check(linux.libc().umount2(b".", DETACH), "umount the old root")
    os.chdir("/")


# privileges


def drop_privileges() -> None:
    linux.prctl(PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError):
        linux.prctl(PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL)
    with contextlib.suppress(OSError):  # EINVAL: beyond the last one; EPERM: no capabilities
        for capability in range(LAST_CAPABILITY + 1):
            linux.prctl(PR_CAPBSET_DROP, capability)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    linux.check(linux.libc().capset(header, (ctypes.c_uint32 * 6)()), "capset")
    linux.die_with_parent()  # a change of credentials undoes it


# an init of the container's own


def below_init(link: Link, proc: int) -> None:
    """Continue as pid 2; this process reaps children, and exits as the program does."""
    read, write_end = os.pipe()
    program = os.fork()
    if program == 0:
        os.close(read)
        os.setsid()
        link.say("program", pid=linux.host_pid(proc))
        return  # exec, or the interpreter itself, closes the end of the pipe
    os.close(write_end)
    for fd in (0, 1, 2):
        os.close(fd)  # readers must see EOF when the program's descriptors close
    os.read(read, 1)
    link.say("running")
    pid, status = os.wait()
    while pid != program:
        pid, status = os.wait()
    with contextlib.suppress(OSError):
        link.say("exited", status=status)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
