"""SPDY/3.1 frames to and from bytes: many streams over one connection, as `kubectl port-forward` speaks it.

A codec without I/O: `Reader.feed(bytes)` returns the frames that are complete, wherever the bytes are split, and
`Writer` returns the bytes of a frame. A frame is eight bytes (a bit that distinguishes control from data, then either
version and type or a stream's number, flags, 24 bits of length) and a body. Headers are one zlib stream for each
direction of a connection, initialized with the specification's dictionary; therefore reader and writer have state.

WINDOW_UPDATE, SETTINGS and HEADERS are parsed and returned as `Other`: neither Kubernetes nor its clients use SPDY's
flow control, since TCP has its own.

Source: the SPDY Protocol, draft 3.1 (chromium.org/spdy), and what github.com/moby/spdystream accepts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 1  # the flag that ends the sender's side of a stream
PROTOCOL_ERROR, INVALID_STREAM, CANCEL = 1, 2, 5  # reason of a reset
LONGEST = (1 << 24) - 1  # bytes of one frame
LONGEST_HEADERS = 1 << 16  # bytes, unpacked

_WORDS = """options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
allow authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match if-modified-since
if-none-match if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate
proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning
www-authenticate method get status 200~OK version HTTP/1.1 url public set-cookie keep-alive origin"""
_CODES = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal"
    " Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/"
    "xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,"
    "enq=0."
)


def _text(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


DICTIONARY = b"".join(_text(word.replace("~", " ").encode()) for word in _WORDS.split()) + _CODES.encode()


class ProtocolError(Exception):
    """The bytes are not SPDY; the rest of the connection can't be parsed."""


@dataclass(frozen=True)
class Data:
    stream: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True)
class SynStream:
    """Opens a stream. Header names are lower-case; multiple values of one are joined by NUL."""

    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True)
class SynReply:
    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True)
class RstStream:
    stream: int
    status: int


@dataclass(frozen=True)
class Ping:
    number: int


@dataclass(frozen=True)
class GoAway:
    last: int
    status: int


@dataclass(frozen=True)
class Other:
    """A control frame that changes nothing here."""

    type: int


Frame = Data | SynStream | SynReply | RstStream | Ping | GoAway | Other


class Reader:
    """Bytes to frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._unpack = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order; ProtocolError for malformed data."""
        buffer, frames, start = self._buffer, [], 0
        buffer += data
        while len(buffer) - start >= 8:
            first, second = struct.unpack_from(">II", buffer, start)
            flags, size = second >> 24, second & LONGEST
            if len(buffer) - start - 8 < size:
                break
            body = bytes(memoryview(buffer)[start + 8 : start + 8 + size])
            start += 8 + size
            frames.append(self._control(first, flags, body) if first >> 31 else _data(first, flags, body))
        del buffer[:start]
        return frames

    def _control(self, first: int, flags: int, body: bytes) -> Frame:
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != VERSION:
            raise ProtocolError(f"SPDY version {version}")
        if kind == SYN_STREAM:
            return SynStream(_numbers(body, 1)[0], self._headers(body[10:]), bool(flags & FIN))
        if kind == SYN_REPLY:
            return SynReply(_numbers(body, 1)[0], self._headers(body[4:]), bool(flags & FIN))
        if kind == RST_STREAM:
            return RstStream(*_numbers(body, 2))
        if kind == PING:
            return Ping(*_numbers(body, 1, bits=32))
        if kind == GOAWAY:
            return GoAway(*_numbers(body, 2))
        if kind == HEADERS:
            self._headers(body[4:])  # keep the compression state in sync
        elif kind not in (SETTINGS, WINDOW_UPDATE):
            raise ProtocolError(f"control frame of type {kind}")
        return Other(kind)

    def _headers(self, packed: bytes) -> dict[str, str]:
        try:
            block = self._unpack.decompress(packed, LONGEST_HEADERS)
        except zlib.error as error:
            raise ProtocolError(f"headers: {error}") from None
        if self._unpack.unconsumed_tail:
            raise ProtocolError(f"headers of more than {LONGEST_HEADERS} bytes")
        try:
            count, at = struct.unpack_from(">I", block)[0], 4
            texts = []
            for _ in range(2 * count):
                size = struct.unpack_from(">I", block, at)[0]
                texts.append(block[at + 4 : at + 4 + size].decode("latin-1"))
                at += 4 + size
        except struct.error:
            raise ProtocolError("headers end early") from None
        if at != len(block):
            raise ProtocolError("headers of a wrong size")
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


def _data(stream: int, flags: int, body: bytes) -> Data:
    if not stream:
        raise ProtocolError("data for stream 0")
    return Data(stream, body, bool(flags & FIN))


def _numbers(body: bytes, count: int, bits: int = 31) -> tuple[int, ...]:
    try:
        first, *rest = struct.unpack_from(f">{count}I", body)
    except struct.error:
        raise ProtocolError("a control frame ends early") from None
    return first & ((1 << bits) - 1), *rest


class Writer:
    """Frames to bytes."""

    def __init__(self) -> None:
        self._pack = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        """The bytes of `frame`. Frames with headers must each be encoded once, in the order in which they are sent."""
        match frame:
            case Data(stream, data, fin):
                return struct.pack(">II", stream, fin << 24 | len(data)) + data
            case SynStream(stream, headers, fin):
                return _control(SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + self._headers(headers), fin)
            case SynReply(stream, headers, fin):
                return _control(SYN_REPLY, struct.pack(">I", stream) + self._headers(headers), fin)
            case RstStream(stream, status):
                return _control(RST_STREAM, struct.pack(">II", stream, status))
            case Ping(number):
                return _control(PING, struct.pack(">I", number))
            case GoAway(last, status):
                return _control(GOAWAY, struct.pack(">II", last, status))
        raise TypeError(f"{frame} is only read")

    def _headers(self, headers: Mapping[str, str]) -> bytes:
        parts = [_text(text.encode("latin-1")) for pair in headers.items() for text in pair]
        block = struct.pack(">I", len(headers)) + b"".join(parts)
        return self._pack.compress(block) + self._pack.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, body: bytes, fin: bool = False) -> bytes:
    return struct.pack(">HHI", 0x8000 | VERSION, kind, fin << 24 | len(body)) + body
