"""What an image's name means here."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.runtime.images import ImageError, back_off, normalise, resolve

OURS = "{}.{}".format(*sys.version_info[:2])
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("reference", "normal", "kind"),
    [
        ("labkit/lab:1", "docker.io/labkit/lab:1", "lab"),
        ("docker.io/labkit/lab:2", "docker.io/labkit/lab:2", "lab"),
        ("busybox", "docker.io/library/busybox:latest", "shell"),
        ("library/alpine:3.20", "docker.io/library/alpine:3.20", "shell"),
        ("docker.io/bash:5", "docker.io/library/bash:5", "shell"),
        ("registry.k8s.io/busybox:1.27.2", "registry.k8s.io/busybox:1.27.2", "shell"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim", "python"),
        (f"index.docker.io/library/python@{DIGEST}", f"docker.io/library/python@{DIGEST}", "python"),
        ("quay.io/argoproj/argoexec:v3.7.9", "quay.io/argoproj/argoexec:v3.7.9", "executor"),
    ],
)
def test_known_images(reference: str, normal: str, kind: str) -> None:
    image = resolve(reference, executor=kind == "executor")
    assert (image.reference, image.kind) == (normal, kind)
    assert image.id.startswith("sha256:")
    assert image.id == resolve(reference, executor=True).id
    assert image.warm == (kind in ("lab", "python"))


def test_the_lab_image_finds_this_environments_python_first() -> None:
    for reference in ("labkit/lab:1", "python:3"):
        image = resolve(reference)
        assert image.env["PATH"].split(":")[0] == os.path.dirname(sys.executable)
        assert image.cmd == ("python3",)
    assert resolve("busybox").cmd == ("sh",)
    assert sys.prefix not in resolve("busybox").env["PATH"]


def test_another_python_stands_in_and_says_so() -> None:
    other = "3.12" if OURS != "3.12" else "3.13"
    assert resolve(f"python:{other}-alpine").note == (
        f'This cluster\'s Python {OURS} stands in for image "python:{other}-alpine"'
    )
    for same in (f"python:{OURS}", f"python:{OURS}.2-slim", "python:3", "python", "python:slim"):
        assert resolve(same).note == ""


@pytest.mark.parametrize(
    "reference",
    ["nginx", "gcr.io/a/busybox:1", "localhost:5000/lab:1", "me/python", "labkit/other", "argoproj/argoexec"],
)
def test_an_unknown_image_says_what_to_do(reference: str) -> None:
    with pytest.raises(ImageError, match="does not pull images") as caught:
        resolve(reference)
    assert caught.value.reason == "ErrImagePull"
    assert "labkit up --engine kind" in caught.value.message
    assert back_off(reference).startswith(f'Back-off pulling image "{reference}"')
    with pytest.raises(ImageError, match="is not present with pull policy of Never") as caught:
        resolve(reference, "Never")
    assert caught.value.reason == "ErrImageNeverPull"


@pytest.mark.parametrize("reference", [
    "busybox:made-up", "busybox:9.99", "busybox:1.361", "busybox:1.36-slim", "docker.io/library/busybox:v1.36",
    "registry.k8s.io/busybox:newest", "alpine:1.36", "alpine:3.x", "bash:2024", "python:3.x", "python:4", "python:3.11-tiny",
])  # fmt: skip
def test_a_tag_that_a_public_image_does_not_have_is_not_found(reference: str) -> None:
    with pytest.raises(ImageError, match=f'pull image "{reference}".*: not found') as caught:
        resolve(reference)
    assert caught.value.reason == "ErrImagePull"
    assert back_off(reference).startswith(f'Back-off pulling image "{reference}": ')
    assert "not found" in back_off(reference)


@pytest.mark.parametrize("reference", [
    "busybox:1", "busybox:1.37", "busybox:1.36.1-musl", "busybox:stable", "busybox:stable-glibc", "busybox:uclibc",
    "alpine:3", "alpine:3.22.1", "alpine:edge", "bash:5.2.37-alpine3.20", "bash:devel", "python:3.12.4-slim-bookworm",
    "python:2.7", "python:alpine3.6", "python:3.13-rc-slim", "python:slim", "python:slim-trixie", "python:3.14.0a1",
])  # fmt: skip
def test_a_tag_that_a_public_image_has_is_found(reference: str) -> None:
    assert resolve(reference)


@pytest.mark.parametrize("reference", ["Nginx", "", "a b", "a:b:c", "-x", "a@sha256:12", "http://a/b", "a//b", "{{x}}"])
def test_an_invalid_image_name(reference: str) -> None:
    with pytest.raises(ImageError, match="invalid reference format") as caught:
        resolve(reference)
    assert caught.value.reason == "InvalidImageName"


@given(st.from_regex(r"([a-z][a-z0-9.-]{0,9}(:[0-9]{2,4})?/)?[a-z0-9]{1,9}(:[a-z0-9]{1,5})?", fullmatch=True))
def test_normal_names_are_their_own_normal_form(reference: str) -> None:
    try:
        normal = normalise(reference)
    except ImageError:
        return
    assert normalise(normal) == normal
