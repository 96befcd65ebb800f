"""`labkit up`, `down` and `status`. Only this module knows which engine runs a cluster; the modules above do not.

An engine is a module with `up(folder, ...)`, `down(folder, purge)` and `status(folder)`; it starts, stops and returns
an API address with credentials. Everything else talks to the API through the kubeconfig.
"""

from __future__ import annotations

import importlib
import inspect
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from kubeproc import quantity
from kubeproc.environment import PREWARM
from kubeproc.warm import reread
from labkit import interactive, paths
from labkit.engines import info, nodes
from labkit.errors import LabError

DEFAULT = "labkit"
ENGINES = {
    "embedded": "labkit.engines.embedded",
    "kind": "realkube.kind.kind_engine",
    "existing": "realkube.existing.existing_engine",
}


def _engine(name: str) -> ModuleType:
    """The engine of that name, imported when it is needed."""
    if name not in ENGINES:
        raise LabError(f"there is no engine {name!r}", f"this version of labkit has: {', '.join(ENGINES)}")
    return importlib.import_module(ENGINES[name])


def engine_of(name: str) -> ModuleType:
    """The engine that made the cluster `name`; LabError where there is no such cluster."""
    said = info.read(paths.cluster(name))
    if not said:
        raise LabError(
            f"there is no cluster named {name!r}", f"labkit up{'' if name == DEFAULT else f' --name {name}'} starts one"
        )
    return _engine(said["engine"])


def up(name: str = DEFAULT, engine: str | None = None, **options: Any) -> dict[str, Any]:
    """Start the cluster `name` (idempotent) on the engine that made it; a new cluster is embedded unless `engine` names
    another engine. Returns its `status`. Machines that were stopped are turned on again."""
    nodes.check(**options)
    if options.get("node_memory"):
        options["node_memory"] = quantity.canonical(options["node_memory"])  # 2048Mi is 2Gi
    folder = paths.cluster(name)
    before = info.read(folder).get("engine")
    wanted = _engine(engine or before or "embedded")
    if before and engine not in (None, before):
        raise LabError(
            f"the cluster {name!r} was made by the engine {before}",
            f"labkit up --name real --engine {engine}, with your other options, starts another cluster beside it",
        )
    for option in options:
        if option not in inspect.signature(wanted.up).parameters:
            name_ = next(key for key, module in ENGINES.items() if module == wanted.__name__)
            flag = f"--{option.replace('_', '-')}"
            raise LabError(f"the engine {name_} has no {flag}", _who_has(option))
    wanted.up(folder, **options)
    nodes.back(folder)
    return status(name)


def _who_has(option: str) -> str:
    """The engines that have it, for a hint."""
    having = [name for name in ENGINES if option in inspect.signature(_engine(name).up).parameters]
    return f"it belongs to --engine {' and '.join(having)}" if having else "labkit up --help lists all options"


def down(name: str = DEFAULT, purge: bool = False) -> bool:
    """Stop the cluster and keep its state, or delete it as well; False when there was nothing to do."""
    folder = paths.cluster(name)
    said = info.read(folder)
    return bool(_engine(said.get("engine", "embedded")).down(folder, purge=purge))


def status(name: str = DEFAULT) -> dict[str, Any]:
    """The engine's status, with what all engines have: the kubeconfig, and a note where the state is in an unusual folder."""
    folder = paths.cluster(name)
    said = info.read(folder)
    found: dict[str, Any] = _engine(said.get("engine", "embedded")).status(folder)
    found["kubeconfig"] = str(folder.kubeconfig) if said else ""
    notes = found.get("notes", [])
    kind = paths.network_file_system(paths.home())
    if kind:
        notes.append(f"the home {paths.home()} is on a network file system ({kind}): the state is in {folder.root}")
    found["notes"] = notes
    return found


def kubeconfig(name: str = DEFAULT) -> str:
    """The path of the cluster's kubeconfig; LabError where there is no cluster."""
    engine_of(name)
    return str(paths.cluster(name).kubeconfig)


