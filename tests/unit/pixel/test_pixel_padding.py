"""Units that are cut off decode to the same pictures wherever they lie in memory."""

from __future__ import annotations

import ctypes
import hashlib
from dataclasses import dataclass

import pytest

from broker.pixel.decode import Decoded, StreamDecoder, packet_of
from tests.unit.core import real_codec
from trueframe.v1 import frames_pb2

X265 = "log-level=none:pools=none:frame-threads=1:scenecut=0:keyint=10:bframes=0"
ENCODERS = {
    frames_pb2.CODEC_H264: ("libx264", {"preset": "fast", "x264-params": "threads=1:keyint=10:bframes=0"}),
    frames_pb2.CODEC_H265: ("libx265", {"preset": "ultrafast", "x265-params": X265}),
}


@dataclass(frozen=True)
class Unit:
    seq: int
    payload: memoryview
    damaged: bool
    join_point: int = frames_pb2.JOIN_POINT_NONE
    recovers_after: int = 0
    follows_damage: bool = False
    received_ns: int = 0
    monotonic_ns: int = 0


def pictures(codec: int, units: list[bytes], cut: int, behind: bytes) -> list[tuple[int, bytes]]:
    """What comes of the units if one is cut to half its length and `behind` follows every one in memory."""
    decoder = StreamDecoder(codec)
    found: list[Decoded] = []
    for seq, unit in enumerate(units):
        whole = unit[: len(unit) // 2] if seq == cut else unit
        payload = memoryview(whole + behind * 128)[: len(whole)]
        join = frames_pb2.JOIN_POINT_NONE if seq else frames_pb2.JOIN_POINT_EXACT
        found += [one for one in decoder.feed(Unit(seq, payload, seq == cut, join)) if isinstance(one, Decoded)]
    return [(one.seq, hashlib.sha256(one.frame.to_ndarray().tobytes()).digest()) for one in found]


@pytest.mark.parametrize("codec", ENCODERS)
def test_a_unit_that_is_cut_off_gives_the_same_picture_whatever_stands_behind_it(codec: int) -> None:
    encoder, options = ENCODERS[codec]
    units = real_codec.encode(encoder, options, 8)
    for cut in (1, 4, 7):
        seen = [pictures(codec, units, cut, behind) for behind in (b"\0", b"\xff", b"\x5a")]
        assert len(seen[0]) >= 7
        assert seen[1:] == seen[:1] * 2


def test_a_packet_has_zeros_behind_it() -> None:
    for size in (1, 63, 4096, 100_000):
        packet = packet_of(b"\xff" * size, 7)
        assert bytes(packet) == b"\xff" * size
        assert ctypes.string_at(packet.buffer_ptr + size, 64) == bytes(64)
        assert packet.pts == 7
