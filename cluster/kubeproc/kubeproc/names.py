"""Generated names: a prefix and five letters of an alphabet that spells no words.

The letters are random, as in Kubernetes' name generator, or derived from a key: a controller that creates the object
again after a crash then generates the same name and finds the object. The alphabet is that of
k8s.io/apimachinery/pkg/util/rand: no vowels, no 0, 1 or 3.
"""

from __future__ import annotations

import hashlib
import random

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
LETTERS = 5
LONGEST = 63 - LETTERS  # a longer prefix is cut, so that the name is a valid label value


def generated(prefix: str, key: str = "") -> str:
    """`prefix` and five letters: random ones, or always the same for a `key`."""
    if not key:
        return prefix[:LONGEST] + "".join(random.choices(ALPHABET, k=LETTERS))
    digest = hashlib.sha256(key.encode()).digest()
    return prefix[:LONGEST] + "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:LETTERS])


def encoded(text: str) -> str:
    """The text with each character (such as a digit) mapped to a letter of the alphabet."""
    return "".join(ALPHABET[ord(character) % len(ALPHABET)] for character in text)
