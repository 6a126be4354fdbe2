"""Minting frames of every codec, and a camera that changes its codec while it is connected."""

from __future__ import annotations

import asyncio
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from broker.core import WireFrame, canonical, canonical_from_nals, split_nals
from broker.errors import SourceRefused
from broker.ingest import codec_name
from tests.support import auntil
from tests.unit.broker.test_ingest import MS, SMALL, Bench, kinds, sets_of, without_sets
from trueframe.v1.frames_pb2 import (
    CODEC_H264,
    CODEC_H265,
    CODEC_MJPEG,
    CODEC_UNSPECIFIED,
    EPOCH_END_REASON_CONNECTION_LOST,
    EPOCH_END_REASON_FORMAT_CHANGED,
    GAP_REASON_BEFORE_PARAMETER_SETS,
    GAP_REASON_NETWORK_LOSS,
    GAP_REASON_REFUSED,
    JOIN_POINT_EXACT,
    JOIN_POINT_NONE,
    EpochEnded,
    EpochStarted,
    Gap,
)

BASE = (1, 90_000)


def encode(codec: str, width: int, height: int, frames: int = 6) -> list[bytes]:
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    encoder.time_base = Fraction(1, 10)
    if codec == "libx265":
        fixed = "log-level=none:pools=none:frame-threads=1:keyint=3:min-keyint=3:scenecut=0:bframes=0:open-gop=0"
        encoder.options = {"x265-params": fixed, "preset": "ultrafast"}
    units = []
    for number in range(frames):
        picture = np.full((height * 3 // 2, width), number * 30, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format=encoder.pix_fmt)
        frame.pts = number
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return units + [bytes(packet) for packet in encoder.encode(None)]


H265 = [canonical(unit) for unit in encode("libx265", 64, 48)]
JPEG, LARGE_JPEG = encode("mjpeg", 64, 48), encode("mjpeg", 96, 64)


def h265_sets(unit: bytes, wanted: bool) -> bytes:
    return canonical_from_nals(nal for nal in split_nals(unit) if (32 <= nal[0] >> 1 & 0x3F <= 34) == wanted)


def frames_of(bench: Bench) -> list[WireFrame]:
    return [item for item in bench.items() if isinstance(item, WireFrame)]


async def test_h265_units_are_minted_with_their_sets_in_every_join_point() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, h265_sets(H265[0], True), CODEC_H265)
    for unit in H265:
        bench.give(ingest, h265_sets(unit, False))
    started, *frames = bench.items()
    assert isinstance(started, EpochStarted)
    assert (started.codec, started.width, started.height) == (CODEC_H265, 64, 48)
    assert started.parameter_sets == h265_sets(H265[0], True)
    for number, frame in enumerate(frames):
        assert isinstance(frame, WireFrame)
        assert frame.join_point == (JOIN_POINT_NONE if number % 3 else JOIN_POINT_EXACT)
        carried = [nal[0] >> 1 & 0x3F for nal in split_nals(bytes(frame.payload)) if 32 <= nal[0] >> 1 & 0x3F <= 34]
        assert carried == ([] if number % 3 else [32, 33, 34])
        assert not frame.damaged
        assert not frame.follows_damage
    assert ingest.key_frame_interval == 3
    assert ingest.codec == CODEC_H265


async def test_h265_units_before_their_sets_get_no_id() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, b"", CODEC_H265)
    for unit in H265[1:4]:
        bench.give(ingest, unit)
    _, gap, _ = bench.items()
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.count) == (GAP_REASON_BEFORE_PARAMETER_SETS, 2)


async def test_every_jpeg_is_a_join_point_and_heals_what_was_lost() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, b"", CODEC_MJPEG)
    bench.give(ingest, JPEG[0])
    bench.give(ingest, JPEG[1][:-20])
    bench.give(ingest, JPEG[2], lost=True)
    bench.give(ingest, b"this is no JPEG")
    bench.give(ingest, JPEG[3])
    started, first, cut, lost, after, refused, last = bench.items()
    assert isinstance(started, EpochStarted)
    assert (started.codec, started.parameter_sets) == (CODEC_MJPEG, b"")
    assert isinstance(lost, Gap)
    assert lost.reason == GAP_REASON_NETWORK_LOSS
    assert isinstance(refused, Gap)
    assert (refused.reason, refused.count) == (GAP_REASON_REFUSED, 1)
    for frame, payload in ((first, JPEG[0]), (cut, JPEG[1][:-20]), (after, JPEG[2]), (last, JPEG[3])):
        assert isinstance(frame, WireFrame)
        assert bytes(frame.payload) == payload
        assert (frame.join_point, frame.follows_damage) == (JOIN_POINT_EXACT, False)
        assert frame.damaged == (frame is cut)
    assert ingest.key_frame_interval == 1


async def test_a_jpeg_of_another_size_begins_an_epoch() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, b"", CODEC_MJPEG)
    bench.give(ingest, JPEG[0])
    # A larger one that is cut off is a broken picture, not a new format.
    bench.give(ingest, LARGE_JPEG[0][:-20])
    bench.give(ingest, LARGE_JPEG[1])
    await auntil(lambda: ingest.epoch, 5, "the next epoch is open")
    bench.give(ingest, LARGE_JPEG[2])
    items = bench.items()
    assert kinds(items) == [
        "EpochStarted",
        "WireFrame",
        "WireFrame",
        "EpochEnded",
        "EpochStarted",
        "WireFrame",
        "WireFrame",
    ]
    ended, started = items[3], items[4]
    assert isinstance(ended, EpochEnded)
    assert ended.reason == EPOCH_END_REASON_FORMAT_CHANGED
    assert isinstance(started, EpochStarted)
    assert (started.width, started.height, started.codec) == (96, 64, CODEC_MJPEG)


