"""What a benchmark is: several runs, their median and spread, a promise, and a peer measured in turn with it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Samples:
    """The same thing measured several times, in `unit`."""

    values: Sequence[float]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        return f"{number(self.median)} {self.unit} ({number(low)} to {number(high)})"


@dataclass(frozen=True)
class Row:
    """A line of the table: what, how it went, what was promised (`holds` says whether), and beside whom."""

    what: str
    ours: Samples
    promise: str = ""
    holds: bool | None = None
    peer: str = ""
    theirs: Samples | None = None
    note: str = ""
    ratios: Sequence[float] = field(default=())

    def cells(self) -> list[str]:
        verdict = {None: "", True: "yes", False: "**no**"}[self.holds]
        beside = f"{self.peer}: {self.theirs}" if self.theirs else self.peer
        ratio = ""
        if self.ratios:
            low, high = min(self.ratios), max(self.ratios)
            ratio = f"{number(statistics.median(self.ratios))} ({number(low)} to {number(high)})"
        return [self.what, str(self.ours), self.promise, verdict, beside, ratio]


def number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def under(samples: Samples, limit: float) -> bool:
    return samples.median < limit


def in_turn(
    ours: Callable[[], float], theirs: Callable[[], float], runs: int
) -> tuple[list[float], list[float], list[float]]:
    """Measure both alternately, so that a machine that slows down slows both; (ours, theirs, theirs/ours pair by pair)."""
    pairs = [(ours(), theirs()) for _ in range(runs)]
    return [a for a, _ in pairs], [b for _, b in pairs], [b / a for a, b in pairs]