def use(name: str | None = None) -> str:
    """Start the cluster unless it runs, and let the official clients of this process find it; returns its kubeconfig. A
    notebook says when it was started.

    The name is that of `labkit run` or `labkit lab` (LABKIT_CLUSTER) unless one is given. A KUBECONFIG that is not the
    cluster's own file stays: `labkit run` gives each notebook one, and it keeps the cluster running. Clients that were
    imported before find the cluster too.
    """
    given = os.environ.get("LABKIT_CLUSTER")
    if not (given and name in (None, given) and os.environ.get("KUBECONFIG") and not _is_own(given)):
        os.environ["KUBECONFIG"] = _started(name or given or DEFAULT)
    reread.kubeconfig()
    interactive.install()
    interactive.answered()
    return os.environ["KUBECONFIG"]


def _started(name: str) -> str:
    """The kubeconfig of the cluster, which runs now."""
    found = status(name)
    whole = info.read(paths.cluster(name)).get("complete", True)  # false: its installation was interrupted
    if not (whole and answers(found)):
        before, begun = found["state"], time.monotonic()
        found = up(name)
        if interactive.notebook():
            was = "is new" if before == "absent" else f"was {before}"
            print(f"The cluster {name!r} {was}: started in {time.monotonic() - begun:.1f} s.")
    return str(found["kubeconfig"])


def _is_own(name: str) -> bool:
    """Whether KUBECONFIG is the file in the cluster's folder, as `labkit lab` sets it."""
    own = os.path.realpath(paths.cluster(name).kubeconfig)
    return os.path.realpath(os.environ["KUBECONFIG"]) == own and "LABKIT_RUN" not in os.environ


def answers(found: dict[str, Any]) -> bool:
    """Whether the cluster runs, though perhaps without machines that `stop_node` stopped: they stay off."""
    states = list(found.get("nodes", {}).values())
    api = all(found["daemons"].values()) if "daemons" in found else states[:1] == ["running"]
    return found["state"] == "running" or (
        found["state"] == "degraded" and api and states.count("running") < len(states)
    )


def spoken_to() -> str:
    """The name of the cluster that kubectl speaks to here, if it is labkit's (KUBECONFIG is the file in its folder); otherwise
    LABKIT_CLUSTER, or the default."""
    config = os.environ.get("KUBECONFIG", "")
    if config:
        folder = os.path.dirname(os.path.realpath(config))
        name = os.path.basename(folder)
        with suppress(LabError):  # of a name like .kube: no cluster's folder
            if folder == os.path.realpath(paths.cluster(name).root):
                return name
    return os.environ.get("LABKIT_CLUSTER") or DEFAULT


def stop_node(node: str, name: str | None = None) -> nodes.Change:
    """Let a machine of the cluster fail, with all its pods; see `nodes.stop`."""
    name = name or spoken_to()
    return nodes.stop(engine_of(name), paths.cluster(name), node)


def start_node(node: str, name: str | None = None) -> nodes.Change:
    """Turn a machine on again; see `nodes.start`."""
    name = name or spoken_to()
    return nodes.start(engine_of(name), paths.cluster(name), node)


@contextmanager
def prewarmed() -> Iterator[None]:
    """A cluster that is started in here begins at once to import what the course's pods need (TensorFlow, 3 s)."""
    os.environ[PREWARM] = "1"
    try:
        yield
    finally:
        del os.environ[PREWARM]


def load(image: str, name: str | None = None) -> str:
    """Bring an image that was built here to the cluster (`labkit run`'s, `labkit lab`'s, or the one named); returns its
    reference. LabError where that cluster takes no images."""
    name = name or os.environ.get("LABKIT_CLUSTER") or DEFAULT
    found = engine_of(name)
    if not hasattr(found, "load"):
        raise LabError(f"this cluster takes no image {image!r}", "use labkit/lab:1, busybox, alpine, bash or python:3")
    return str(found.load(paths.cluster(name), image))


def daemon_logs(name: str = DEFAULT) -> str:
    """The last lines of the cluster's own logs; LabError where there is no cluster."""
    return str(engine_of(name).last_words(paths.cluster(name), lines=200))
