"""Hints that name what is meant."""

from __future__ import annotations

import pytest

from labkit.errors import meant


@pytest.mark.parametrize(("word", "known", "said"), [
    ("trains", ["train", "select"], "do you mean 'train'? the tasks that exist: select, train"),
    ("TRAIN", ["train"], "do you mean 'train'? the tasks that exist: train"),
    ("zzz", ["train"], "the tasks that exist: train"),
    ("train", [], "there are no tasks yet"),
    ("zzz", [f"t{i:02}" for i in range(12)], "the tasks that exist: " + ", ".join(f"t{i:02}" for i in range(10)) + ", ..."),
])  # fmt: skip
def test_a_name_that_does_not_exist_gets_the_nearest_one_and_the_others(word: str, known: list[str], said: str) -> None:
    assert meant(word, known, "tasks") == said
