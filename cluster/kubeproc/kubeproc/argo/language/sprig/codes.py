"""sprig's encodings, hashes, secrets, regular expressions and paths."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import uuid
import zlib
from collections.abc import Callable
from typing import Any

from kubeproc.argo.language.builtins_texts import base64_bytes
from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.operators import MOST
from kubeproc.argo.language.patterns import compiled, quote_meta
from kubeproc.argo.language.quoting import decoded, encoded
from kubeproc.argo.language.values import Slice


def _said(decode: Callable[[str], bytes]) -> Callable[[str], str]:
    """The decoded text, or the error message."""

    def made(value: str) -> str:
        try:
            return decoded(decode(value))
        except Panic as error:
            return str(error)

    return made


def _base32(source: str) -> bytes:
    clean = re.sub(r"[\r\n]", "", source)
    try:
        return base64.b32decode(clean)
    except (binascii.Error, ValueError):
        bad = next((i for i, char in enumerate(source) if not re.match(r"[A-Z2-7=\r\n]", char)), None)
        place = len(clean) // 8 * 8 if bad is None else bad
        raise Panic(f"illegal base32 data at input byte {place}") from None


def _hashed(name: str) -> Callable[[str], str]:
    return lambda value: hashlib.new(name, encoded(value), usedforsecurity=False).hexdigest()


def _random_bytes(size: int) -> str:
    if not 0 <= size < MOST:
        raise Panic("runtime error: makeslice: len out of range")
    return base64.b64encode(secrets.token_bytes(size)).decode()


def _cipher(password: str, start: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(encoded(password)[:32].ljust(32, b"\0")), modes.CBC(start))


def _encrypted(password: str, value: str) -> str:
    if not value:
        return ""
    start, data = secrets.token_bytes(16), encoded(value)
    size = 16 - len(data) % 16
    writer = _cipher(password, start).encryptor()
    return base64.b64encode(start + writer.update(data + bytes([size]) * size) + writer.finalize()).decode()


def _decrypted(password: str, value: str) -> str:
    if not value:
        return ""
    data = base64_bytes(value)
    if len(data) < 16:
        raise Panic(f"runtime error: slice bounds out of range [:16] with capacity {len(data)}")
    if len(data) % 16:
        raise Panic("crypto/cipher: input not full blocks")
    if len(data) == 16:
        raise Panic("runtime error: index out of range [-1]")
    reader = _cipher(password, data[:16]).decryptor()
    plain = reader.update(data[16:]) + reader.finalize()
    if plain[-1] > len(plain):
        raise Panic(f"runtime error: slice bounds out of range [:{len(plain) - plain[-1]}]")
    return decoded(plain[: len(plain) - plain[-1]])


def _derived(*given: Any) -> str:
    raise Panic("derivePassword takes a uint32, which an expression can't make")


CODES: dict[str, tuple[str, Any]] = {
    "b64enc": ("string", lambda value: base64.b64encode(encoded(value)).decode()),
    "b64dec": ("string", _said(base64_bytes)),
    "b32enc": ("string", lambda value: base64.b32encode(encoded(value)).decode()),
    "b32dec": ("string", _said(_base32)),
    "sha1sum": ("string", _hashed("sha1")),
    "sha256sum": ("string", _hashed("sha256")),
    "sha512sum": ("string", _hashed("sha512")),
    "adler32sum": ("string", lambda value: str(zlib.adler32(encoded(value)))),
    "uuidv4": ("", lambda: str(uuid.uuid4())),
    "randBytes": ("int", _random_bytes),
    "encryptAES": ("string string", _encrypted),
    "decryptAES": ("string string", _decrypted),
    "derivePassword": ("uint32 string string string string", _derived),
}


# -- regular expressions ------------------------------------------------------------------------------------------------


def _matches(pattern: str, value: str) -> bool:
    return compiled(pattern).search(value) is not None


def _matches_leniently(pattern: str, value: str) -> bool:
    try:
        return _matches(pattern, value)
    except Panic:
        return False


def _found(pattern: str, value: str, limit: int) -> Slice:
    parts = compiled(pattern).find_all(value, limit)
    return Slice(parts, "string", missing=not parts)


def _parted(pattern: str, value: str, limit: int) -> Slice:
    parts = compiled(pattern).split(value, limit)
    return Slice(parts or (), "string", missing=parts is None)


def _must(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Functions without `must` panic with the expression as prefix."""

    def made(pattern: str, *given: Any) -> Any:
        try:
            compiled(pattern)
        except Panic as error:
            raise Panic(f"regexp: Compile({_quoted(pattern)}): {error}") from None
        return call(pattern, *given)

    return made


def _quoted(pattern: str) -> str:
    from kubeproc.argo.language.quoting import quote

    return f"`{pattern}`" if "`" not in pattern and pattern.isprintable() else quote(pattern)


_REGEX: dict[str, tuple[str, Callable[..., Any]]] = {
    "regexFind": ("string string", lambda pattern, value: compiled(pattern).find(value)),
    "regexFindAll": ("string string int", _found),
    "regexReplaceAll": ("string string string", lambda pattern, value, new: compiled(pattern).replace(value, new)),
    "regexReplaceAllLiteral": (
        "string string string",
        lambda pattern, value, new: compiled(pattern).replace(value, new, literal=True),
    ),
    "regexSplit": ("string string int", _parted),
}
PATTERNS: dict[str, tuple[str, Any]] = {
    "regexMatch": ("string string", _matches_leniently),
    "mustRegexMatch": ("string string", _matches),
    "regexQuoteMeta": ("string", quote_meta),
    **{name: (types, _must(name, call)) for name, (types, call) in _REGEX.items()},
    **{f"must{name[0].upper()}{name[1:]}": row for name, row in _REGEX.items()},
}


# -- paths --------------------------------------------------------------------------------------------------------------


def clean(path: str) -> str:
    """The shortest equivalent path."""
    kept: list[str] = []
    rooted = path.startswith("/")
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            kept.append(part)
        elif kept and kept[-1] != "..":
            kept.pop()
        elif not rooted:
            kept.append("..")
    return ("/" if rooted else "") + "/".join(kept) or "."


def _base(path: str) -> str:
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def _extension(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rfind(".") :] if "." in name else ""


def _folder(path: str) -> str:
    return clean(path[: path.rfind("/") + 1])


_PATHS: dict[str, Any] = {"base": _base, "dir": _folder, "clean": clean, "ext": _extension,
                          "isAbs": lambda path: path.startswith("/")}  # fmt: skip
PATHS: dict[str, tuple[str, Any]] = {
    **{name: ("string", call) for name, call in _PATHS.items()},
    **{f"os{name[0].upper()}{name[1:]}": ("string", call) for name, call in _PATHS.items()},
}
