"""The wall clock is set, back and forth, while footage is recorded: order and ids hold, times say what they said."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.client import WireFrame
from media_center.cutter import Limits
from mesh.clocks import ManualClock
from tests.footage import EPOCH, SECOND, Script, archive_of, decoded, footage_of, record, replayed
from trueframe.v1 import footage_pb2

HOUR = 3600 * SECOND
STEPS = (-HOUR, 2 * HOUR, -400 * 24 * HOUR, 0)


def stepped() -> Script:
    """A clock that is set four times; each time the broker begins a new epoch, whose number never falls."""
    script = Script().start().frames(30)
    for offset_ns in STEPS:
        script.end()
        script.utc_offset_ns = offset_ns
        script.start(max(EPOCH + script.now_ns + offset_ns, script.epoch + 1)).frames(30)
    return script


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    record(root, stepped().items, limits=Limits())
    return root


def test_everything_is_recorded_in_the_order_in_which_it_came(root: Path) -> None:
    footage = footage_of(root)
    script = stepped()
    assert replayed(footage) == script.raw
    epochs = [footage.view[i].epoch for i in range(len(footage.view))]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == len(STEPS) + 1


def test_times_are_those_of_the_clock_at_that_moment(root: Path) -> None:
    script = stepped()
    footage = footage_of(root)
    firsts = [footage.view[i].first_ns for i in range(len(footage.view))]
    expected = [frame.received_ns for frame in script.wire_frames if frame.seq == 0]
    assert firsts == expected
    assert firsts[1] < firsts[0] < firsts[2]


def test_a_range_of_time_misses_no_frame_received_then(root: Path) -> None:
    frames = stepped().wire_frames
    asked = frames[35:40]
    wanted = footage_pb2.FootageRange(camera="gate", from_ns=asked[0].received_ns, to_ns=asked[-1].received_ns)
    found = {item.id for item in decoded(replayed(footage_of(root), wanted)) if isinstance(item, WireFrame)}
    assert {frame.id for frame in asked} <= found


def test_recording_goes_on_after_a_restart_behind_a_clock_that_was_set_back(root: Path) -> None:
    script = stepped()
    before = len(script.raw)
    script.end()
    script.utc_offset_ns = -3 * HOUR
    script.start(script.epoch + 1).frames(15)
    clock = ManualClock(utc_ns=EPOCH - 5 * HOUR)
    record(root, [*script.items[before - 5 :]], limits=Limits(), clock=clock)
    assert replayed(footage_of(root)) == script.raw
    assert archive_of(root).watermarks["gate"].seq == 14
