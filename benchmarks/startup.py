"""From `labkit up`, as typed, to the first successful API call; beside it the interpreter that everything needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Row, Samples, under


def up_and_call(engine: str = "embedded", *options: str) -> float:
    """Seconds from starting the command to the answer of a GET with the kubeconfig that it wrote."""
    labkit = Path(sys.executable).with_name("labkit")
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as home:
        environment = os.environ | {"LABKIT_HOME": home}
        begun = time.perf_counter()
        down = [str(labkit), "down", "--purge", "--name", "bench"]
        command = [str(labkit), "up", "--engine", engine, "--name", "bench", *options]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            call(Path(home) / "clusters" / "bench" / "kubeconfig")
            taken = time.perf_counter() - begun
        finally:
            subprocess.run(down, env=environment, check=True, stdout=subprocess.DEVNULL)
    return taken


def call(kubeconfig: Path) -> None:
    """GET /api/v1/namespaces over TLS with the token, by the standard library."""
    import base64
    import json
    import ssl
    import urllib.request

    import yaml

    config = yaml.safe_load(kubeconfig.read_text())
    where = config["clusters"][0]["cluster"]
    trust = ssl.create_default_context(cadata=base64.b64decode(where["certificate-authority-data"]).decode())
    headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
    request = urllib.request.Request(f"{where['server']}/api/v1/namespaces", headers=headers)
    with urllib.request.urlopen(request, context=trust) as answer:
        assert json.load(answer)["kind"] == "NamespaceList"


def measure(runs: int) -> list[Row]:
    ours = Samples([up_and_call() for _ in range(runs)], "s")
    return [Row("`labkit up` to the first API call", ours, "under 1 s", under(ours, 1.0))]
