"""Fixtures for everything that needs a whole embedded cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an embedded cluster that one module of tests shares. It fails if a process is left behind."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as folder:
        yield folder.kubeconfig
