"""Minting: seq, epochs on one connection, damage and gaps, against the real hub."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import pytest

from broker.core import BatchReader, Hub, Subscriber, WireFrame, canonical, canonical_from_nals, split_nals
from broker.epochs import EpochBook
from broker.errors import SourceFailure, SourceRefused, SourceUnreachable
from broker.feed import Feed
from broker.ingest import Ingest
from mesh.clocks import ManualClock
from tests.support import auntil
from tests.unit.broker.memory_epochs import MemoryEpochs
from trueframe.v1.frames_pb2 import (
    EPOCH_END_REASON_CLOCK_STEPPED,
    EPOCH_END_REASON_CONNECTION_LOST,
    EPOCH_END_REASON_FORMAT_CHANGED,
    GAP_REASON_BEFORE_PARAMETER_SETS,
    GAP_REASON_NETWORK_LOSS,
    GAP_REASON_REFUSED,
    JOIN_POINT_EXACT,
    EpochEnded,
    EpochStarted,
    Gap,
)

MS = 1_000_000


def encode(width: int, height: int, frames: int = 6, gop: int = 3) -> list[bytes]:
    """Access units in canonical form; every IDR carries its parameter sets."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": str(gop), "bf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        units = []
        for number in range(frames):
            picture = np.full((height, width, 3), number * 30, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            units += [bytes(packet) for packet in stream.encode(frame)]
        units += [bytes(packet) for packet in stream.encode(None)]
    return [canonical(unit) for unit in units if unit]


SMALL, LARGE = encode(64, 48), encode(96, 64)


def without_sets(unit: bytes) -> bytes:
    return canonical_from_nals(nal for nal in split_nals(unit) if nal[0] & 0x1F not in (7, 8))


def sets_of(unit: bytes) -> bytes:
    return canonical_from_nals(nal for nal in split_nals(unit) if nal[0] & 0x1F in (7, 8))


@dataclass
class Bench:
    """One camera's feed over a real hub, with a subscriber that sees everything."""

    clock: ManualClock = field(default_factory=ManualClock)
    epochs: MemoryEpochs = field(default_factory=MemoryEpochs)
    hub: Hub = field(default_factory=Hub)
    failures: list[SourceFailure] = field(default_factory=list)
    firsts: int = 0

    def __post_init__(self) -> None:
        self.hub.ring("gate")
        self.subscriber = Subscriber(self.hub, lambda: None)
        self.subscriber.add("gate")
        self.feed = Feed(
            camera="gate",
            hub=self.hub,
            book=EpochBook(self.epochs, self.clock),
            clock=self.clock,
            on_connected=lambda: None,
            on_first_frame=self._first,
            on_epoch=lambda: None,
            on_failure=self.failures.append,
        )

    def _first(self) -> None:
        self.firsts += 1

    async def open(self, parameter_sets: bytes = b"") -> Ingest:
        return await self.feed.open_epoch((1, 90_000), parameter_sets)

    def give(self, ingest: Ingest, unit: bytes, *, damaged: bool = False, lost: bool = False) -> None:
        self.clock.advance(ns=100 * MS)
        ingest.unit(unit, None, damaged, lost, self.clock.monotonic_ns(), None, None)

    def items(self) -> list[WireFrame | Gap | EpochStarted | EpochEnded]:
        return list(BatchReader(self.subscriber.take(10_000, 1 << 30)))


def kinds(items: list[WireFrame | Gap | EpochStarted | EpochEnded]) -> list[str]:
    return [type(item).__name__ for item in items]


async def test_seq_counts_from_zero_and_times_follow_the_monotonic_clock() -> None:
    bench = Bench()
    started_ns = bench.clock.utc_ns()
    ingest = await bench.open()
    for unit in SMALL:
        bench.give(ingest, unit)
    started, *frames = bench.items()
    assert isinstance(started, EpochStarted)
    assert (started.epoch, started.width, started.height) == (started_ns, 64, 48)
    assert [f.seq for f in frames if isinstance(f, WireFrame)] == [0, 1, 2, 3, 4, 5]
    assert [f.received_ns - started_ns for f in frames if isinstance(f, WireFrame)] == [
        number * 100 * MS for number in range(1, 7)
    ]
    assert bench.firsts == 1


async def test_units_before_the_first_parameter_sets_are_counted_and_get_no_id() -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.give(ingest, without_sets(SMALL[0]))
    bench.give(ingest, SMALL[1])
    assert bench.items() == []
    bench.give(ingest, SMALL[3])
    started, gap, frame = bench.items()
    assert isinstance(started, EpochStarted)
    assert isinstance(gap, Gap)
    assert isinstance(frame, WireFrame)
    assert (gap.reason, gap.count, gap.before.seq) == (GAP_REASON_BEFORE_PARAMETER_SETS, 2, 0)
    assert not gap.HasField("after")
    assert frame.seq == 0
    assert bench.feed.counters.units_before_parameter_sets == 2


async def test_a_connection_that_never_sent_parameter_sets_still_tells_what_it_sent() -> None:
    bench = Bench()
    bench.give(await bench.open(), SMALL[1])
    bench.feed.end_epoch(EPOCH_END_REASON_CONNECTION_LOST, "gone")
    [gap] = bench.items()
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.count) == (GAP_REASON_BEFORE_PARAMETER_SETS, 1)


