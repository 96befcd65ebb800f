"""How xdist shares the tests out between its workers: whole units, the longest first.

A unit is what shares something that takes long to start, which two workers would start twice: a file with its module's
cluster, or a folder's tests of one way to run pods. Tests of which each starts what it needs are units by themselves. A worker
takes the next unit when it has almost none left, so that what comes first should be what takes longest.
"""

from __future__ import annotations

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

# Folders whose tests share one cluster or one runtime for each of these parameters.
WAYS = {
    "tests/kubeproc/kubelet/": re.compile(r"\[(linux|portable)\b"),
    "tests/kubeproc/runtime/": re.compile(r"\[(root|user|none|portable)\b"),
    "tests/kubeproc/machines/": re.compile("never"),
}
APART = (
    "tests/runner/test_nothing_left.py",
    "tests/runner/test_run.py",
    "tests/test_faults.py",
    "tests/test_cluster.py",
)
# By what they take together.
FIRST = (
    "tests/kubeproc/kubelet/",
    "tests/runner/",
    "tests/training/",
    "tests/pipeline/",
    "tests/kubeproc/machines/",
    "tests/existing/",
    "tests/test_warm.py",
    "tests/kubeproc/runtime/",
    "tests/conformance/",
    "tests/test_unprivileged.py",
    "tests/soak/",
    "tests/test_nodes.py",
    "tests/test_cluster.py",
    "tests/test_faults.py",
    "tests/kind/test_wheels.py",
    "tests/kubeproc/argo/test_whole_workflows.py",
    "tests/kubeproc/kubectl/",
    "tests/test_exercises.py",
)


def unit(nodeid: str) -> str:
    """The unit that a test belongs to."""
    file = nodeid.partition("::")[0]
    if file in APART:
        return nodeid
    for folder, way in WAYS.items():
        if file.startswith(folder):
            found = way.search(nodeid)
            return f"{folder}{found[1] if found else ''}"
    return file


def rank(nodeid: str) -> int:
    """The position in FIRST of the pattern that it matches; all others come last."""
    return next((place for place, start in enumerate(FIRST) if nodeid.startswith(start)), len(FIRST))


class Units(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)

    def schedule(self) -> None:
        """At the first call the units are made from the workers' collections, in whose order they stay."""
        self.config.option.loadscopereorder = False
        super().schedule()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Units:
    return Units(config, log)
