"""Case conversion and text wrapping, as in sprig's libraries."""

from __future__ import annotations

import unicodedata

from kubeproc.argo.language.quoting import SPACES, decoded, encoded

_NUMBER, _UPPER, _ALPHABET, _CONNECTOR, _PUNCTUATION, _OTHER, _NOTHING = range(7)


def _is_connector(char: str) -> bool:
    return char in "-_" or char in SPACES


def _is_upper(char: str) -> bool:
    return unicodedata.category(char) == "Lu"


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] == "P"


def _is_number(char: str) -> bool:
    return unicodedata.category(char)[0] == "N"


def _is_alphabet(char: str) -> bool:
    """A letter, but none of the Chinese, Japanese or Korean ones."""
    if unicodedata.category(char)[0] != "L":
        return False
    return not ("\u4e00" <= char <= "\u9fcc" or "\u3400" <= char <= "\u4d85" or "\U00020000" <= char <= "\U0002b81d")


def _one(char: str, changed: str) -> str:
    return changed if len(changed) == 1 else char


def title(value: str) -> str:
    """Capitalize the first letter of each word."""
    out, before = "", " "
    for char in value:
        out += _one(char, char.title()) if _separates(before) else char
        before = char
    return out


def _separates(char: str) -> bool:
    if char < "\x80":
        return not (char.isalnum() or char == "_")
    return not (char.isalpha() or char.isdecimal()) and char in SPACES


def untitle(value: str) -> str:
    """Lower-case the first letter of each word."""
    out, begins = "", True
    for char in value:
        if char in SPACES:
            begins = True
            out += char
        else:
            out += _one(char, char.lower()) if begins else char
            begins = False
    return out


def swapcase(value: str) -> str:
    out, begins = "", True
    for char in value:
        if unicodedata.category(char) in ("Lu", "Lt"):
            out += _one(char, char.lower())
            begins = False
        elif unicodedata.category(char) == "Ll":
            out += _one(char, char.title() if begins else char.upper())
            begins = False
        else:
            out += char
            begins = char in SPACES
    return out


def initials(value: str) -> str:
    """The first byte of each word."""
    out, gap = "", True
    for byte in encoded(value):
        char = chr(byte)
        if char in "\t\n\v\f\r \x85\xa0":
            gap = True
        elif gap:
            out += char
            gap = False
    return out


def camelcase(value: str) -> str:
    """`some_words` is `SomeWords`; leading and repeated connectors stay."""
    start = 0
    while start < len(value) and _is_connector(value[start]):
        start += 1
    out, rest = value[:start], value[start:]
    if not rest:
        # A text of connectors only gets its last one twice, a harmless bug of upstream.
        return out + (value[-1] if value else "")
    shouting, current = _is_upper(rest[0]), _one(rest[0], rest[0].upper())
    for char in rest[1:]:
        before, current = current, char
        if _is_connector(current) and _is_connector(before):
            out += before
            continue
        if _is_connector(before):
            shouting, current = _is_upper(current), _one(current, current.upper())
        else:
            if shouting:
                if _is_upper(current):
                    current = _one(current, current.lower())
                else:
                    shouting = False
            out += before
    return out + current


def lowercase(value: str, connector: str) -> str:
    """`FirstName` is `first_name`: lower-case words with a connector between them."""
    if not value:
        return ""
    out = ""
    kind, word, rest = _next(value)
    while rest:
        if kind != _CONNECTOR:
            out += _lowered(kind, word, connector)
        before, last = kind, word
        kind, word, rest = _next(rest)
        if before == _NUMBER:
            out, kind, word, rest = _run(out, kind, word, rest, connector)
            if kind not in (_NOTHING, _PUNCTUATION, _CONNECTOR):
                out += connector
        elif before == _CONNECTOR:
            out += _lowered(before, last, connector)
        elif before != _PUNCTUATION:
            if kind != _NUMBER:
                if kind not in (_CONNECTOR, _PUNCTUATION):
                    out += connector
                continue
            if not rest:
                continue
            number = word
            kind, word, rest = _next(rest)
            if kind != _ALPHABET:
                out += _lowered(_NUMBER, number, connector)
                if kind not in (_CONNECTOR, _PUNCTUATION):
                    out += connector
                continue
            out += connector + _lowered(_NUMBER, number, connector)
            out, kind, word, rest = _run(out, kind, word, rest, connector)
            if kind not in (_NOTHING, _CONNECTOR, _PUNCTUATION):
                out += connector
    return out + _lowered(kind, word, connector)