async def test_a_camera_that_never_sends_parameter_sets_is_alive_for_a_while_and_then_refused() -> None:
    bench = Bench()
    ingest = await bench.open()
    for _ in range(3):
        bench.give(ingest, SMALL[1])
    assert bench.feed.last_sign_ns == bench.clock.monotonic_ns()
    assert bench.failures == []
    bench.clock.advance(91)
    bench.give(ingest, SMALL[1])
    assert "no parameter sets" in str(bench.failures[0])


async def test_parameter_sets_known_beforehand_are_put_into_join_points_once() -> None:
    bench = Bench()
    ingest = await bench.open(sets_of(SMALL[0]))
    for unit in SMALL[:4]:
        bench.give(ingest, without_sets(unit))
    frames = [item for item in bench.items() if isinstance(item, WireFrame)]
    for frame in frames:
        sets = [nal[0] & 0x1F for nal in split_nals(bytes(frame.payload)) if nal[0] & 0x1F in (7, 8)]
        assert sets == ([7, 8] if frame.join_point == JOIN_POINT_EXACT else [])


async def test_loss_is_told_in_its_place_and_what_follows_is_not_called_exact() -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.give(ingest, SMALL[0])
    bench.give(ingest, SMALL[2], lost=True)
    bench.give(ingest, SMALL[3])
    _, first, gap, second, third = bench.items()
    assert isinstance(first, WireFrame)
    assert isinstance(gap, Gap)
    assert isinstance(second, WireFrame)
    assert isinstance(third, WireFrame)
    assert gap.reason == GAP_REASON_NETWORK_LOSS
    assert not gap.HasField("count")
    assert (gap.after.seq, gap.before.seq) == (0, 1)
    assert second.follows_damage
    assert not third.follows_damage, "an IDR heals"
    assert bench.feed.counters.network_gaps == 1


async def test_a_damaged_unit_is_delivered_marked_and_its_successors_follow_damage() -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.give(ingest, SMALL[0])
    bench.give(ingest, SMALL[1], damaged=True)
    bench.give(ingest, SMALL[2])
    frames = [item for item in bench.items() if isinstance(item, WireFrame)]
    assert [(f.damaged, f.follows_damage) for f in frames] == [(False, False), (True, False), (False, True)]


async def test_refused_units_are_counted_and_told_before_the_next_frame() -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.give(ingest, SMALL[0])
    bench.give(ingest, b"")
    ingest.refuse(2)
    bench.give(ingest, SMALL[3])
    gap = bench.items()[2]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.count) == (GAP_REASON_REFUSED, 3)


