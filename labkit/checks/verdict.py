"""The verdict of a check: passed, or not yet and why."""

from __future__ import annotations


class CheckFailed(AssertionError):
    """A wrong or missing answer: what was found, what was expected, a hint."""

    def __init__(self, found: str, hint: str = "") -> None:
        super().__init__(f"{found}\n  hint: {hint}" if hint else found)
        self.found, self.hint = found, hint

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of a traceback: the check's code is not the student's business."""
        return [f"Not yet: {self}"]


def expect(holds: object, found: str, hint: str = "") -> None:
    """Raise `CheckFailed(found, hint)` unless `holds`."""
    if not holds:
        raise CheckFailed(found, hint)


def passed(what: str) -> None:
    """Say in one line that a check has passed."""
    print(f"Passed: {what}")
