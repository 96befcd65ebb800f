"""Which network a cluster's pods have: asked for, found out, and kept."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from clusters import processes_of, running_cluster, space
from kubeproc import engine
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder
from kubeproc.network import mode
from labkit import cluster


def test_a_cluster_keeps_its_network(home: ClusterFolder) -> None:
    assert mode.own(home)
    engine.up(home)
    with pytest.raises(HintedError, match="already exists, with the network pods"):
        engine.up(home, network="shared")
    with pytest.raises(HintedError, match="translated paths exclude it"):
        engine.up(home, portable=True)


def test_on_request_pods_share_this_machines_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_cluster(tmp_path, network="shared") as folder:
        kube = space(folder, "shared")
        kube.pod("p", ["sleep", "60"], container={"ports": [{"containerPort": 80}]})
        pod = kube.running("p")
        assert pod["status"]["podIP"] == "127.0.0.1"
        assert pod["spec"]["containers"][0]["ports"][0]["hostPort"]
        assert engine.status(folder)["mechanisms"]["network"] == "this machine's"


def test_translated_paths_and_a_network_of_their_own_exclude_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setenv("LABKIT_PORTABLE", "1")
    with pytest.raises(HintedError, match="can't have a network of their own here: paths are translated"):
        cluster.up("c", network="pods")


def test_nothing_is_left_of_a_kubelet_that_is_killed(tmp_path: Path, home: ClusterFolder) -> None:
    with running_cluster(tmp_path, network="pods") as folder:
        kube = space(folder, "killed")
        kube.pod("p", ["sleep", "60"])
        kube.running("p")
        started = processes_of(folder)
        assert [p for p in started if "kubeproc.network.router" in p.cmdline()]
        server = engine.daemon(folder, "server").pid
        os.kill(engine.daemon(folder, "kubelet").pid, signal.SIGKILL)
        _, left = psutil.wait_procs([p for p in started if p.pid != server], timeout=5)
        assert not left