async def test_a_new_picture_size_is_a_new_epoch_on_the_same_connection() -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.epochs.gate.clear()
    for unit in [*SMALL[:3], *LARGE[:3]]:
        bench.give(ingest, unit)
    assert kinds(bench.items())[-1] == "EpochEnded", "nothing of the new epoch before it is stored"
    bench.epochs.gate.set()
    await auntil(lambda: ingest.epoch, 5, "the next epoch is open")
    bench.give(ingest, LARGE[3])
    started, *frames = bench.items()
    assert isinstance(started, EpochStarted)
    assert (started.width, started.height) == (96, 64)
    assert [f.seq for f in frames if isinstance(f, WireFrame)] == [0, 1, 2, 3]
    assert bench.epochs.last["gate"] == started.epoch


async def test_the_last_frame_before_a_new_size_is_the_last_of_its_epoch() -> None:
    bench = Bench()
    ingest = await bench.open()
    for unit in [*SMALL[:3], *LARGE[:1]]:
        bench.give(ingest, unit)
    ended = bench.items()[-1]
    assert isinstance(ended, EpochEnded)
    assert (ended.reason, ended.last_seq) == (EPOCH_END_REASON_FORMAT_CHANGED, 2)


@pytest.mark.parametrize("step_s", [2, -2, -86_400])
async def test_a_step_of_the_wall_clock_is_a_new_epoch_and_epochs_still_grow(step_s: int) -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.give(ingest, SMALL[0])
    bench.clock.step_utc(step_s * 1000 * MS)
    bench.give(ingest, SMALL[1])
    await auntil(lambda: ingest.epoch, 5, "the next epoch is open")
    started, first, ended, again, second = bench.items()
    assert isinstance(started, EpochStarted)
    assert isinstance(ended, EpochEnded)
    assert isinstance(again, EpochStarted)
    assert isinstance(first, WireFrame)
    assert isinstance(second, WireFrame)
    assert ended.reason == EPOCH_END_REASON_CLOCK_STEPPED
    assert again.epoch > started.epoch
    assert second.seq == 0
    assert second.received_ns - first.received_ns == (step_s * 1000 + 100) * MS


async def test_drift_and_small_corrections_of_the_clock_are_no_step() -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.give(ingest, SMALL[0])
    bench.clock.step_utc(400 * MS)
    bench.give(ingest, SMALL[1])
    assert kinds(bench.items()) == ["EpochStarted", "WireFrame", "WireFrame"]


async def test_a_camera_that_changes_its_size_all_the_time_is_refused() -> None:
    bench = Bench()
    ingest = await bench.open()
    for number in range(8):
        bench.give(ingest, (SMALL, LARGE)[number % 2][0])
        await auntil(lambda: ingest.epoch or bench.failures, 5, "the next epoch is open, or refused")
    assert isinstance(bench.failures[0], SourceRefused)
    assert "changed its picture size" in str(bench.failures[0])


async def test_an_epoch_that_cannot_be_stored_is_never_used() -> None:
    bench = Bench()
    bench.epochs.error = OSError("No space left on device")
    with pytest.raises(SourceUnreachable, match="No space left on device"):
        await bench.open()
    assert bench.items() == []


async def test_what_waited_for_an_epoch_that_never_opened_is_counted() -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.give(ingest, SMALL[0])
    bench.epochs.gate.clear()
    bench.give(ingest, LARGE[0])
    bench.give(ingest, LARGE[1])
    bench.feed.end_epoch(EPOCH_END_REASON_CONNECTION_LOST, "gone")
    gap = bench.items()[-1]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.count) == (GAP_REASON_REFUSED, 2)
    assert gap.after.seq == 0
    bench.epochs.gate.set()
    await auntil(lambda: len(asyncio.all_tasks()) == 1, 5, "nothing is under way any more")
    assert bench.items() == []


async def test_nothing_is_minted_behind_the_end_of_an_epoch() -> None:
    bench = Bench()
    ingest = await bench.open()
    bench.give(ingest, SMALL[0])
    bench.feed.end_epoch(EPOCH_END_REASON_CONNECTION_LOST, "gone")
    bench.give(ingest, SMALL[1])
    items = bench.items()
    # The gap is for what the camera sent into the broken connection: nobody can know it.
    assert kinds(items) == ["EpochStarted", "WireFrame", "Gap", "EpochEnded"]
    assert bench.feed.newest_id is not None
    assert bench.feed.newest_id.seq == 0
