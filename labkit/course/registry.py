"""Versions of models, and of the data that they came from: a folder of small JSON files that only ever grows.

    URL/NAME/1.json, 2.json, ...   one file for each version: where the model is, its data's version, its measures
    URL/NAME/stages.json           which version is in which stage, such as {"production": 2}, and what was there before

A version never changes once written. What serves is decided by a stage, so going back is moving it to an older version.
One writer at a time: a workflow's step, under a mutex where several run.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from labkit.course.data import storage
from labkit.errors import LabError

STAGES = "stages.json"


@dataclass(frozen=True)
class Version:
    """One version of a model. `data` is the data's version; `measures` are accuracies and the like; `created` in seconds
    since 1970; `parents` what it came from besides the data, such as the workflow's name."""

    name: str
    number: int
    model: str
    data: str
    measures: dict[str, float] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    created: float = 0.0


class Registry:
    """The registry at a URL; nothing is written before the first registration."""

    def __init__(self, url: str) -> None:
        self.url = url

    def register(
        self, name: str, model: str, data: str, measures: dict[str, float], parents: dict[str, str] | None = None
    ) -> Version:
        """A new version; the one that is there already when the same model was registered before."""
        for known in self.versions(name):
            if (known.model, known.data) == (model, data):
                return known
        number = len(self.versions(name)) + 1
        version = Version(name, number, model, data, measures, parents or {}, round(time.time(), 3))
        storage.write_json(storage.join(self.url, name, f"{number}.json"), asdict(version))
        return version

    def versions(self, name: str) -> list[Version]:
        """All versions, the oldest first."""
        found: list[Version] = []
        while storage.exists(storage.join(self.url, name, f"{len(found) + 1}.json")):
            found.append(self.version(name, len(found) + 1))
        return found

    def version(self, name: str, number: int) -> Version:
        """`LabError` that names the file if it does not exist."""
        return Version(**storage.read_json(storage.join(self.url, name, f"{number}.json")))

    def promote(self, name: str, number: int, stage: str = "production") -> Version:
        """Put a version in a stage; the one before is remembered."""
        version = self.version(name, number)
        stages = self._stages(name)
        if not stages.get(stage) or stages[stage][-1] != number:
            stages[stage] = [*stages.get(stage, []), number]
            storage.write_json(storage.join(self.url, name, STAGES), stages)
        return version

    def roll_back(self, name: str, stage: str = "production") -> Version:
        """Put the version back that was in the stage before; `LabError` where there was none."""
        stages = self._stages(name)
        if len(stages.get(stage, [])) < 2:
            raise LabError(f"{name} has no earlier version in {stage}", "promote one by its number")
        stages[stage].pop()
        storage.write_json(storage.join(self.url, name, STAGES), stages)
        return self.version(name, stages[stage][-1])

    def current(self, name: str, stage: str = "production") -> Version:
        """The version in a stage; `LabError` for an empty stage."""
        history = self._stages(name).get(stage)
        if not history:
            raise LabError(f"no version of {name} is in {stage}", "promote one first")
        return self.version(name, history[-1])

    def _stages(self, name: str) -> dict[str, Any]:
        url = storage.join(self.url, name, STAGES)
        return storage.read_json(url) if storage.exists(url) else {}
