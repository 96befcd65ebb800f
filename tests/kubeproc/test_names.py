"""Names that the cluster makes: the letters, the length, and what stays the same."""

from __future__ import annotations

import re

from kubeproc import names

SUFFIX = re.compile(f"[{names.ALPHABET}]{{5}}")


def test_a_generated_name_has_five_letters_of_the_alphabet_and_fits_a_label() -> None:
    made = {names.generated("web-") for _ in range(50)}
    assert len(made) > 40
    assert all(SUFFIX.fullmatch(name.removeprefix("web-")) for name in made)
    assert len(names.generated("x" * 200)) == 63


def test_a_key_always_makes_the_same_name() -> None:
    assert names.generated("web-", "a") == names.generated("web-", "a") != names.generated("web-", "b")
    assert SUFFIX.fullmatch(names.generated("", "a"))


def test_a_number_is_spelled_without_vowels() -> None:
    assert names.encoded("0123456789") == "456789bcdf"
