"""Linux system calls that Python's `os` lacks (it has unshare and setns from 3.12): dying with the parent, adopting orphans,
namespaces."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import sys
from collections.abc import Iterator

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MADV_DONTNEED = 4
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

available = sys.platform == "linux"


@functools.cache
def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """Raise the OSError of a C call that returned -1; `what` names the call and its object."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int) -> None:
    check(libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def die_with_parent() -> None:
    """Get SIGKILL when the thread that forked this process ends; a change of credentials undoes it."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent has ended."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def set_hostname(name: str) -> None:
    data = os.fsencode(name)
    check(libc().sethostname(data, ctypes.c_size_t(len(data))), f"sethostname {name}")


def unshare(flags: int) -> None:
    check(libc().unshare(flags), "unshare")


def setns(path: str, flag: int) -> None:
    """Enter the namespace behind a path such as /proc/PID/ns/mnt; a pid namespace applies to children only."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(fd, flag, path)
    finally:
        os.close(fd)


def enter(fd: int, flag: int, what: str = "a namespace") -> None:
    """Enter the namespace behind a descriptor."""
    check(libc().setns(fd, flag), f"setns {what}")


@contextlib.contextmanager
def children_in(pid_namespace: str) -> Iterator[None]:
    """Fork children into another pid namespace: "new" (as its pid 1), that of a process (its pid), or "" (this process's own).

    This saves a fork: a process that unshares by itself must fork again, and copying the page tables of a parent with
    TensorFlow takes ten milliseconds. The way back needs rights over this process's namespace: see `rule_descendants`.
    """
    if not pid_namespace:
        yield
        return
    if pid_namespace == "new":
        unshare(NEWPID)
    else:
        setns(f"/proc/{pid_namespace}/ns/pid", NEWPID)
    try:
        yield  # the child leaves by exec or _exit, not by returning from here
    finally:
        setns("/proc/self/ns/pid", NEWPID)


def rule_descendants(user_namespace: bool, starter: int, users: int | None = None) -> None:
    """Continue as pid 1 of a new pid namespace: when this process ends, the kernel ends all its descendants.

    The calling process waits for it and exits in the same way; it dies with its own parent if that is `starter`. (Without
    such a namespace it must outlive its parent, to kill the descendants.) A user other than root gets the rights from a user
    namespace: the one behind the descriptor `users`, or a new one.
    """
    if users is not None:
        enter(users, NEWUSER, "the cluster's user namespace")
        os.close(users)
    elif user_namespace:
        enter_user_namespace()
    unshare(NEWPID)
    pid = os.fork()
    if pid:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        if starter:
            die_with_parent()  # only now, since a change of credentials undoes it
            if os.getppid() != starter:
                os._exit(1)  # the child dies with this process
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    die_with_parent()


def host_pid(proc: int | None = None) -> int:
    """This process's pid in /proc (or in the one of a descriptor): the starter's view, until the child mounts its own /proc."""
    return int(os.readlink("self", dir_fd=proc) if proc is not None else os.readlink("/proc/self"))


def enter_user_namespace() -> None:
    """Get capabilities without root, in a user namespace that maps only this user. The process must have one thread.

    No user namespace can be created inside, since a process would have all capabilities in it.
    """
    uid, gid = os.getuid(), os.getgid()
    unshare(NEWUSER)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{uid} {uid} 1")
    write("/proc/self/gid_map", f"{gid} {gid} 1")
    with contextlib.suppress(FileNotFoundError, PermissionError):
        write("/proc/sys/user/max_user_namespaces", "0")


def write(path: str, text: str) -> None:
    """Write unbuffered, so that a refusal of the kernel raises an error here."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def release_file_pages() -> None:
    """Release the pages of libraries that only mirror their files: 340 MB of TensorFlow's 600.

    The kernel maps a page again from the page cache when it is needed. Only mappings that are read-only and hold no private
    pages (such as relocations) are released.
    """
    with open("/proc/self/smaps") as file:
        lines = file.read().splitlines()
    head: list[str] = []
    for line in lines:
        words = line.split()
        if not words[0].endswith(":"):
            head = words  # start-end, permissions, offset, device, inode, path
        elif words[:2] == ["Anonymous:", "0"] and len(head) > 5 and head[5].startswith("/") and "w" not in head[1]:
            start, end = (int(number, 16) for number in head[0].split("-"))
            libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)
