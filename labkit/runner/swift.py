"""`nbformat`, imported in a tenth of the time: without the grammar of IRIs (0.9 s) that jsonschema loads where it is
installed, for a format that the schema of notebooks does not have."""

from __future__ import annotations

import sys

GRAMMAR = "rfc3987_syntax"

hidden = GRAMMAR not in sys.modules
if hidden:
    sys.modules[GRAMMAR] = None  # type: ignore[assignment]
try:
    import nbformat
finally:
    if hidden:
        del sys.modules[GRAMMAR]

__all__ = ["nbformat"]
