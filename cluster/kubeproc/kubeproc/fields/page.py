"""The generated part of `docs/differences.md`: `python -m kubeproc.fields.page docs/differences.md`.

A field is listed once for each table that contains it; tables that the kinds below do not reach are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from kubeproc.fields import Field, Table, workflow_fields, workload_fields

BEGIN, END = "<!-- Written by kubeproc.fields.page. -->", "<!-- Until here. -->"
KINDS = (
    ("Pods", "PodSpec", workload_fields.TYPES),
    ("Services", "ServiceSpec", workload_fields.TYPES),
    ("PersistentVolumeClaims", "PersistentVolumeClaimSpec", workload_fields.TYPES),
    ("Deployments", "DeploymentSpec", workload_fields.TYPES),
    ("Jobs", "JobSpec", workload_fields.TYPES),
    ("TFJobs", "TFJobSpec", workload_fields.TYPES),
    ("Workflows", "WorkflowSpec", workflow_fields.TYPES),
)


def paths(tables: Mapping[str, Table], type: str) -> Iterator[tuple[str, Field]]:
    """Every field below a table with its path, breadth first; each table is visited once."""
    waiting, seen = [(type, "")], {type}
    while waiting:
        name, path = waiting.pop(0)
        for field, entry in tables[name].items():
            here = f"{path}.{field}" if path else field
            yield here, entry
            inner = entry.type.removeprefix("{}")
            if inner and inner not in seen:
                seen.add(inner)
                waiting.append((inner, here))


def section() -> str:
    """The two lists as Markdown."""
    refused, ignored = [], []
    listed: set[int] = set()
    for kind, root, tables in KINDS:
        new = [(path, entry) for path, entry in paths(tables, root) if id(entry) not in listed]
        listed |= {id(entry) for _, entry in new}
        refused += _list(kind, [(path, _condition(entry)) for path, entry in new if entry.refused])
        ignored += _list(kind, [(path, entry.ignored) for path, entry in new if entry.ignored])
    return "\n".join(["### Fields that are refused", "", *refused, "", "### Fields without effect", "", *ignored])


def _condition(entry: Field) -> str:
    return " ".join(filter(None, [entry.words, f"({entry.hint})" if entry.hint else ""]))


def _list(kind: str, fields: list[tuple[str, str]]) -> list[str]:
    """The list item of a kind: its fields, grouped by reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for path, why in fields:
        parent, _, name = path.rpartition(".")
        groups.setdefault((parent, why), []).append(name)
    if not groups:
        return []
    lines = [f"- {kind}:"]
    for (parent, why), names in groups.items():
        listed = ", ".join(
            f"`{parent + '.' if parent and i == 0 else ''}{name}`" for i, name in enumerate(sorted(names))
        )
        lines.append(f"  - {listed}{': ' + why if why else ''}")
    return lines


def written(text: str) -> str:
    """The page's text with the section generated from the tables."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{section()}\n\n{END}{after}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(written(page.read_text()))
