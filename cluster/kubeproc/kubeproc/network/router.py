"""The process that owns the cluster's network namespace: it routes between pods, and makes their namespaces and sockets.

`router.py --socket FD --starter PID [--user] [--join FD,...] [--outside PORT,...]`. It answers one request at a time on its
socket, with descriptors; it keeps no state, so a router that was killed is replaced by one that joins the same namespaces. It
ends with the kubelet.

A pod's sandbox is a descriptor of its network namespace: when that is closed and its processes have ended, the kernel removes
it with both interfaces. A socket stays in the namespace in which it was made, so the kubelet uses it as any other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket

from kubeproc.network import rtnetlink
from kubeproc.network.rtnetlink import Netlink
from kubeproc.warm import linux, wire

GATEWAY, PODS, SERVICES = (
    "10.244.0.1",
    "10.244.0.0/16",
    "10.96.0.0/16",
)  # `ranges`, whose ipaddress takes 4 ms to import
MTU, OUTSIDE, INSIDE = 1500, "veth", 2
ANYWHERE, OUT, PRIORITY = "0.0.0.0/0", 100, 33_000  # a route, a table, and rules after that of the main table (32766)
IP_TRANSPARENT = 19
KINDS = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM, "transparent": socket.SOCK_STREAM}


def main() -> None:
    options = arguments()
    sock = socket.socket(fileno=options.socket)
    os.set_inheritable(options.socket, False)
    if options.join:
        for fd, flag in zip(options.join, (linux.NEWUSER, linux.NEWNET)[-len(options.join) :], strict=True):
            linux.enter(fd, flag)
            os.close(fd)
    else:
        if options.user:
            linux.enter_user_namespace()
        linux.unshare(linux.NEWNET)
    linux.die_with_parent()  # after the change of credentials, which undoes it
    if os.getppid() != options.starter:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Router(sock, options.outside).run(not options.join, options.user)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Routes between pods.")
    parser.add_argument("--socket", type=int, required=True, help="descriptor of a connected unix socket")
    parser.add_argument("--starter", type=int, required=True, help="pid whose end is this process's")
    parser.add_argument("--user", action="store_true", help="get the rights from a user namespace")
    parser.add_argument("--outside", type=numbers, default=[], help="ports of the outside that pods reach")
    parser.add_argument("--join", type=numbers, help="namespaces of an earlier router")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


class Router:
    def __init__(self, sock: socket.socket, outside: list[int]) -> None:
        self.sock, self.reader, self.outside = sock, wire.Reader(sock), outside
        self.own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.kernel = Netlink()

    def run(self, new: bool, user: bool) -> None:
        if new:
            self.set_up()
        fds = [self.own]
        if user:
            fds.insert(0, os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC))
        wire.send(self.sock, {"event": "ready", "pid": linux.host_pid()}, fds)
        while self.reader.read():
            for request, given in self.reader.messages():
                self.answer(request, given)

    def set_up(self) -> None:
        """The cluster's namespace: the Services' addresses are this one's, those of pods that do not exist are unreachable."""
        self.kernel.call(
            rtnetlink.set_up(rtnetlink.LOOPBACK),
            rtnetlink.address(rtnetlink.LOOPBACK, GATEWAY),
            rtnetlink.route(
                SERVICES, rtnetlink.TO_US, index=rtnetlink.LOOPBACK, scope=rtnetlink.HOST, table=rtnetlink.LOCAL
            ),
            rtnetlink.route(PODS, rtnetlink.UNREACHABLE),
            *self.ways_out(
                rtnetlink.route(ANYWHERE, rtnetlink.TO_US, index=rtnetlink.LOOPBACK, scope=rtnetlink.HOST, table=OUT)
            ),
        )
        for name, value in (("ip_forward", "1"), ("ip_unprivileged_port_start", "0"), ("icmp_ratelimit", "0")):
            setting(name, value)

    def answer(self, request: wire.Message, given: list[int]) -> None:
        fds: list[int] = []
        try:
            if request["op"] == "sandbox":
                fds = [self.sandbox(request["ip"], request["index"])]
            elif request["op"] == "sockets":
                fds = self.sockets(request["kind"], request["count"], given[0] if given else None)
            elif request["op"] == "probe":
                probe()
            said: wire.Message = {"event": "done"}
        except OSError as error:
            said = {"event": "failed", "error": error.strerror or str(error), "errno": error.errno}
        wire.send(self.sock, said, fds)
        for fd in (*fds, *given):
            os.close(fd)

    def sandbox(self, ip: str, index: int) -> int:
        """A pod's network namespace, joined to this one. `index` numbers the interface here, never twice."""
        linux.unshare(linux.NEWNET)
        try:
            made = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            inside = Netlink()
            setting("ip_unprivileged_port_start", "0")
            setting("ping_group_range", f"{os.getgid()} {os.getgid()}")
        finally:
            linux.enter(self.own, linux.NEWNET)
        try:
            with inside:
                mac = b"\x0a\x58" + socket.inet_aton(ip)
                self.kernel.call(
                    rtnetlink.veth(f"{OUTSIDE}{index}", index, "eth0", INSIDE, made, mac, MTU),
                    rtnetlink.without_ipv6(index),
                    rtnetlink.forwarding(index),
                    rtnetlink.address(index, GATEWAY),
                    rtnetlink.route(ip, index=index, scope=rtnetlink.LINK),
                )
                inside.call(
                    rtnetlink.set_up(rtnetlink.LOOPBACK),
                    rtnetlink.without_ipv6(INSIDE),
                    rtnetlink.set_up(INSIDE),
                    rtnetlink.address(INSIDE, ip),
                    rtnetlink.route(GATEWAY, index=INSIDE, scope=rtnetlink.LINK),
                    # No default route: what is neither a pod nor a Service is unreachable at once, without a packet.
                    rtnetlink.route(PODS, via=GATEWAY),
                    rtnetlink.route(SERVICES, via=GATEWAY),
                    *self.ways_out(rtnetlink.route(ANYWHERE, via=GATEWAY, table=OUT)),
                    rtnetlink.settle(INSIDE),
                )
                self.kernel.call(rtnetlink.settle(index))
        except OSError:
            os.close(made)
            raise
        return made

    def ways_out(self, route: tuple[int, int, bytes]) -> list[tuple[int, int, bytes]]:
        """The way that connections to the ports of the outside take. In this namespace they are delivered to it, whatever their
        address: the kubelet's transparent sockets accept them."""
        rules = [rtnetlink.rule(port, OUT, PRIORITY + n) for n, port in enumerate(self.outside)]
        return [route, *rules] if rules else []

    def sockets(self, kind: str, count: int, netns: int | None) -> list[int]:
        """Unconnected sockets, in this namespace or in a pod's."""
        if netns is not None:
            linux.enter(netns, linux.NEWNET)
        try:
            made = [socket.socket(socket.AF_INET, KINDS[kind]) for _ in range(count)]
            if kind == "transparent":
                for sock in made:
                    sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
            return [sock.detach() for sock in made]
        finally:
            if netns is not None:
                linux.enter(self.own, linux.NEWNET)


def probe() -> None:
    """Try what the programs of a pod do next: namespaces of their own. OSError where they may not."""
    pid = os.fork()
    if pid == 0:
        try:
            linux.unshare(linux.NEWNS | linux.NEWPID | linux.NEWIPC | linux.NEWUTS)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    if number := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise OSError(number, f"unshare: {os.strerror(abs(number))}")


def setting(name: str, value: str) -> None:
    """Set a variable of the namespace; without it, where /proc/sys is read-only, pods lack what it allows."""
    with contextlib.suppress(OSError):
        linux.write(f"/proc/sys/net/ipv4/{name}", value)


if __name__ == "__main__":
    main()
