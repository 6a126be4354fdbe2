"""The decoder core on H.265 and Motion JPEG: identity, open GOPs, what cannot be decoded from a join point."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest

from broker.pixel.decode import Decoded, NotDecoded, Outcome, StreamDecoder
from broker.pixel.picture import MissingReason
from trueframe.v1 import frames_pb2

WIDTH, HEIGHT = 96, 64
EXACT, NONE, RECOVERS = (
    frames_pb2.JOIN_POINT_EXACT,
    frames_pb2.JOIN_POINT_NONE,
    frames_pb2.JOIN_POINT_RECOVERS_AFTER,
)
IDR = (19, 20)
CRA = 21


@dataclass(frozen=True)
class Unit:
    seq: int
    payload: bytes
    join_point: int
    shown: int
    kind: int = 0
    recovers_after: int = 0
    damaged: bool = False
    follows_damage: bool = False
    received_ns: int = 0
    monotonic_ns: int = 0


def source_picture(number: int, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    """A picture whose mean luma tells its number."""
    y = np.full((HEIGHT, WIDTH), 16 + number % 100 * 2, np.uint8)
    picture = np.vstack([y, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])
    frame = av.VideoFrame.from_ndarray(picture, format=pix_fmt)
    frame.pts = number
    return frame


def number_shown(frame: av.VideoFrame) -> int:
    return round((float(np.median(frame.to_ndarray()[:HEIGHT])) - 16) / 2)


def first_slice(payload: bytes) -> int:
    return next(kind for nal in payload.split(b"\0\0\1")[1:] if (kind := nal[0] >> 1 & 63) < 32)


@cache
def h265(count: int, *, b_frames: int, open_gop: bool) -> tuple[Unit, ...]:
    encoder = av.CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {
        "preset": "ultrafast",
        "x265-params": f"keyint=12:min-keyint=12:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop={int(open_gop)}"
        ":qp=10:log-level=none:repeat-headers=1:pools=none:frame-threads=1",
    }
    packets = [p for n in range(count) for p in encoder.encode(source_picture(n))] + encoder.encode(None)
    units = []
    for seq, packet in enumerate(packets):
        kind = first_slice(bytes(packet))
        join = EXACT if kind in IDR else RECOVERS if kind == CRA else NONE
        units.append(Unit(seq, bytes(packet), join, packet.pts or 0, kind))
    return tuple(units)


@cache
def jpeg(count: int) -> tuple[Unit, ...]:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    packets = [p for n in range(count) for p in encoder.encode(source_picture(n, "yuvj420p"))]
    return tuple(Unit(seq, bytes(p), EXACT, seq) for seq, p in enumerate(packets))


def run(core: StreamDecoder, units: tuple[Unit, ...]) -> list[Outcome]:
    return [outcome for unit in units for outcome in core.feed(unit)] + core.flush()


def pictures(outcomes: list[Outcome]) -> dict[int, Decoded]:
    return {outcome.seq: outcome for outcome in outcomes if isinstance(outcome, Decoded)}


def told(outcomes: list[Outcome]) -> list[int]:
    seqs: list[int] = []
    for outcome in outcomes:
        seqs += [outcome.seq] if isinstance(outcome, Decoded) else range(outcome.first, outcome.last + 1)
    return sorted(seqs)


@pytest.mark.parametrize(("b_frames", "open_gop"), [(0, False), (3, False), (3, True)])
def test_every_h265_picture_carries_the_id_of_its_own_unit(b_frames: int, open_gop: bool) -> None:
    units = h265(40, b_frames=b_frames, open_gop=open_gop)
    outcomes = run(StreamDecoder(frames_pb2.CODEC_H265), units)
    assert told(outcomes) == list(range(40))
    assert {seq: number_shown(o.frame) for seq, o in pictures(outcomes).items()} == {u.seq: u.shown for u in units}
    assert not any(o.inexact for o in pictures(outcomes).values())


def test_joining_an_open_gop_leaves_its_leading_pictures_out_and_is_exact_behind_them() -> None:
    units = h265(60, b_frames=3, open_gop=True)
    join = next(u.seq for u in units if u.kind == CRA)
    leading = {u.seq for u in units[join:] if u.kind in (8, 9) and u.seq < join + 8}
    assert leading
    outcomes = run(StreamDecoder(frames_pb2.CODEC_H265, join - 1), units[join:])
    assert told(outcomes) == list(range(join, 60))
    missing = {o.first: o.reason for o in outcomes if isinstance(o, NotDecoded)}
    assert missing == dict.fromkeys(leading, MissingReason.BEFORE_JOIN_POINT)
    assert not any(o.inexact for o in pictures(outcomes).values())


def test_a_stream_of_open_gops_is_exact_again_behind_the_next_join_point() -> None:
    units = list(h265(60, b_frames=3, open_gop=True))
    second, third = [u.seq for u in units if u.kind == CRA][:2]
    lost = next(u.seq for u in units[second:] if u.kind < 8 and u.seq > second)
    units[lost] = Unit(lost, b"\0\0\0\1\x46\x01\x50", NONE, -1)  # an access unit delimiter and nothing else
    outcomes = run(StreamDecoder(frames_pb2.CODEC_H265), tuple(units))
    shown = pictures(outcomes)
    assert lost not in shown
    assert not any(o.inexact for seq, o in shown.items() if seq > third and units[seq].kind < 8)
    assert not any(o.inexact for seq, o in shown.items() if seq < second)


def test_every_jpeg_is_a_picture_of_its_own() -> None:
    units = jpeg(12)
    core = StreamDecoder(frames_pb2.CODEC_MJPEG)
    for unit in units:
        (outcome,) = core.feed(unit)
        assert isinstance(outcome, Decoded)
        assert (outcome.seq, number_shown(outcome.frame)) == (unit.seq, unit.shown)


def test_a_jpeg_that_is_cut_short_harms_no_other() -> None:
    units = list(jpeg(6))
    units[2] = Unit(2, units[2].payload[:150], EXACT, 2)
    outcomes = run(StreamDecoder(frames_pb2.CODEC_MJPEG), tuple(units))
    assert told(outcomes) == list(range(6))
    good = pictures(outcomes)
    assert all(number_shown(good[seq].frame) == seq and not good[seq].inexact for seq in (0, 1, 3, 4, 5))


def test_a_recovery_point_of_h264_heals_nothing() -> None:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=60:scenecut=0"}
    packets = [p for n in range(40) for p in encoder.encode(source_picture(n))]
    units = [Unit(seq, bytes(p), EXACT if p.is_keyframe else NONE, seq) for seq, p in enumerate(packets)]
    units[5] = Unit(5, b"\0\0\0\1\x09\xf0", NONE, -1)  # an access unit delimiter and nothing else
    units[20] = Unit(20, units[20].payload, RECOVERS, 20, recovers_after=3)
    shown = pictures(run(StreamDecoder(frames_pb2.CODEC_H264), tuple(units)))
    assert [seq for seq, o in shown.items() if o.inexact] == list(range(6, 40))
