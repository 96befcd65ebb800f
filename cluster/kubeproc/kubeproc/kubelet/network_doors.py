"""What the kubelet serves in the pods' network: names, the way outside, and connections that it passes to the API server."""

from __future__ import annotations

from kubeproc.folder import ClusterFolder
from kubeproc.kubelet.outside import Outside
from kubeproc.kubelet.service_proxy import Proxy
from kubeproc.network import ranges
from kubeproc.network.client import Network
from kubeproc.network.lending import Connect, Lender
from kubeproc.network.names import Records, Server, resolvers

DNS_PORT = 53


class Doors:
    """`await start()`, `stop()`. `proxy` keeps the tables of Services and their endpoints."""

    def __init__(self, network: Network, proxy: Proxy, folder: ClusterFolder, connect: Connect) -> None:
        self.network = network
        self.names = Server(Records(proxy.services, proxy.slices), resolvers())
        self.lender = Lender(folder.lending_socket, connect)
        self.outside = Outside(network)
        self._open = False

    async def start(self) -> None:
        """Does nothing if it is started: the kubelet may have to register its nodes several times."""
        if self._open:
            return
        udp = await self.network.datagram(ranges.DNS, DNS_PORT)
        await self.names.start(udp, await self.network.listen(ranges.DNS, DNS_PORT))
        await self.outside.start()
        self.lender.start()
        self._open = True

    def stop(self) -> None:
        self.names.stop()
        self.outside.stop()
        if self._open:
            self.lender.stop()
