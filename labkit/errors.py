"""The one exception a user of labkit is meant to read: what happened, and what to do next."""

from __future__ import annotations


class LabError(Exception):
    """An expected failure, told to a person.

    `message` says what happened and names the file, field or object; `hint` says what to do next.
    The command line prints both and exits with `exit_code`; a notebook shows them as the error's text.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message
