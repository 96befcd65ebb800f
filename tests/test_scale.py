"""A notebook's SCALE: one of its words, or a sentence that names them."""

from __future__ import annotations

import pytest

from labkit import scale
from labkit.errors import LabError

CHOICES = {"ci": 8, "class": 20, "full": 50}


def test_a_scale_is_what_the_notebook_says_it_is() -> None:
    assert [scale.choose(word, CHOICES) for word in CHOICES] == [8, 20, 50]


@pytest.mark.parametrize("given", ["huge", "CI", 3, None, ["ci"]])
def test_another_word_is_told_which_there_are(given: object) -> None:
    with pytest.raises(LabError) as told:
        scale.choose(given, CHOICES)
    assert repr(given) in told.value.message
    assert told.value.hint == "set it to ci, class, full"
