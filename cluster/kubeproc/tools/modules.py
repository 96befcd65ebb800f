"""Upstream's files, from the Go module proxy: Go checks a module against the public checksum database."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

VERSIONS = {
    "k8s.io/api": "v0.37.1",  # kubectl's version: it writes the zero values of all fields that it knows
    "k8s.io/apimachinery": "v0.37.1",
    "github.com/argoproj/argo-workflows/v3": "v3.7.9",  # as in cluster/versions.yaml
    "github.com/kubeflow/training-operator": "v1.9.4",
}
UPSTREAM = Path(__file__).resolve().parent.parent / "kubeproc" / "upstream"


def source(module: str) -> str:
    """The module and its version, as Go writes them."""
    return f"{module}@{VERSIONS[module]}"


def folder(module: str) -> Path:
    """The module's files, downloaded when they are not in Go's cache."""
    command = ["go", "mod", "download", "-json", source(module)]
    said = subprocess.run(command, check=True, capture_output=True, cwd="/").stdout
    return Path(json.loads(said)["Dir"])


def write(name: str, modules: list[str], key: str, entries: dict[str, Any]) -> None:
    """A file of data, one entry a line, that names its source and licence."""
    about = {"source": [source(module) for module in modules], "licence": "Apache-2.0"}
    head = "".join(f"{json.dumps(word)}: {json.dumps(value)},\n" for word, value in about.items())
    lines = ",\n".join(f"{json.dumps(entry)}: {json.dumps(value)}" for entry, value in sorted(entries.items()))
    UPSTREAM.joinpath(name).write_text(f"{{{head}{json.dumps(key)}: {{\n{lines}\n}}}}\n")
