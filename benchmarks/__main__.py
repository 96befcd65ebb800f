"""Run the benchmarks and print one table."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

import psutil

from benchmarks import api, course, curves, engines, memory, network, notebooks, pods, startup, tfjob, workflow
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
# Each has a table of its own and is left out unless asked for: `engines` needs Docker, and all take a while.
ALONE = {"engines": engines.measure, "curves": curves.measure, "network": network.measure}
MAIN_HEAD = ["what", "median (spread)", "promised", "held", "beside it, same run", "times slower (spread)"]
HEADS = {
    "main": MAIN_HEAD,
    "curves": [*MAIN_HEAD[:4], "CPU of server and kubelet apiece", ""],
    "network": ["what", "its own, median (spread)", *MAIN_HEAD[2:4], "shared, same run", "times slower (spread)"],
    "engines": ["what", "embedded, median (spread)", "", "", "the real cluster", "times slower or larger (spread)"],
}
README = Path(__file__).with_name("README.md")
MARKS = {
    "main": "<!-- the table of `make bench` -->\n",
    "curves": "<!-- the table of `python -m benchmarks curves --write` -->\n",
    "engines": "<!-- the table of `make bench-kind` -->\n",
    "network": "<!-- the table of `python -m benchmarks network --write` -->\n",
}
END = "<!-- its end -->\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*BENCHMARKS, *ALONE, []], help=f"which (default: all but {' and '.join(ALONE)})"
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    chosen = parser.parse_args()
    if len(chosen.names) > 1 and (alone := [name for name in chosen.names if name in ALONE]):
        parser.error(f"{alone[0]} has a table of its own: ask for it alone")
    rows: list[Row] = []
    for name in chosen.names or BENCHMARKS:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        rows += (BENCHMARKS | ALONE)[name](chosen.runs)
    which = chosen.names[0] if chosen.names and chosen.names[0] in ALONE else "main"
    text = table(rows, HEADS[which])
    print(text)
    if chosen.write:
        put(MARKS[which], text)
    return 0


def put(mark: str, text: str) -> None:
    """Replace the table between its mark and the next end."""
    before, _, rest = README.read_text().partition(mark)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{mark}\n{text}\n{END}{after}")


def table(rows: list[Row], head: list[str]) -> str:
    """Columns without a head are left out."""
    cells = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    shown = [n for n, name in enumerate(head) if name]
    cells = [[line[n] for n in shown] for line in cells]
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