async def test_a_change_of_codec_is_a_new_epoch_on_the_same_connection() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, b"", CODEC_H264)
    bench.give(ingest, SMALL[0])
    bench.epochs.gate.clear()
    ingest.switch(CODEC_H265, (1, 1000), h265_sets(H265[0], True))
    for unit in H265[:2]:
        bench.give(ingest, unit)
    # Back again before the first change is stored: three epochs in the end, and nothing lost.
    ingest.switch(CODEC_H264, BASE, b"")
    bench.give(ingest, SMALL[0])
    bench.epochs.gate.set()
    await auntil(lambda: bench.feed.counters.epochs == 3, 5, "all three epochs are open")
    bench.give(ingest, SMALL[1])
    items = bench.items()
    assert kinds(items) == [
        "EpochStarted", "WireFrame", "EpochEnded",
        "EpochStarted", "WireFrame", "WireFrame", "EpochEnded",
        "EpochStarted", "WireFrame", "WireFrame",
    ]  # fmt: skip
    told = [(item.codec, item.time_base.den) for item in items if isinstance(item, EpochStarted)]
    assert told == [(CODEC_H264, 90_000), (CODEC_H265, 1000), (CODEC_H264, 90_000)]
    first = items[2]
    assert isinstance(first, EpochEnded)
    assert (first.reason, first.detail) == (
        EPOCH_END_REASON_FORMAT_CHANGED, "The camera changed from H.264 to H.265.",
    )  # fmt: skip
    epochs = [item.epoch for item in items if isinstance(item, EpochStarted)]
    assert epochs == sorted(set(epochs))
    assert ingest.codec == CODEC_H264


async def test_a_codec_that_turns_out_before_the_first_frame_needs_no_other_epoch() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, b"", CODEC_H264)
    bench.give(ingest, SMALL[1])
    ingest.switch(CODEC_MJPEG, BASE, b"")
    bench.give(ingest, JPEG[0])
    items = bench.items()
    assert kinds(items) == ["EpochStarted", "Gap", "WireFrame"]
    assert bench.feed.counters.epochs == 1


async def test_a_camera_that_changes_its_codec_all_the_time_is_refused() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, b"", CODEC_H264)
    for number in range(8):
        bench.give(ingest, JPEG[0] if number % 2 else SMALL[0])
        ingest.switch(CODEC_H264 if number % 2 else CODEC_MJPEG, BASE, b"")
        await auntil(lambda: len(asyncio.all_tasks()) == 1, 5, "the change is stored, or refused")
    assert isinstance(bench.failures[0], SourceRefused)
    assert "its codec" in str(bench.failures[0])


async def test_changes_without_end_that_no_epoch_is_stored_for_are_bounded() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, b"", CODEC_H264)
    bench.give(ingest, SMALL[0])
    bench.epochs.gate.clear()
    for number in range(600):
        ingest.switch((CODEC_H264, CODEC_H265)[number % 2], BASE, b"")
    assert isinstance(bench.failures[0], SourceRefused)
    bench.feed.end_epoch(EPOCH_END_REASON_CONNECTION_LOST, "gone")
    # What was held were changes, not units.
    assert bench.feed.counters.refused_units == 0


async def test_a_unit_that_names_unknown_sets_is_damaged_and_nobody_joins_there() -> None:
    bench = Bench()
    ingest = await bench.feed.open_epoch(BASE, sets_of(SMALL[0]), CODEC_H264)
    # ue(0), ue(7), ue(3): a key picture that names PPS 3.
    unknown = canonical_from_nals(
        [b"\x65" + int("1" + "0001000" + "00100" + "1" * 11, 2).to_bytes(3, "big") + b"\xab" * 40]
    )
    bench.give(ingest, without_sets(SMALL[0]))
    bench.give(ingest, unknown)
    bench.give(ingest, without_sets(SMALL[1]))
    told = [(frame.damaged, frame.join_point == JOIN_POINT_EXACT, frame.follows_damage) for frame in frames_of(bench)]
    assert told == [(False, True, False), (True, False, False), (False, False, True)]


async def test_timestamps_that_jump_change_nothing_but_pts() -> None:
    bench = Bench()
    ingest = await bench.open()
    jumps = [0, 3000, -900_000, 5_000_000_000, 5_000_003_000, None]
    for unit, pts in zip(SMALL, jumps, strict=True):
        bench.clock.advance(ns=100 * MS)
        ingest.unit(unit, pts, False, False, bench.clock.monotonic_ns(), None, None)
    frames = frames_of(bench)
    assert [frame.pts for frame in frames] == jumps
    assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4, 5]
    steps = {b.received_ns - a.received_ns for a, b in itertools.pairwise(frames)}
    assert steps == {100 * MS}


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        (CODEC_H264, "H.264"),
        (CODEC_H265, "H.265"),
        (CODEC_MJPEG, "Motion JPEG"),
        (CODEC_UNSPECIFIED, "an unknown codec"),
    ],
)
def test_codecs_have_names_for_people(codec: int, name: str) -> None:
    assert codec_name(codec) == name  # type: ignore[arg-type]
