"""The addresses of Services in a store, where pods have a network of their own: each once, from its creation to its end."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from kubeproc.network import ranges
from kubeproc.resources import SERVICES
from kubeproc.store import Event, Object, Store

HEADLESS = "None"
FIXED = {ranges.API, ranges.DNS}


class Register:
    """The ClusterIPs that the objects of one store hold, kept up to date by its events."""

    def __init__(self, store: Store) -> None:
        self.owners: dict[str, str] = {}  # ip -> namespace/name
        for service in store.list(SERVICES):
            self._add(service)
        store.watch(self._hear)

    def _add(self, service: Object) -> None:
        ip = service["spec"].get("clusterIP")
        if ip not in (None, "", HEADLESS):
            self.owners[ip] = _name(service)

    def _hear(self, event: Event) -> None:
        if event.resource is not SERVICES:
            return
        if event.previous is not None:
            ip = event.previous["spec"].get("clusterIP")
            if self.owners.get(ip) == _name(event.previous):
                del self.owners[ip]
        if event.type != "DELETED":
            self._add(event.object)


_registers: WeakKeyDictionary[Store, Register] = WeakKeyDictionary()


def enable(store: Store) -> None:
    """From now on the Services of this store get addresses of their own."""
    _registers[store] = Register(store)


def enabled(store: Store) -> bool:
    """Whether the pods of this store's cluster have a network of their own."""
    return store in _registers


def allocate(store: Store, service: Object) -> str:
    """An address for the Service: one that goes with its name, if nobody else has it."""
    taken = _registers[store].owners.keys() | FIXED
    return ranges.address_of(_name(service), ranges.SERVICES, taken)


def holder(store: Store, ip: str) -> str:
    """The namespace/name of the Service that has the address; "" if it is free."""
    return "default/kubernetes" if ip in FIXED else _registers[store].owners.get(ip, "")


def _name(service: Object) -> str:
    return f"{service['metadata'].get('namespace', '')}/{service['metadata']['name']}"
