"""One small ingestion and three trainings, shared by the tests of the steps after them."""

from __future__ import annotations

import shutil
import sys

import pytest

from labkit.course.pipeline import ingest, step
from labkit.course.training import program


@pytest.fixture
def run_step(monkeypatch, tmp_path, capsys):
    """`run_step(module, *arguments)` runs a step as its pod does: (exit code, output parameters, what it printed)."""

    def run(module, *arguments: str) -> tuple[int, dict[str, str], str]:
        outputs = tmp_path / "outputs"
        shutil.rmtree(outputs, ignore_errors=True)
        monkeypatch.setattr(sys, "argv", [module.__name__, *arguments, "--outputs", str(outputs)])
        code = step.main(module.run)
        found = {path.name: path.read_text() for path in outputs.iterdir()} if outputs.exists() else {}
        captured = capsys.readouterr()
        return code, found, captured.out + captured.err

    return run


@pytest.fixture(scope="session")
def system(tmp_path_factory):
    """A folder with `sets/...` and `runs/{linear,mlp,cnn}` as the workflow leaves it, and the data's URL."""
    root = tmp_path_factory.mktemp("system")
    size, out = ["--dataset", "auto", "--size", "1500"], ["--out", str(root / "sets")]
    ingest.run([*size, *out, "--outputs", str(root / "outputs")])
    url = (root / "outputs" / "url").read_text()
    for model, steps in (("linear", "30"), ("mlp", "40"), ("cnn", "40")):
        arguments = ["--data", url, "--out", str(root / "runs" / model), "--model", model, "--steps", steps]
        assert program.main(arguments) == 0
    return root, url
