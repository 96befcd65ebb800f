"""Texts as Go quotes them (`%q`), and as the bytes that Go's strings are.

A text is a Python string in which a byte that is not UTF-8 is a lone surrogate (Python's `surrogateescape`), since a Go
string can be cut anywhere.
"""

from __future__ import annotations

import re
import unicodedata

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
# What encoding/json escapes: HTML's special characters and JavaScript's line ends.
HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
LINES = {"\u2028": "\\u2028", "\u2029": "\\u2029"}
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_ODD = re.compile(r"[^ !#-&(-\[\]-~]")  # characters that may need an escape
_PRINTED = ("L", "M", "N", "P", "S")  # Unicode's categories that Go prints, and the space


def encoded(text: str) -> bytes:
    """The bytes of a text."""
    return text.encode("utf-8", "surrogateescape")


def decoded(data: bytes) -> str:
    """The text of some bytes, also joining the parts of a split character."""
    return data.decode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """The text with the replacement character for each byte that is not UTF-8."""
    return "".join("�" if "\ud800" <= char <= "\udfff" else char for char in text)


def quote(text: str, mark: str = '"', *, ascii_only: bool = False) -> str:
    """The text as a Go literal."""
    return mark + _ODD.sub(lambda found: _escaped(found[0], mark, ascii_only), text) + mark


def quote_bytes(text: str) -> str:
    """The text as Go's time package quotes it, which escapes every byte that is not printable ASCII."""
    shown = (f"\\x{byte:02x}" if not 32 <= byte < 128 else chr(byte) for byte in encoded(text))
    return '"' + "".join("\\" + char if char in ('"', "\\") else char for char in shown) + '"'


def _escaped(char: str, mark: str, ascii_only: bool) -> str:
    if char in _ESCAPES and not (char == '"' and mark != '"'):
        return _ESCAPES[char]
    if char == mark:
        return "\\" + mark
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if char == " " or (unicodedata.category(char)[0] in _PRINTED and (code < 0x80 or not ascii_only)):
        return char
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
