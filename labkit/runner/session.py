"""What surrounds a run: a cluster (its own, or one that is there), a namespace and kubeconfig for each notebook, and the
proof that nothing was left behind.

Every process of a run inherits `LABKIT_RUN`; when the run is over, whoever still carries its value outlived it. A notebook
has a LABKIT_HOME of its own, where the run's cluster is a link: the clusters that it makes collide with nobody's, and what
is there at the end was left behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from kubeproc.environment import LIFELINE
from labkit import client, cluster, namespaces, paths
from labkit.engines import nodes as machines
from labkit.errors import LabError
from labkit.runner import lifeline
from labkit.runner.lifeline import MARK

DEFAULT = "embedded"
LAST_WORDS = 30  # lines of the logs of a cluster that can't start


class Session:
    """A context: `up()` starts the cluster; on exit the run's own one is gone with its state, and of one that was there
    before the run's namespaces."""

    def __init__(
        self, engine: str | None = None, name: str | None = None, prewarm: bool = False, nodes: int | None = None
    ) -> None:
        if engine is not None and engine not in cluster.ENGINES:
            raise LabError(
                f"there is no engine {engine!r}", f"this version of labkit has: {', '.join(cluster.ENGINES)}"
            )
        if name and nodes:
            raise LabError("--nodes applies to a cluster that the run starts", "leave out --cluster or --nodes")
        if name is not None and engine is not None:
            raise LabError("--engine applies to a cluster that the run starts", "leave out --cluster or --engine")
        self.options = {} if nodes is None else {"nodes": nodes}
        machines.check(nodes)
        found: dict[str, Any] = cluster.status(name) if name is not None else {}
        if name is not None and found["state"] != "running":
            raise LabError(f"the cluster {name!r} is {found['state']}", f"labkit up --name {name} starts it")
        self.engine = str(found.get("engine") or engine or DEFAULT)
        self.prewarm = prewarm
        self.own = name is None
        self.name = name or "run"
        self.id = uuid.uuid4().hex
        self.left_behind: list[str] = []
        self.faults: list[str] = []
        self._environments: dict[str, dict[str, str] | Exception] = {}
        self._namespaces: list[str] = []
        self._homes: dict[str, Path] = {}
        self._keys: dict[str, str] = {}  # a notebook's key, which is its namespace's name, and its name
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
        """Start the cluster and prepare what each notebook's kernel needs; LabError where the cluster does not start."""
        found = self._start() if self.own else cluster.status(self.name)
        os.environ["KUBECONFIG"] = found["kubeconfig"]
        self.kubeconfig = Path(found["kubeconfig"])
        self.given = str(found.get("namespace") or "")
        for notebook, key in namespaces_of(notebooks).items():
            self._keys[key] = notebook
            try:
                self._environments[notebook] = self._environment(notebook, key)
            except Exception as error:  # this notebook's trouble, and no other's
                self._environments[notebook] = error

    def environment(self, notebook: str) -> dict[str, str]:
        """What a notebook's kernel needs: raises the error that prevented it."""
        found = self._environments[notebook]
        if isinstance(found, Exception):
            raise found
        return found

    def _start(self) -> dict[str, Any]:
        with cluster.prewarmed() if self.prewarm else contextlib.nullcontext():
            try:
                return cluster.up(self.name, self.engine, **self.options)
            except LabError as error:
                # Its logs will be gone with its folder: their last words are said here.
                said = []
                with contextlib.suppress(LabError):
                    said = cluster.daemon_logs(self.name).splitlines()[-LAST_WORDS:]
                raise LabError(
                    "\n".join([error.message, *said]),
                    error.hint or "`labkit doctor` says what is missing on this machine",
                ) from error

    def _environment(self, notebook: str, key: str) -> dict[str, str]:
        """What a notebook's kernel gets: a namespace of its own, as the kubeconfig's default; on a cluster of which one
        namespace may be used, that."""
        namespace = self.given or key + ("" if self.own else f"-{self.id[:5]}")
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
            MARK: f"{self.id}/{key}",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }

    def _home(self, notebook: str) -> Path:
        """A LABKIT_HOME for one notebook, in which the run's cluster can be found."""
        home = self.folder / f"h{len(self._homes)}"
        (home / "clusters").mkdir(parents=True, mode=0o700)
        (home / "clusters" / self.name).symlink_to(paths.cluster(self.name).root)
        self._homes[notebook] = home
        return home

    def end_leftovers(self, of: str = "", parent: int | None = None) -> None:
        """End and record what the run left behind; with `of` "/" only what its notebooks did, below `parent`, too."""
        for notebook, home in self._homes.items():
            self.left_behind += [f"cluster {name} of {notebook}" for name in lifeline.purge_clusters(home)]
        for mark, words in lifeline.end_leftovers(self.id + of):
            of_whom = self._keys.get(mark.partition("/")[2])
            self.left_behind.append(words + (f" (of {of_whom})" if of_whom else ""))
        self.left_behind += lifeline.end_orphans(parent) if parent else []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._take_down()
        except Exception as trouble:  # the notebooks' results are worth a report
            what = "cluster is" if self.own else "namespaces are"
            self.faults.append(f"the run's {what} not deleted: {trouble}")
        finally:
            lifeline.restore(self._before)
            self.end_leftovers()
            self._folder.cleanup()
            self._lifeline.close()

    def _take_down(self) -> None:
        if self.own:
            cluster.down(self.name, purge=True)
        else:
            for namespace in self._namespaces:
                client.remove("namespace", namespace)


def namespaces_of(notebooks: Sequence[str]) -> dict[str, str]:
    """For each notebook's name the name of a namespace of its own: lower-case letters, digits and dashes, 57 at most.
    Names that map to the same one, or to nothing, get a hash of the whole name."""
    short = {name: re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:47].strip("-") for name in notebooks}
    count = Counter(short.values())
    found = {}
    for name in notebooks:
        parts = ["nb", short[name]] if short[name] else ["nb"]
        unique = short[name] and count[short[name]] == 1
        found[name] = "-".join(parts if unique else [*parts, _hash(name)])
    return found


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:7]
