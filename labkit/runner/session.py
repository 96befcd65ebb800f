"""What surrounds a run: a cluster (its own, or one that is there), a namespace and kubeconfig for each notebook, and the
proof that nothing was left behind.

Every process of a run inherits `LABKIT_RUN`; when the run is over, whoever still carries its value outlived it. A notebook
has a LABKIT_HOME of its own, where the run's cluster is a link: the clusters that it makes collide with nobody's, and what
is there at the end was left behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from labkit import client, cluster, namespaces, paths
from labkit import nodes as machines
from labkit.embedded.lock import LIFELINE
from labkit.errors import LabError
from labkit.runner import lifeline
from labkit.runner.lifeline import MARK

LAST_WORDS = 30  # lines of the logs of a cluster that can't start


class Session:
    """A context: `up()` starts the cluster; on exit the run's own one is gone with its state, and of one that was there
    before the run's namespaces."""

    def __init__(self, engine: str, name: str | None = None, prewarm: bool = False, nodes: int | None = None) -> None:
        if engine not in cluster.ENGINES:
            raise LabError(
                f"there is no engine {engine!r}", f"this version of labkit has: {', '.join(cluster.ENGINES)}"
            )
        if name and nodes:
            raise LabError("--nodes is of a cluster that the run starts", "leave out --cluster or --nodes")
        self.options = {} if nodes is None else {"nodes": nodes}
        machines.check(nodes)
        if name and (state := cluster.status(name)["state"]) != "running":
            raise LabError(f"the cluster {name!r} is {state}", f"labkit up --name {name}")
        self.engine, self.prewarm = engine, prewarm
        self.own = name is None
        self.name = name or "run"
        self.id = uuid.uuid4().hex
        self.left_behind: list[str] = []
        self.environments: dict[str, dict[str, str]] = {}
        self._namespaces: list[str] = []
        self._homes: dict[str, Path] = {}
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> Session:
        lifeline.sweep()
        self._folder = tempfile.TemporaryDirectory(prefix=lifeline.PREFIX, ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        changes = {MARK: self.id} | ({"LABKIT_HOME": str(self.folder / "home")} if self.own else {})
        self._before = {k: os.environ.get(k) for k in (*changes, "KUBECONFIG", "LABKIT_CLUSTER", LIFELINE)}
        self._lifeline = lifeline.hold(self.folder, lifeline.Owner(self.id, self.own))
        os.environ.update(changes, LABKIT_CLUSTER=self.name)
        return self

    def up(self, notebooks: Sequence[str]) -> None:
        """Have the cluster, and in `environments` what each notebook's kernel needs; LabError where it can't be had."""
        found = self._start() if self.own else cluster.status(self.name)
        os.environ["KUBECONFIG"] = found["kubeconfig"]
        self.kubeconfig = Path(found["kubeconfig"])
        self.given = str(found.get("namespace") or "")
        for notebook in notebooks:
            self.environments[notebook] = self._environment(notebook)

    def _start(self) -> dict[str, Any]:
        with cluster.prewarmed() if self.prewarm else contextlib.nullcontext():
            try:
                return cluster.up(self.name, self.engine, **self.options)
            except LabError as error:
                # Its logs will be gone with its folder: their last words are said here.
                said = []
                with contextlib.suppress(LabError):
                    said = cluster.daemon_logs(self.name).splitlines()[-LAST_WORDS:]
                raise LabError("\n".join([error.message, *said]), error.hint or "labkit doctor") from error

    def _environment(self, notebook: str) -> dict[str, str]:
        """What a notebook's kernel gets: a namespace of its own, as the kubeconfig's default; on a cluster of which one
        namespace may be used, that."""
        namespace = self.given or namespace_of(notebook) + ("" if self.own else f"-{self.id[:5]}")
        if not self.given:
            self._namespaces.append(namespace)
            namespaces.prepare(namespace)
        config = yaml.safe_load(self.kubeconfig.read_text())
        for context in config["contexts"]:
            context["context"]["namespace"] = namespace
        path = self.folder / f"{namespace}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return {
            "KUBECONFIG": str(path),
            "LABKIT_CLUSTER": self.name,
            "LABKIT_HOME": str(self._home(notebook)),
            MARK: f"{self.id}/{notebook}",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }

    def _home(self, notebook: str) -> Path:
        """A LABKIT_HOME for one notebook, in which the run's cluster can be found."""
        home = self.folder / f"h{len(self._homes)}"
        (home / "clusters").mkdir(parents=True, mode=0o700)
        (home / "clusters" / self.name).symlink_to(paths.cluster(self.name).root)
        self._homes[notebook] = home
        return home

    def end_leftovers(self, of: str = "") -> None:
        """End, and note, what the run has left behind: with "/" what its notebooks have."""
        for notebook, home in self._homes.items():
            self.left_behind += [f"cluster {name} of {notebook}" for name in lifeline.purge_clusters(home)]
        self.left_behind += lifeline.end_leftovers(self.id + of)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.own:
                cluster.down(self.name, purge=True)
            else:
                for namespace in self._namespaces:
                    client.remove("namespace", namespace)
        finally:
            lifeline.restore(self._before)
            self.end_leftovers()
            self._folder.cleanup()
            self._lifeline.close()


def namespace_of(notebook: str) -> str:
    """A namespace's name from a notebook's: lower-case letters, digits, dashes, 50 at most."""
    return "nb-" + re.sub(r"[^a-z0-9]+", "-", notebook.lower()).strip("-")[:47].strip("-")
