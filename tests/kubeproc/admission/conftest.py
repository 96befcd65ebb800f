"""A store with admission and the namespace `default`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeproc.admission import admit
from kubeproc.api_errors import ApiError
from kubeproc.resources import NAMESPACES, Resource
from kubeproc.store import Object, Store

Refused = Callable[[Resource, Object], ApiError]


@pytest.fixture
def store() -> Store:
    made = Store(None, admit=admit)
    made.create(NAMESPACES, {"metadata": {"name": "default"}})
    return made


@pytest.fixture
def refused(store: Store) -> Refused:
    """Create or update an object that must be refused; the error."""

    def call(resource: Resource, obj: Object) -> ApiError:
        write = store.update if "uid" in obj["metadata"] else store.create
        with pytest.raises(ApiError) as caught:
            write(resource, obj)
        return caught.value

    return call


def pod(name: str = "a", *, image: str = "busybox:1", **spec: Any) -> Object:
    """A pod's manifest; `container_x=...` sets a field of its container."""
    container = {k.removeprefix("container_"): spec.pop(k) for k in list(spec) if k.startswith("container_")}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": image, **container}], **spec},
    }


def template(**spec: Any) -> Object:
    """A pod template with the label app=web."""
    return {"metadata": {"labels": {"app": "web"}}, "spec": pod(**spec)["spec"]}
