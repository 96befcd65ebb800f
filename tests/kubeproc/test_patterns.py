"""No text that comes from outside holds the server: what is read with Python's regular expressions is read once.

Each text here is long enough that a pattern which goes back again and again would take minutes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from kubeproc import quantity
from kubeproc.api.schema import decoding
from kubeproc.argo.language import depends, go_text
from kubeproc.argo.validation import leaf_checks, unsupported

SIZE = 100_000


def spec_of(text: str) -> str:
    return unsupported.of_spec({"arguments": {"parameters": [{"name": "p", "value": text}]}})


READERS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "a quantity in a manifest": (decoding.QUANTITY.fullmatch, ("1", "1.", "0")),
    "a quantity": (quantity.parse, ("1", "0")),
    "a duration": (go_text.duration, ("1", "1.", "1h")),
    "depends": (lambda text: depends.unknown_result({"depends": text}), ("a", "a-", "a.", "A")),
    "the tags of a workflow": (spec_of, ("{{=", "{{= ", "{{", "}}{{=")),
    "the tags of a manifest": (leaf_checks.without_expressions, ("{{=", "{{ ", "{{= ", "}}{{=")),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_long_text_is_read_once(reader: str) -> None:
    read, parts = READERS[reader]
    start = time.thread_time()
    for part in parts:
        with contextlib.suppress(ValueError):
            read(part * (SIZE // len(part)) + "!")
    assert time.thread_time() - start < 5
