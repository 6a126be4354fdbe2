"""Whatever stream is written is the stream that is read back."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.client import BatchReader
from media_center.cutter import Limits
from tests.footage import EPOCH, SECOND, Script, footage_of, record, replayed
from trueframe.v1 import footage_pb2, frames_pb2

_FRAME = st.tuples(
    st.just("frame"),
    st.integers(1, 400),
    st.sampled_from([0.0, 0.001, 0.04, 0.3, 1.2]),
    st.sampled_from([1, 1, 1, 2, 3]),
    st.one_of(st.none(), st.integers(-(1 << 40), 1 << 40)),
    st.booleans(),
)
_OTHER = st.sampled_from([("gap",), ("end",), ("epoch",)])
_ACTIONS = st.lists(st.one_of(_FRAME, _FRAME, _FRAME, _OTHER), max_size=40)
LIMITS = Limits(fragment_ns=SECOND // 2, segment_ns=2 * SECOND, max_segment_ns=4 * SECOND)


def play(actions: list[tuple[object, ...]]) -> Script:
    script = Script().start()
    is_ended = False
    for action in actions:
        match action:
            case ("gap",):
                script.gap()
            case ("end",) if not is_ended:
                script.end()
                is_ended = True
            case ("epoch",):
                if not is_ended:
                    script.end()
                script.start(script.epoch + 7)
                is_ended = False
            case ("frame", int(size), float(step_s), int(join), pts, bool(damaged)) if not is_ended:
                script.has_pts = False
                payload = b"\0\0\0\1" + bytes(1 + (size * i) % 255 for i in range(size))
                recovers = 3 if join == 3 else 0
                camera_time_ns = EPOCH + 1 if damaged else None
                script.frame(
                    payload, step_s=step_s, join=join, pts=pts, recovers_after=recovers, damaged=damaged,
                    follows_damage=size % 2 == 0, camera_time_ns=camera_time_ns,
                )  # type: ignore[arg-type]  # fmt: skip
    return script


def told_once(raw: list[bytes]) -> list[bytes]:
    """The stream without notes that repeat the one before: the recorder takes them for the same one told again."""
    kept: list[bytes] = []
    since_frame: list[bytes] = []
    for entry, item in zip(raw, BatchReader(b"".join(raw)), strict=True):
        if isinstance(item, frames_pb2.Gap | frames_pb2.EpochEnded):
            if entry in since_frame:
                continue
            since_frame.append(entry)
        else:
            since_frame = []
        kept.append(entry)
    return kept


@settings(max_examples=60, deadline=None)
@given(actions=_ACTIONS, cuts=st.lists(st.integers(0, 40), max_size=2))
def test_any_stream_is_read_back_as_it_was_written_across_restarts(
    actions: list[tuple[object, ...]], cuts: list[int]
) -> None:
    raw = play(actions).raw
    root = Path(tempfile.mkdtemp())
    try:
        bounds = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
        for start, stop in itertools.pairwise(bounds):
            # The broker repeats the epoch to a subscriber that comes back.
            epochs = [e for e in raw[:start] if isinstance(next(BatchReader(e)), frames_pb2.EpochStarted)]
            record(root, list(BatchReader(b"".join([*epochs[-1:], *raw[start:stop]]))), limits=LIMITS)
        if not any((root / "gate").glob("*.mp4")):
            assert not [e for e in raw if not isinstance(next(BatchReader(e)), frames_pb2.EpochStarted)]
            return
        footage = footage_of(root)
        read = replayed(footage)
        expected = told_once(raw)
        # An epoch in which nothing was told or seen leaves no trace.
        silent = {
            entry
            for entry, after in zip(expected, [*expected[1:], None], strict=True)
            if isinstance(next(BatchReader(entry)), frames_pb2.EpochStarted)
            and (after is None or isinstance(next(BatchReader(after)), frames_pb2.EpochStarted))
        }
        assert read == [entry for entry in expected if entry not in silent]
    finally:
        shutil.rmtree(root)


def test_several_cameras_share_rounds_and_keep_apart(tmp_path: Path) -> None:
    scripts = [Script(f"cam-{number}").start().frames(45) for number in range(5)]
    woven = [item for row in zip(*(script.items for script in scripts), strict=True) for item in row]

    record(tmp_path / "media", woven)

    for script in scripts:
        assert replayed(footage_of(tmp_path / "media", script.camera)) == script.raw


def test_every_range_by_id_gives_exactly_its_frames(tmp_path: Path) -> None:
    script = Script().start().frames(60)
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    frames = script.raw[1:]

    for first, last in [(0, 0), (0, 59), (7, 7), (9, 31), (29, 30), (59, 59)]:
        wanted = footage_pb2.FootageRange(camera="gate")
        wanted.first.CopyFrom(frames_pb2.FrameId(camera="gate", epoch=EPOCH, seq=first))
        wanted.last.CopyFrom(frames_pb2.FrameId(camera="gate", epoch=EPOCH, seq=last))
        assert replayed(footage, wanted) == [script.raw[0], *frames[first : last + 1]]


def test_every_range_by_time_gives_exactly_its_frames(tmp_path: Path) -> None:
    script = Script().start().frames(60)
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    times = [frame.received_ns for frame in script.wire_frames]

    for first, last in [(0, 0), (3, 41), (58, 59)]:
        wanted = footage_pb2.FootageRange(camera="gate", from_ns=times[first] - 1, to_ns=times[last] + 1)
        assert replayed(footage, wanted)[1:] == script.raw[1 + first : 2 + last]
    assert replayed(footage, footage_pb2.FootageRange(camera="gate", from_ns=times[-1] + 1)) == []
