"""What a container runs: its image, its command line, and whether it may run as that user."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kubeproc.kubelet import env
from kubeproc.kubelet.backoff import BackOff
from kubeproc.kubelet.container_context import ContainerContext
from kubeproc.runtime import images

Object = dict[str, Any]
PULL = 1.0  # seconds between ErrImagePull and ImagePullBackOff


async def image(container: ContainerContext) -> images.Image | None:
    """The container's image; None, after a wait, if it can't be pulled."""
    container.redefined.clear()
    pod, spec = container.pod, container.spec
    name = spec["image"]
    try:
        found = images.resolve(
            name, spec.get("imagePullPolicy", "IfNotPresent"), pod.shared.executor.owns(pod.object, container.name)
        )
    except images.ImageError as error:
        if error.reason != "ErrImagePull":
            first = "InspectFailed" if error.reason == "InvalidImageName" else error.reason
            container.event("Warning", first, error.message)
            await container.cannot(error.reason, error.message, f"Error: {error.reason}")
            return None
        wait = pod.pulls.setdefault(name, BackOff()).failed() or PULL
        container.event("Normal", "Pulling", f'Pulling image "{name}"')
        container.event("Warning", "Failed", error.message)
        container.event("Warning", "Failed", f"Error: {error.reason}")
        container.waiting(error.reason, error.message)
        if not await container.pause(PULL) and not container.redefined.is_set():
            words = images.back_off(name)
            container.event("Normal", "BackOff", words)
            container.event("Warning", "Failed", "Error: ImagePullBackOff")
            container.waiting("ImagePullBackOff", words)
            await container.pause(wait)
        return None
    container.state.image, container.state.image_id = found.reference, found.id
    if found.note and not container.state.restarts:
        container.event("Normal", "StandIn", found.note)
    return found


def forbid_root(image: images.Image, pod: Object, spec: Object) -> None:
    """Raise ConfigError if the program must not run as root but would. It runs as the user who started the cluster,
    whatever the image says."""
    contexts = (pod["spec"].get("securityContext") or {}, spec.get("securityContext") or {})
    wish = {name: value for context in contexts for name, value in context.items() if value is not None}
    if not wish.get("runAsNonRoot") or os.getuid() != 0 or image.kind == images.IN_KUBELET:
        return
    own = "runAsUser" in wish
    problem = "'s runAsUser breaks non-root policy" if own else " has runAsNonRoot and image will run as root"
    meta = pod["metadata"]
    where = f'"{meta["name"]}_{meta["namespace"]}({meta["uid"]})", container: {spec["name"]}'
    raise env.ConfigError(f"container{problem} (pod: {where})")


def argv(image: images.Image, spec: Object, variables: Mapping[str, str]) -> list[str]:
    command, arguments = spec.get("command"), spec.get("args")
    own = [env.expand(word, variables) for word in [*(command or ()), *(arguments or ())]]
    if command:
        return own
    return [*image.entrypoint, *(own or image.cmd)]


def with_parents(paths: tuple[str, ...]) -> tuple[str, ...]:
    """The paths and their folders, without folders that exist on the host."""
    folders = {os.path.dirname(path) for path in paths}
    return (*paths, *(folder for folder in sorted(folders) if not os.path.isdir(folder)))
