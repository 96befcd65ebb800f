"""The one exception a user of labkit is meant to read: what happened, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kubeproc.errors import HintedError

MOST = 10  # names in a hint


class LabError(HintedError):
    """An expected failure, written for a person."""


@contextmanager
def expected() -> Iterator[None]:
    """Turn an expected failure of the embedded cluster into a LabError."""
    try:
        yield
    except LabError:
        raise
    except HintedError as error:
        raise LabError(error.message, error.hint) from error


def meant(word: str, known: Iterable[str], what: str) -> str:
    """The hint for a name that does not exist: the one that is most like it, and all others."""
    names = sorted(set(known))
    if not names:
        return f"there are no {what} yet"
    near = difflib.get_close_matches(word, names, n=1) or [n for n in names if n.lower() == word.lower()]
    there = f"the {what} that exist: {', '.join(names[:MOST])}" + (", ..." if len(names) > MOST else "")
    return f"do you mean {near[0]!r}? {there}" if near else there
