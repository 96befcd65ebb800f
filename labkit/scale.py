"""How large a notebook's run is: its parameter SCALE is a word, and each notebook says what the word means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from labkit.errors import LabError

Choice = TypeVar("Choice")


def choose(scale: object, choices: Mapping[str, Choice]) -> Choice:
    """What `choices` has for the scale; LabError names the known scales."""
    if not isinstance(scale, str) or scale not in choices:
        raise LabError(f"SCALE is {scale!r}, which is no scale of this notebook", f"set it to {', '.join(choices)}")
    return choices[scale]
