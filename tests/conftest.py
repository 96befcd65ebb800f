"""Fixtures for everything that needs a whole embedded cluster; how a run is shared out, and that nothing is left of it."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before the clients, so that they find jsonschema imported without its slow grammar.
from labkit.runner import swift  # noqa: F401

# isort: split
from hypothesis import HealthCheck, settings

from clusters import running_cluster

pytest_plugins = ["leaks", *(["sharing"] if importlib.util.find_spec("xdist") else [])]

# No test case of a property has a time of its own: a busy machine may take any for it, and for making its input.
settings.register_profile("labkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Where each change is tested, a property is tried on the same cases each time; elsewhere, and weekly, on others.
settings.register_profile("same", settings.get_profile("labkit"), derandomize=True)
settings.load_profile("same" if os.environ.get("LABKIT_SAME_CASES") else "labkit")

# A shell's background job ignores SIGINT, and so would all that the tests start and end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an embedded cluster that one module of tests shares. It fails if a process is left behind."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as folder:
        yield folder.kubeconfig


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Every test begins with Python's own handlers, whatever a fixture of more than one test has set. A test that leaves
    others fails, and not a later one that is interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    after = {number: signal.getsignal(number) for number in before}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before, "the test has left handlers of signals"
