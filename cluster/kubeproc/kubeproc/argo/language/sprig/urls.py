"""sprig's URL functions, as in Go's net/url."""

from __future__ import annotations

import re
from typing import Any

from kubeproc.argo.language.expression_errors import Panic
from kubeproc.argo.language.quoting import decoded, encoded, quote
from kubeproc.argo.language.values import kind

_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
_KEPT = {"path": "$&+,/:;=@", "fragment": "$&+,/:;=?@!()*", "user": "$&+,;=", "host": "!$&'()*+,;=:[]<>\""}
_HEX = re.compile(rb"%[0-9a-fA-F]{2}")


def _escaped(value: str, where: str) -> str:
    kept = encoded(_UNRESERVED + _KEPT[where])
    return "".join(chr(byte) if byte in kept else f"%{byte:02X}" for byte in encoded(value))


def _unescaped(value: str, where: str = "") -> str:
    data, out, at = encoded(value), b"", 0
    while at < len(data):
        byte = data[at : at + 1]
        if byte == b"%":
            if not _HEX.match(data, at):
                raise Panic(f"invalid URL escape {quote(decoded(data[at : at + 3]))}")
            code = int(data[at + 1 : at + 3], 16)
            if where == "host" and code < 0x80:
                raise Panic(f"invalid URL escape {quote(decoded(data[at : at + 3]))}")
            out, at = out + bytes([code]), at + 3
            continue
        if where == "host" and byte < b"\x80" and decoded(byte) not in _UNRESERVED + _KEPT["host"]:
            raise Panic(f"invalid character {quote(decoded(byte))} in host name")
        out, at = out + byte, at + 1
    return decoded(out)


def _scheme(source: str) -> tuple[str, str]:
    match = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", source)
    if match:
        return match[0][:-1].lower(), source[match.end() :]
    if source.startswith(":"):
        raise Panic("missing protocol scheme")
    return "", source


def _host(source: str) -> str:
    if source.startswith("["):
        end = source.rfind("]")
        if end < 0:
            raise Panic("missing ']' in host")
        if not re.fullmatch(r"(:[0-9]*)?", source[end + 1 :]):
            raise Panic(f"invalid port {quote(source[end + 1 :])} after host")
        return source
    if ":" in source:
        port = source[source.rfind(":") :]
        if not re.fullmatch(r":[0-9]*", port):
            raise Panic(f"invalid port {quote(port)} after host")
    return _unescaped(source, "host")


def _user(source: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", source):
        raise Panic("net/url: invalid userinfo")
    name, colon, password = source.partition(":")
    text = _escaped(_unescaped(name), "user")
    return text + (":" + _escaped(_unescaped(password), "user") if colon else "")


def _hostname(host: str) -> str:
    if host.startswith("[") and "]" in host:
        return host[1 : host.index("]")]
    return host[: host.rfind(":")] if re.search(r":[0-9]*$", host) else host


def _parse(source: str) -> dict[str, str]:
    made = dict.fromkeys(("scheme", "host", "hostname", "path", "query", "opaque", "fragment", "userinfo"), "")
    source, _, fragment = source.partition("#")
    if re.search(r"[\x00-\x1f\x7f]", source):
        raise Panic("net/url: invalid control character in URL")
    if source != "*":
        scheme, rest = _scheme(source)
        made["scheme"] = scheme
        if not (rest.endswith("?") and rest.count("?") == 1):
            rest, _, made["query"] = rest.partition("?")
        else:
            rest = rest[:-1]
        if not rest.startswith("/"):
            if scheme:
                made["opaque"] = rest
                made["fragment"] = _unescaped(fragment)
                return made
            if ":" in rest.partition("/")[0]:
                raise Panic("first path segment in URL cannot contain colon")
        if (scheme or not rest.startswith("///")) and rest.startswith("//"):
            authority, slash, path = rest[2:].partition("/")
            rest = slash + path
            user, at, host = authority.rpartition("@")
            made["host"] = _host(host)
            made["userinfo"] = _user(user) if at else ""
        made["path"] = _unescaped(rest)
    else:
        made["path"] = "*"
    made["hostname"], made["fragment"] = _hostname(made["host"]), _unescaped(fragment)
    return made


def parse(source: str) -> dict[str, Any]:
    try:
        return dict(_parse(source))
    except Panic as error:
        raise Panic(f"unable to parse url: parse {quote(source)}: {error}") from None


def _part(mapping: dict[str, Any], key: str) -> str:
    value = mapping.get(key, "")
    if value is None:
        raise Panic("runtime error: invalid memory address or nil pointer dereference")
    if not isinstance(value, str):
        raise Panic(f"unable to parse {key} key, must be of type string, but {kind(value)} found")
    return value


def join(mapping: dict[str, Any]) -> str:
    scheme, host, path, query, opaque, fragment, user = (
        _part(mapping, key) for key in ("scheme", "host", "path", "query", "opaque", "fragment", "userinfo")
    )
    if user:
        try:
            user = _parse(f"proto://{user}@host")["userinfo"]
        except Panic as error:
            raise Panic(f"unable to parse userinfo in dict: parse {quote(f'proto://{user}@host')}: {error}") from None
    out = scheme + ":" if scheme else ""
    if opaque:
        out += opaque
    else:
        if scheme or host or user:
            if host or path or user:
                out += "//"
            out += (user + "@" if user else "") + (_escaped(host, "host") if host else "")
        shown = "*" if path == "*" else _escaped(path, "path")
        if shown and shown[0] != "/" and host:
            out += "/"
        if not out and ":" in shown.partition("/")[0]:
            out += "./"
        out += shown
    return out + (f"?{query}" if query else "") + (f"#{_escaped(fragment, 'fragment')}" if fragment else "")


URLS: dict[str, tuple[str, Any]] = {"urlParse": ("string", parse), "urlJoin": ("map", join)}
