"""Images in Docker, on their way to the nodes: they are there, or come out of a bundle, from a registry, or are built."""

from __future__ import annotations

from labkit.errors import LabError
from realkube import programs
from realkube.supply import lab_image, versions
from realkube.supply.bundle import Bundle
from realkube.supply.versions import Image


def image_id(name: str) -> str:
    """Docker's id of a local image; '' where it has none of that name."""
    return programs.inspected(name, "{{.Id}}")


def ensure(image: Image, bundle: Bundle | None) -> str:
    """Bring the image into Docker under its name, from the bundle or from its registry, unless Docker has it."""
    if image_id(image.name):
        return image.name
    if bundle:
        bundle.load(image.role)
        if not image_id(image.name):
            raise LabError(
                f"images/{image.role}.tar.gz of the bundle {bundle.folder} holds no {image.name}",
                f"labkit bundle create {bundle.folder} on a machine with a network makes it again",
            )
        return image.name
    try:
        programs.run([programs.docker(), "pull", "--quiet", image.pull], timeout=1800)
    except LabError as error:
        raise LabError(
            f"the image {image.pull} can't be pulled: {error.message}",
            "without a network use a bundle that was made with one: labkit up --engine kind --bundle DIR",
        ) from error
    programs.run([programs.docker(), "tag", image.pull, image.name])
    return image.name


def lab(bundle: Bundle | None) -> None:
    """Bring a lab image of this labkit into Docker: the bundle's, if it is one, or a new build."""
    if not lab_image.stale():
        return
    if bundle and not image_id(lab_image.packages_name()):
        bundle.load("lab")
    if lab_image.stale():
        if not image_id(lab_image.packages_name()):
            ensure(versions.base(), bundle)
        lab_image.build(versions.base().name)


def wanted() -> list[Image]:
    """The images that the nodes need in addition to the lab image."""
    return list(versions.images().values())
