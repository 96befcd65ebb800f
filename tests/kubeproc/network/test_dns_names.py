"""The DNS server's answers, asked and read by dnslib as a client does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.network.names import Records, Server, answer, resolvers

Object = dict[str, Any]
WEB: Object = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"clusterIP": "10.96.1.2", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
}
DB: Object = {
    "metadata": {"name": "db", "namespace": "shop"},
    "spec": {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}]},
}
READY = {"ready": True}
SLICE: Object = {
    "metadata": {"name": "db-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
    "endpoints": [
        {"addresses": ["10.244.1.1"], "hostname": "first", "conditions": READY},
        {"addresses": ["10.244.1.2"], "conditions": READY},
        {"addresses": ["10.244.1.3"], "conditions": {"ready": False}},
    ],
    "ports": [{"name": "sql", "port": 15432}],
}
RECORDS = Records({"shop/web": WEB, "shop/db": DB}, {"shop/db-x": SLICE})
ZONE = "svc.cluster.local"


def ask(name: str, kind: str = "A") -> tuple[str, list[str]]:
    reply = answer(DNSRecord.question(name, kind), RECORDS)
    assert reply is not None
    read = DNSRecord.parse(reply.pack())
    return RCODE[read.header.rcode], [str(record.rdata) for record in read.rr]


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        (f"web.shop.{ZONE}", "A", ["10.96.1.2"]),
        (f"WEB.Shop.{ZONE}", "A", ["10.96.1.2"]),
        (f"web.shop.{ZONE}", "AAAA", []),
        (f"db.shop.{ZONE}", "A", ["10.244.1.1", "10.244.1.2"]),
        (f"first.db.shop.{ZONE}", "A", ["10.244.1.1"]),
        (f"10-244-1-2.db.shop.{ZONE}", "A", ["10.244.1.2"]),
        (f"_http._tcp.web.shop.{ZONE}", "SRV", [f"0 100 80 web.shop.{ZONE}."]),
        (f"_sql._tcp.db.shop.{ZONE}", "SRV",
         [f"0 100 15432 first.db.shop.{ZONE}.", f"0 100 15432 10-244-1-2.db.shop.{ZONE}."]),
        (f"kubernetes.default.{ZONE}", "A", ["10.96.0.1"]),
    ],
)  # fmt: skip
def test_a_name_of_the_cluster(name: str, kind: str, found: list[str]) -> None:
    assert ask(name, kind) == ("NOERROR", found)


@pytest.mark.parametrize(
    "name",
    [f"nothing.shop.{ZONE}", f"web.other.{ZONE}", f"x.web.shop.{ZONE}", f"third.db.shop.{ZONE}", "web", "web.shop.svc",
     f"_ftp._tcp.web.shop.{ZONE}", "7.0.244.10.in-addr.arpa", f"shop.{ZONE}"],
)  # fmt: skip
def test_an_unknown_name_has_an_answer_too(name: str) -> None:
    assert ask(name) == ("NXDOMAIN", [])


def test_names_of_the_outside_are_left_to_the_hosts_resolvers() -> None:
    assert answer(DNSRecord.question("www.example.org"), RECORDS) is None


def test_where_no_resolver_answers_the_client_hears_so() -> None:
    said = asyncio.run(Server(RECORDS, []).respond(DNSRecord.question("www.example.org").pack()))
    assert DNSRecord.parse(said).header.rcode == RCODE.SERVFAIL


@given(st.binary(max_size=80))
def test_any_packet_is_survived(packet: bytes) -> None:
    asyncio.run(Server(RECORDS, []).respond(packet))


def test_the_hosts_resolvers_are_read(tmp_path) -> None:
    (tmp_path / "resolv.conf").write_text("# a comment\nsearch x\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    assert resolvers(tmp_path / "resolv.conf") == ["192.0.2.1", "2001:db8::1"]
    assert resolvers(tmp_path / "missing") == []
    assert QTYPE.A == 1