def _run(out: str, kind: int, word: str, rest: str, connector: str) -> tuple[str, int, str, str]:
    """Letters and numbers after a number belong to it."""
    while kind in (_ALPHABET, _NUMBER):
        out += _lowered(kind, word, connector)
        kind, word, rest = _next(rest)
    return out, kind, word, rest


def _lowered(kind: int, word: str, connector: str) -> str:
    if kind not in (_UPPER, _CONNECTOR):
        return word
    return "".join(connector if _is_connector(c) else _one(c, c.lower()) if _is_upper(c) else c for c in word)


def _next(value: str) -> tuple[int, str, str]:
    """The kind and text of the next word, and what follows it."""
    if not value:
        return _NOTHING, "", ""
    first, size = value[0], 1

    def run(test: object) -> int:
        end = 1
        while end < len(value) and test(value[end]):  # type: ignore[operator]
            end += 1
        return end

    def small(char: str) -> bool:
        return _is_alphabet(char) and not _is_upper(char)

    if _is_connector(first):
        kind, size = _CONNECTOR, run(_is_connector)
    elif _is_punctuation(first):
        kind, size = _PUNCTUATION, run(_is_punctuation)
    elif _is_upper(first):
        kind, size = _UPPER, _capitals(value)
    elif _is_alphabet(first):
        kind, size = _ALPHABET, run(small)
    elif _is_number(first):
        kind, size = _NUMBER, run(_is_number)
    else:
        kind = _OTHER
        size = run(lambda c: not (_is_connector(c) or _is_alphabet(c) or _is_number(c) or _is_punctuation(c)))
    return kind, value[:size], value[size:]


def _capitals(value: str) -> int:
    """The length of a word that starts with a capital: `HTTP` of `HTTPStatus`, `Status` of `StatusCode`."""
    size = 1
    if len(value) > 1 and _is_upper(value[1]):
        while size < len(value) and _is_upper(value[size]):
            size += 1
        return size - 1 if size < len(value) and _is_alphabet(value[size]) else size
    while size < len(value) and _is_alphabet(value[size]) and not _is_upper(value[size]):
        size += 1
    return size


def abbreviate(value: str, offset: int, width: int) -> str:
    """The text cut to a number of bytes, with dots at the cut."""
    return decoded(_abbreviated(encoded(value), offset, width))


def _abbreviated(data: bytes, offset: int, width: int) -> bytes:
    if not data or width < 4:
        return b""
    if len(data) <= width:
        return data
    offset = min(offset, len(data))
    if len(data) - offset < width - 3:
        offset = len(data) - (width - 3)
    if offset <= 4:
        return data[: width - 3] + b"..."
    if width < 7:
        return b""
    if offset + width - 3 < len(data):
        return b"..." + _abbreviated(data[offset:], 0, width - 3)
    return b"..." + data[len(data) - (width - 3) :]


def abbreviate_both(left: int, right: int, value: str) -> str:
    if right < 4 or (left > 0 and right < 7):
        return value
    return abbreviate(value, left, right)


def wrap(value: str, width: int, end: str, long_words: bool) -> str:
    """The text in lines of a number of bytes, broken at spaces."""
    data, stop, width = encoded(value), encoded(end), max(width, 1)
    out, at = b"", 0
    while len(data) - at > width:
        if data[at : at + 1] == b" ":
            at += 1
            continue
        blank = data.rfind(b" ", at, at + width + 1)
        if blank >= at:
            out, at = out + data[at:blank] + stop, blank + 1
        elif long_words:
            out, at = out + data[at : at + width] + stop, at + width
        else:
            blank = data.find(b" ", at + width)
            if blank < 0:
                out, at = out + data[at:], len(data)
            else:
                out, at = out + data[at:blank] + stop, blank + 1
    return decoded(out + data[at:])
