"""The tags of the public images that stand for this machine's programs.

No image is pulled, so only this check distinguishes `busybox:1.36` from `busybox:made-up`, which fails with
ErrImagePull on a real cluster. A pattern covers the tags that the image's publisher has released or may soon release: a
version, a variant, both.
"""

from __future__ import annotations

import re


def _tags(version: str, variants: str, words: str) -> re.Pattern[str]:
    """`latest`, one of the words, a version, a variant, or a version and a variant joined by a dash."""
    return re.compile(rf"latest|{words}|(?:{version})(?:-(?:{variants}))?|(?:{variants})")


_DEBIAN = r"(?:slim-)?(?:jessie|stretch|buster|bullseye|bookworm|trixie|forky)"
_ALPINE = r"alpine(?:3\.\d{1,2})?"

KNOWN = {
    "busybox": _tags(r"1(?:\.[1-4]\d(?:\.\d)?)?", "glibc|musl|uclibc|ubuntu|ubuntu-14\\.04", "(?:un)?stable(?:-\\w+)?"),
    "alpine": _tags(r"[23](?:\.\d{1,2}(?:\.\d{1,2})?)?", "(?!)", r"edge|20\d{6}"),
    "bash": _tags(r"[345](?:\.\d(?:\.\d{1,2})?)?", _ALPINE, rf"devel(?:-{_ALPINE})?"),
    "python": _tags(
        r"(?:2(?:\.7(?:\.\d{1,2})?)?|3(?:\.\d{1,2}(?:\.\d{1,2})?)?)(?:(?:a|b|rc)\d|-rc)?",
        rf"slim|{_ALPINE}|{_DEBIAN}|slim-\w+",
        "rc(?:-slim)?",
    ),
}


def exists(image: str, tag: str) -> bool:
    """Whether the image has the tag; "" means that the image is referenced only by its digest, which is accepted."""
    return not tag or KNOWN[image].fullmatch(tag) is not None
