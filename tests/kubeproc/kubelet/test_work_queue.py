"""The course's work queue on the embedded cluster: Valkey in a Deployment, isolated and portable."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from clusters import Kube
from work_queue import keeps_its_work


def test_the_queue_keeps_its_work_when_its_server_is_killed(
    kube: Kube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = yaml.safe_load(kube.folder.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = kube.namespace
    mine = tmp_path / "kubeconfig"
    mine.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(mine))
    keeps_its_work(mine)
