"""The codec of SPDY frames: what one side writes the other reads, however the bytes are cut; bytes of no sense are refused."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeproc.api.streams import spdy

NUMBER = st.integers(1, 2**31 - 1)
HEADERS = st.dictionaries(st.text("abcdefghij-:", min_size=1), st.text(st.characters(max_codepoint=255)), max_size=5)
FRAMES = st.one_of(
    st.builds(spdy.Data, NUMBER, st.binary(max_size=300), st.booleans()),
    st.builds(spdy.SynStream, NUMBER, HEADERS, st.booleans()),
    st.builds(spdy.SynReply, NUMBER, HEADERS, st.booleans()),
    st.builds(spdy.RstStream, NUMBER, st.integers(1, 11)),
    st.builds(spdy.Ping, st.integers(0, 2**32 - 1)),
    st.builds(spdy.GoAway, NUMBER, st.integers(0, 2)),
)


@given(st.lists(FRAMES, max_size=12), st.data())
def test_frames_come_back_however_their_bytes_are_cut(frames: list[spdy.Frame], draw: st.DataObject) -> None:
    writer, reader = spdy.Writer(), spdy.Reader()
    sent = b"".join(writer.encode(frame) for frame in frames)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        got += reader.feed(sent[start:end])
    assert got == frames


@given(st.binary(max_size=200))
def test_random_bytes_are_frames_or_refused(data: bytes) -> None:
    try:
        frames = spdy.Reader().feed(data)
    except spdy.ProtocolError:
        return
    assert len(frames) <= len(data) // 8


def test_the_dictionary_is_that_of_the_specification() -> None:
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_a_stream_as_the_specification_lays_it_out() -> None:
    """Bytes put together by hand: version 3, type 1, the last flag, an unknown priority, headers by zlib."""
    block = struct.pack(">II4sI5s", 1, 4, b"port", 5, b"8\x009\x007")
    pack = zlib.compressobj(9, zdict=spdy.DICTIONARY)
    packed = pack.compress(block) + pack.flush(zlib.Z_SYNC_FLUSH)
    raw = bytes([0x80, 3, 0, 1, 1]) + (10 + len(packed)).to_bytes(3, "big") + bytes([0, 0, 0, 7, 0, 0, 0, 0, 0xE0, 0])
    assert spdy.Reader().feed(raw + packed) == [spdy.SynStream(7, {"port": "8\x009\x007"}, fin=True)]


def test_flow_control_and_settings_are_read_over() -> None:
    window = struct.pack(">HHIII", 0x8003, spdy.WINDOW_UPDATE, 8, 1, 65536)
    settings = struct.pack(">HHIIII", 0x8003, spdy.SETTINGS, 12, 1, 4, 100)
    assert spdy.Reader().feed(window + settings) == [spdy.Other(spdy.WINDOW_UPDATE), spdy.Other(spdy.SETTINGS)]


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack(">HHII", 0x8002, spdy.PING, 4, 1),
        struct.pack(">HHII", 0x8003, 77, 4, 1),
        struct.pack(">HHI", 0x8003, spdy.PING, 0),
        struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, 12) + b"not packed..",
        struct.pack(">II", 0, 0),
    ],
    ids=["another version", "an unknown type", "too short", "headers", "stream 0"],
)
def test_bytes_that_are_not_spdy_are_refused(raw: bytes) -> None:
    with pytest.raises(spdy.ProtocolError):
        spdy.Reader().feed(raw)


def test_headers_that_unpack_without_end_are_refused() -> None:
    bomb = spdy.Writer().encode(spdy.SynStream(1, {"a": "b" * (spdy.LONGEST_HEADERS + 1)}))
    with pytest.raises(spdy.ProtocolError, match="more than"):
        spdy.Reader().feed(bomb)
