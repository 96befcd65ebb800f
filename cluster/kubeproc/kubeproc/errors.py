"""An expected failure with a message for the user: what happened, and what to do next."""

from __future__ import annotations


class HintedError(Exception):
    """`message` says what happened and names the file, field or object; `hint` says what to do next.

    A command prints both and exits with `exit_code`; a notebook shows them without a traceback.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of a traceback: our stack frames do not explain the failure."""
        return [str(self)]
