"""Whether the parts of a cluster are available, found out without downloading any.

A bundle has all of them (`bundle_fit` checks that). Without a bundle, docker asks the registries for the images that it lacks,
and git asks GitHub for the operators' manifests, all at once and each with a deadline. (pip's index is not asked for the lab
image's wheels, because this environment was installed from it.) `up` does not ask: it downloads, and says what failed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from labkit.errors import LabError
from realkube import programs
from realkube.supply import docker_images, lab_image, operator_manifests, versions
from realkube.supply.bundle import Bundle
from realkube.supply.versions import Image

SECONDS = 20  # for a registry to answer; a firewall that drops what it refuses never does


def check(minor: str, bundle: Bundle | None) -> None:
    """LabError where a cluster of Kubernetes `minor` can't be made from what is here and what answers."""
    if bundle:
        bundle.node(minor)
        return
    wanted = [image for image in _images(minor) if not docker_images.image_id(image.name)]
    asked = {f"the image {image.name}": _of_registry(image) for image in wanted}
    asked |= {f"the manifests of {name}": _of_git(name) for name in operator_manifests.OPERATORS}
    with ThreadPoolExecutor(len(asked)) as pool:
        said = dict(zip(asked, pool.map(_answer, asked.values()), strict=True))
    lacking = {what: why for what, why in said.items() if why}
    if lacking:
        raise LabError(
            f"there is no bundle, and these are not available: {', '.join(lacking)}: {next(iter(lacking.values()))}",
            "a bundle made with a network has all of it (labkit bundle create DIR): export LABKIT_BUNDLE=DIR",
        )


def _images(minor: str) -> Iterator[Image]:
    yield versions.node(minor)
    yield from docker_images.wanted()
    if lab_image.stale() and not docker_images.image_id(lab_image.packages_name()):
        yield versions.base()


def _of_registry(image: Image) -> list[str]:
    return [programs.docker(), "manifest", "inspect", image.pull]


def _of_git(operator: str) -> list[str]:
    address, _, tag = versions.table()["operators"][operator]["base"].partition("?ref=")
    return ["git", "ls-remote", "--exit-code", "/".join(address.split("/")[:5]), tag]


def _answer(command: Sequence[str]) -> str:
    """Why the program did not get it; '' where it did."""
    try:
        programs.run(command, timeout=SECONDS, env=os.environ | {"GIT_TERMINAL_PROMPT": "0"})
        return ""
    except LabError as error:
        return error.message
