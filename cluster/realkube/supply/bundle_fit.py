"""Whether a bundle is for this machine and this kit: asked before anything is taken from it, by `up` and by `doctor`.

A bundle is made on one machine and used on thirty, perhaps a year later, by a kit that has changed since. Everything that
does not fit is reported at once, not one stage after another.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass

from labkit import __version__
from labkit.errors import LabError
from realkube.supply import docker_images, lab_image, operator_manifests, versions
from realkube.supply.bundle import Bundle

MACHINES = {"arm64": "aarch64", "AMD64": "x86_64"}  # other names of what a bundle is made for


@dataclass(frozen=True)
class Difference:
    """One difference between the bundle and this kit. If Docker has `image`, the bundle's copy is not needed; a difference
    that is not `fatal` is only a note."""

    message: str
    hint: str
    image: str = ""
    fatal: bool = True


def check(bundle: Bundle) -> None:
    """LabError with every reason why no cluster can be made here from this bundle."""
    found = [d for d in differences(bundle) if d.fatal and not (d.image and docker_images.image_id(d.image))]
    if found:
        raise LabError(
            f"the bundle {bundle.folder} does not fit: {'; '.join(d.message for d in found)}",
            "; ".join(dict.fromkeys(d.hint for d in found)),
        )


def differences(bundle: Bundle) -> Iterator[Difference]:
    """Everything in which the bundle differs from what this machine and this kit need."""
    yield from _machine(bundle)
    yield from _images(bundle)
    yield from _versions(bundle)


def machine() -> str:
    """This machine's architecture: `x86_64` or `aarch64`."""
    return MACHINES.get(platform.machine(), platform.machine())


def _machine(bundle: Bundle) -> Iterator[Difference]:
    content = bundle.content
    system = content.get("system", platform.system())  # older bundles don't say it
    if (content["architecture"], system) != (machine(), platform.system()):
        yield Difference(
            f"it is for {system} on {content['architecture']}, this is {platform.system()} on {machine()}",
            "make one on a machine of this kind: labkit bundle create DIR",
        )


def _images(bundle: Bundle) -> Iterator[Difference]:
    content, renew = bundle.content, _renew(bundle)
    supported = versions.table()["kubernetes"]["nodes"]
    minor = content["kubernetes"]
    if minor not in supported:
        yield Difference(f"it has Kubernetes {minor}, this kit supports {' and '.join(supported)}", renew)
        return
    wanted = {image.role: image.name for image in docker_images.wanted()} | {"lab": versions.LAB}
    # A stand-in for the node image keeps its own name; the others get the wanted one.
    if "node" not in content.get("stand_ins", {}):
        wanted["node"] = versions.node(minor).name
    for role, name in wanted.items():
        has = content["images"].get(role, {}).get("image")
        if has != name:
            yield Difference(f"its image {role} is {has or 'missing'}, this kit wants {name}", renew, name)
    packages = lab_image.packages_name()
    if content.get("packages", packages) != packages:
        yield Difference("its lab image has the Python packages of another kit", renew, packages)
    for operator in operator_manifests.OPERATORS:
        if f"manifests/{operator}.yaml" not in content["files"]:
            yield Difference(f"it has no manifests of {operator}", renew)


def _versions(bundle: Bundle) -> Iterator[Difference]:
    content, renew, wanted = bundle.content, _renew(bundle), versions.table()["kind"]
    if content["kind"] != wanted:
        older = numbers(content["kind"]) < numbers(wanted)
        yield Difference(f"its kind is {content['kind']}, this kit was tried with {wanted}", renew, fatal=older)
    if content["labkit"] != __version__:
        yield Difference(
            f"it was made by labkit {content['labkit']}, this is {__version__}: the lab image is built again here",
            renew,
            fatal=False,
        )
    if not bundle.sealed:
        yield Difference("it is from before bundle.json had a checksum", renew, fatal=False)


def numbers(version: str) -> tuple[int, ...]:
    """(0, 30, 0) of v0.30.0."""
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _renew(bundle: Bundle) -> str:
    return f"with a network, labkit bundle create {bundle.folder} brings it up to date"
