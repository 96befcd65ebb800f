"""What the steps of the pipeline share: how one is run, and where it leaves its output parameters."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from labkit.errors import LabError


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with the option that every step has. The folder for temporary files is /tmp, wherever that is here."""
    parser = argparse.ArgumentParser(prog=f"python -m labkit.course.pipeline.{name}", description=description)
    parser.add_argument(
        "--outputs", type=Path, default=temporary("outputs"), metavar="DIR", help="folder for the output parameters"
    )
    return parser


def temporary(name: str) -> Path:
    """The pod's /tmp/NAME: where paths are translated TMPDIR says where /tmp is."""
    return Path(tempfile.gettempdir(), name)


def output(folder: Path, values: dict[str, str]) -> None:
    """One file for each output parameter, as a workflow's `valueFrom: {path: ...}` reads it; also printed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(value)
        print(f"{name}: {value}", flush=True)


def main(run: Callable[[list[str]], None]) -> int:
    """Run a step with the command line's arguments; an expected failure ends it with a message, not a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        run(sys.argv[1:])
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
