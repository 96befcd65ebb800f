"""How large a node is: a container sees its whole machine, so a smaller node reserves the rest.

The scheduler does not allocate what is reserved; `kubectl describe node` shows both.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from kubeproc import quantity
from labkit.errors import LabError


def reserved(docker: dict[str, Any], cpus: int | None, memory: str | None) -> dict[str, str]:
    """The kubelet's `systemReserved`, so that `cpus` and `memory` ("4Gi") are left of what Docker has; LabError where that is
    less than what is asked for. `docker` is what `docker info` says."""
    found = {}
    if cpus:
        found["cpu"] = str(int(_rest("CPUs", Fraction(docker["NCPU"]), Fraction(cpus), str(cpus))))
    if memory:
        found["memory"] = str(int(_rest("memory", Fraction(docker["MemTotal"]), quantity.parse(memory), memory)))
    return found


def _rest(what: str, has: Fraction, wanted: Fraction, words: str) -> Fraction:
    if wanted > has:
        shown = f"{float(has / 2**30):.1f}Gi" if what == "memory" else str(has)
        raise LabError(f"a node can't have {what} {words}: Docker has {shown}", "choose less, or leave the option out")
    return has - wanted
