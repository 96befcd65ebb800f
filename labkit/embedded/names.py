"""Names that the cluster makes up: a prefix and five letters of an alphabet in which no words can be spelled.

The letters are random, as Kubernetes' name generator has them, or come from a key: then whoever makes the object a second
time, after a crash in between, makes the same name and finds that it is there. The alphabet is the one of
k8s.io/apimachinery/pkg/util/rand: no vowels, no 0, 1 and 3.
"""

from __future__ import annotations

import hashlib
import random

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
LETTERS = 5
LONGEST = 63 - LETTERS  # of a prefix: what is longer is cut, so that the whole is a label's value


def generated(prefix: str, key: str = "") -> str:
    """`prefix` with five letters: random ones, or always the same for a `key`."""
    if not key:
        return prefix[:LONGEST] + "".join(random.choices(ALPHABET, k=LETTERS))
    digest = hashlib.sha256(key.encode()).digest()
    return prefix[:LONGEST] + "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:LETTERS])


def encoded(text: str) -> str:
    """Each character (of a number's digits, say) as a letter of the alphabet."""
    return "".join(ALPHABET[ord(character) % len(ALPHABET)] for character in text)
