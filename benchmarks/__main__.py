"""Run the benchmarks and print one table."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

import psutil

from benchmarks import api, course, memory, notebooks, pods, startup, tfjob, workflow
from benchmarks.measure import Row

BENCHMARKS = {
    "startup": startup.measure,
    "pods": pods.measure,
    "api": api.measure,
    "memory": memory.measure,
    "tfjob": tfjob.measure,
    "workflow": workflow.measure,
    "notebooks": notebooks.measure,
    "course": course.measure,
}
HEAD = ["what", "median (spread)", "promised", "held", "beside it, same run", "times slower (spread)"]
README = Path(__file__).with_name("README.md")
MARK = "<!-- the table below is written by `make bench` -->\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    chosen = parser.parse_args()
    rows: list[Row] = []
    for name in chosen.names or BENCHMARKS:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        rows += BENCHMARKS[name](chosen.runs)
    text = table(rows)
    print(text)
    if chosen.write:
        kept = README.read_text().partition(MARK)[0]
        README.write_text(f"{kept}{MARK}\n{text}")
    return 0


def table(rows: list[Row]) -> str:
    cells = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    lines = ["| " + " | ".join(line) + " |" for line in cells]
    notes = [f"- {row.what}: {row.note}" for row in rows if row.note]
    return "\n".join([machine(), "", *lines, "", *notes]) + "\n"


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    today = datetime.date.today().isoformat()
    return (
        f"{today}, {platform.system()} {platform.release().split('-')[0]} {platform.machine()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GB, Python {platform.python_version()}, load at the end {os.getloadavg()[0]:.1f}."
    )


if __name__ == "__main__":
    sys.exit(main())
