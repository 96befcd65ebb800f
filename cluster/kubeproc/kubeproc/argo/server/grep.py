"""`?grep=` of a workflow's log: the lines that match an expression, which is untrusted input.

The expression is RE2's, as Argo's is, so that no expression blocks the event loop; a long search yields to other tasks.
"""

from __future__ import annotations

import asyncio

from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.patterns import Pattern, compiled
from kubeproc.argo.language.quoting import quote
from kubeproc.argo.server.grpc import UNKNOWN, Refusal

BATCH = 1000  # lines between two yields to other tasks


class Grep:
    """The lines that match; `Refusal` if `expression` is not valid."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.pattern: Pattern | None = None
        if expression:
            try:
                self.pattern = compiled(expression)
            except Panic as error:
                raise Refusal(UNKNOWN, f"failed to compile {quote(expression)}: {error}") from None

    async def matches(self, texts: list[str]) -> list[int]:
        """The indices of the texts that match."""
        if self.pattern is None:
            return list(range(len(texts)))
        found: list[int] = []
        for start in range(0, len(texts), BATCH):
            try:
                found += [i for i in range(start, min(start + BATCH, len(texts))) if self.pattern.search(texts[i])]
            except Panic as error:
                raise Refusal(UNKNOWN, str(error)) from None
            await asyncio.sleep(0)
        return found
