"""Writes `kubeproc/upstream/protobuf.json`: the protobuf messages of the kinds that are served.

    python cluster/kubeproc/tools/protobuf_tables.py

Field numbers and types come from the `generated.proto` files of k8s.io/api and k8s.io/apimachinery. Go's structs beside
them say what those files don't: a field's name in JSON, whether it is inlined, and whether a zero is written
(a pointer, or no omitempty). A message is in the table when a kind in `ROOTS` reaches it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from modules import folder, write

from kubeproc.resources import RESOURCES

API, MACHINERY = "k8s.io/api", "k8s.io/apimachinery"
META = "meta.v1"
# Kinds of requests and of subresources: no resource is named after them.
REQUESTS = (
    "authentication.v1.SelfSubjectReview", "authentication.v1.TokenRequest", "authentication.v1.TokenReview",
    "authorization.v1.LocalSubjectAccessReview", "authorization.v1.SelfSubjectAccessReview",
    "authorization.v1.SelfSubjectRulesReview", "authorization.v1.SubjectAccessReview",
    "autoscaling.v1.Scale", "core.v1.Binding", "meta.v1.DeleteOptions", "policy.v1.Eviction",
)  # fmt: skip
SPECIAL = {  # messages whose JSON is not an object of their fields
    "k8s.io.apimachinery.pkg.apis.meta.v1.Time": "time",
    "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Duration": "duration",
    "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1": "fields",
    "k8s.io.apimachinery.pkg.api.resource.Quantity": "quantity",
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    "k8s.io.apimachinery.pkg.runtime.RawExtension": "raw",
    "k8s.io.api.authentication.v1.ExtraValue": "extra",
    "k8s.io.api.authentication.v1.AttestationValue": "extra",
    "k8s.io.api.authorization.v1.ExtraValue": "extra",
}
NO_ZERO = ("time", "microtime")  # an empty time is null, in JSON too

MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.M | re.S)
PROTO_FIELD = re.compile(r"^  (optional|repeated|map<string, ?([.\w]+)>) ?([.\w]+)? (\w+) = (\d+);", re.M)
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
GO_FIELD = re.compile(r"^\t(?:\w+ +)?(\S+) +`(.*)`", re.M)
JSON_TAG = re.compile(r'json:"([^",]*)([^"]*)"')
NUMBER_TAG = re.compile(r'protobuf:"\w+,(\d+),')


class Tag(NamedTuple):
    json: str  # "+" where the message's fields are its parent's
    zero: bool  # a zero is written


def package(name: str) -> Path:
    """Where the package of messages `core.v1` lies."""
    group, version = name.split(".")
    if name == META:
        return folder(MACHINERY) / "pkg" / "apis" / "meta" / "v1"
    return folder(API) / group / version


def structs(path: Path) -> dict[str, dict[int, Tag]]:
    """The tags of a Go package's structs, by field number."""
    found: dict[str, dict[int, Tag]] = {}
    for file in sorted(path.glob("*.go")):
        for name, body in STRUCT.findall(file.read_text()):
            tags = {}
            for kind, text in GO_FIELD.findall(body):
                json_tag, number = JSON_TAG.search(text), NUMBER_TAG.search(text)
                if json_tag and number:
                    inline = not json_tag[1]  # an embedded struct
                    zero = kind.startswith("*") or "omitempty" not in json_tag[2]
                    tags[int(number[1])] = Tag("+" if inline else json_tag[1], zero and not inline)
            found[name] = tags
    return found


def type_name(package_name: str, text: str) -> str:
    """`core.v1.Pod` for a message of another package, `Pod` for one of the same, a word for scalars and `SPECIAL`."""
    if text[0].islower():
        return text
    full = text.lstrip(".") if text.startswith(".") else f"k8s.io.api.{package_name}.{text}"
    if package_name == META and not text.startswith("."):
        full = f"k8s.io.apimachinery.pkg.apis.{META}.{text}"
    if full in SPECIAL:
        return SPECIAL[full]
    short = ".".join(full.split(".")[-3:])
    return short.removeprefix(f"{package_name}.") if short.startswith(f"{package_name}.") else short


def messages(package_name: str) -> dict[str, list[tuple[int, str, str, str]]]:
    """A package's messages: (number, JSON name, prefix, type) of each field, in the file's order."""
    path = package(package_name)
    tags = structs(path)
    found = {}
    for name, body in MESSAGE.findall((path / "generated.proto").read_text()):
        fields = []
        for form, values, kind, proto_name, number in PROTO_FIELD.findall(body):
            tag = tags.get(name, {}).get(int(number), Tag(proto_name, False))
            bare = type_name(package_name, values or kind)
            prefix = {"o": "*" if tag.zero and bare not in NO_ZERO else "", "r": "[]", "m": "{}"}[form[0]]
            fields.append((int(number), tag.json, prefix, bare))
        found[f"{package_name}.{name}"] = fields
    return found


def roots() -> set[str]:
    groups = {"": "core", "rbac.authorization.k8s.io": "rbac"}
    served = [r for r in RESOURCES.values() if not r.custom]
    kinds = {f"{groups.get(r.group, r.group.split('.')[0])}.{r.version}.{r.kind}" for r in served}
    return kinds | set(REQUESTS)


def table() -> dict[str, list[str]]:
    """The served messages, each field as a few words."""
    packages: dict[str, dict[str, list[tuple[int, str, str, str]]]] = {}
    wanted = roots()
    made: dict[str, list[str]] = {}
    while wanted:
        name = wanted.pop()
        within = name.rpartition(".")[0]
        if within not in packages:
            packages[within] = messages(within)
        fields = packages[within][name]
        made[name] = [f"{number} {json_name} {prefix}{kind}" for number, json_name, prefix, kind in fields]
        for _, _, _, kind in fields:
            full = kind if "." in kind else f"{within}.{kind}"
            if kind[0].isupper() or "." in kind:
                wanted |= {full} - set(made)
    return dict(sorted(made.items()))


def main() -> None:
    write("protobuf.json", [API, MACHINERY], "messages", table())


if __name__ == "__main__":
    main()
