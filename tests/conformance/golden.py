"""The golden answers, one file of YAML for each module of cases, and the differences that are known and accepted."""

from __future__ import annotations

import fnmatch
import functools
from pathlib import Path
from typing import Any

import yaml

from .normal import Normal

HERE = Path(__file__).parent
FOLDER = HERE / "golden"
DIFFERENCES = HERE / "differences.yaml"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@functools.cache
def load() -> dict[str, Any]:
    """Every recorded answer by the case's name."""
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        answers = yaml.load(path.read_text(), Loader)
        found.update({f"{path.stem}/{name}": Normal().value(answer) for name, answer in answers.items()})
    return found


def record(answers: dict[str, Any]) -> None:
    """Write these answers over those of before; others stay."""
    every = load() | answers
    load.cache_clear()
    for module in {name.partition("/")[0] for name in answers}:
        mine = {n.partition("/")[2]: a for n, a in sorted(every.items()) if n.startswith(f"{module}/")}
        text = yaml.dump(mine, Dumper=Dumper, width=120, sort_keys=True, allow_unicode=True)
        (FOLDER / f"{module}.yaml").write_text(text)


def accepted(case: str, network: str) -> list[dict[str, str]]:
    """The entries `{case, field, why}` of a case; `field` may hold `*`. One that names a network holds for that one."""
    return [entry for entry in known() if entry["case"] == case and entry.get("network", network) == network]


def known() -> list[dict[str, str]]:
    return yaml.load(DIFFERENCES.read_text(), Loader) or []


def covers(entry: dict[str, str], field: str) -> bool:
    return fnmatch.fnmatchcase(field, entry["field"].replace("[", "[[]"))
