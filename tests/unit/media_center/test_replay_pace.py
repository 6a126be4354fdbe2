"""Replay runs at the stream's own times, at every speed: tried with a clock that the test turns."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.client import BatchReader, WireFrame
from media_center.ranges import parse_range, select
from media_center.replay import merge
from media_center.replay_pace import MAX_LAG_NS, Pacer
from media_center.stream import CameraStream, StreamedItem
from tests.footage import EPOCH, SECOND, Script, footage_of, record
from trueframe.v1 import footage_pb2

PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("frames"), st.integers(1, 60)),
        st.tuples(st.just("skip"), st.integers(1, 400)),
        st.tuples(st.just("gap"), st.just(1)),
        st.tuples(st.just("epoch"), st.just(1)),
    ),
    max_size=5,
)


def script_of(camera: str, pieces: list[tuple[str, int]], offset_ns: int) -> Script:
    script = Script(camera, now_ns=offset_ns).start().frames(3)
    for kind, count in pieces:
        if kind == "frames":
            script.frames(count, step_s=0.04)
        elif kind == "skip":
            script.skip(count)
        elif kind == "gap":
            script.gap()
        else:
            script.end().start(script.epoch + 1).frames(2)
    return script


def streamed(root: Path, camera: str) -> list[StreamedItem]:
    footage = footage_of(root, camera)
    return list(
        CameraStream(select(footage, parse_range(footage_pb2.FootageRange(camera=camera))), camera).items(footage)
    )


@settings(max_examples=20, deadline=None)
@given(gate=PIECES, yard=PIECES, offset_ms=st.integers(0, 3000), speed=st.sampled_from([0.1, 0.5, 1.0, 7.3, 64.0]))
def test_several_cameras_run_on_one_clock_over_segments_epochs_and_gaps(
    gate: list[tuple[str, int]], yard: list[tuple[str, int]], offset_ms: int, speed: float
) -> None:
    scripts = [script_of("gate", gate, 0), script_of("yard", yard, offset_ms * 1_000_000)]
    with TemporaryDirectory() as folder:
        root = Path(folder) / "media"
        for script in scripts:
            record(root, script.items)
        items = list(merge([iter(streamed(root, script.camera)) for script in scripts]))
    sent = sorted((frame.received_ns, frame.camera) for script in scripts for frame in script.wire_frames)
    pacer, now_ns = Pacer(speed), 5_000
    shown: list[tuple[int, WireFrame]] = []
    for item in items:
        now_ns += pacer.wait_ns(item.due_ns, now_ns)
        (read,) = BatchReader(item.data)
        if isinstance(read, WireFrame):
            shown.append((now_ns, read))

    assert [(frame.received_ns, frame.camera) for _, frame in shown] == sent
    first_ns = sent[0][0]
    for at_ns, frame in shown:
        assert abs(at_ns - 5_000 - (frame.received_ns - first_ns) / speed) <= 1
    for script in scripts:
        ids = [(frame.epoch, frame.seq) for _, frame in shown if frame.camera == script.camera]
        assert ids == [(frame.epoch, frame.seq) for frame in script.wire_frames]


def test_a_gap_is_told_before_the_pause_that_it_is_the_reason_of(tmp_path: Path) -> None:
    script = Script().start().frames(2).gap().skip(600).frames(2)
    record(tmp_path / "media", script.items)
    pacer, now_ns = Pacer(1.0), 0
    told: list[tuple[float, str]] = []
    for item in streamed(tmp_path / "media", "gate"):
        now_ns += pacer.wait_ns(item.due_ns, now_ns)
        (read,) = BatchReader(item.data)
        told.append((now_ns / SECOND, type(read).__name__))
    assert told[:3] == [(0.0, "EpochStarted"), (0.0, "WireFrame"), (0.1, "WireFrame")]
    assert [name for at_s, name in told[3:-2]] == ["Gap", "Gap"]
    assert max(at_s for at_s, _ in told[:-2]) == 0.1
    assert told[-2] == (60.2, "WireFrame")


def test_as_fast_as_possible_waits_for_nothing() -> None:
    pacer = Pacer(0.0)
    assert [pacer.wait_ns(EPOCH + n * SECOND, 7) for n in range(4)] == [0, 0, 0, 0]


@pytest.mark.parametrize("speed", [0.1, 1.0, 10.0])
def test_a_reader_that_was_slow_catches_up_a_little_and_is_not_flooded_after_much(speed: float) -> None:
    pacer = Pacer(speed)
    step_ns = round(SECOND * speed)  # a second of the reader's time
    assert pacer.wait_ns(EPOCH, 0) == 0
    assert pacer.wait_ns(EPOCH + step_ns, 3 * SECOND // 2) == 0
    assert pacer.wait_ns(EPOCH + 2 * step_ns, 3 * SECOND // 2) == SECOND // 2
    late_ns = 60 * SECOND
    assert late_ns > MAX_LAG_NS
    assert pacer.wait_ns(EPOCH + 3 * step_ns, late_ns) == 0
    assert pacer.wait_ns(EPOCH + 4 * step_ns, late_ns) == SECOND


def test_what_is_told_before_the_first_frame_neither_waits_nor_starts_the_clock() -> None:
    pacer = Pacer(1.0)
    assert pacer.wait_ns(0, 0) == 0
    assert pacer.wait_ns(EPOCH, 9 * SECOND) == 0
    assert pacer.wait_ns(EPOCH + SECOND, 9 * SECOND) == SECOND
