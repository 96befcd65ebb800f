"""The cases: functions `(Lab) -> observation`, each registered under its module's and its own name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from . import cases
from .lab import Lab

Case = Callable[[Lab], Any]


def load() -> dict[str, Case]:
    """Every case by name: `pods/succeeds` is the public function `succeeds` of `cases/pods.py`."""
    found: dict[str, Case] = {}
    for module in pkgutil.iter_modules(cases.__path__):
        if module.name.startswith("_"):
            continue
        loaded = importlib.import_module(f"{cases.__name__}.{module.name}")
        for name, value in vars(loaded).items():
            if callable(value) and getattr(value, "__module__", "") == loaded.__name__ and not name.startswith("_"):
                found[f"{module.name}/{name}"] = value
    return found
