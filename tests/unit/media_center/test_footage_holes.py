"""Fragments that are missing from footage leave a gap, also where no id betrays them: at borders, and notes alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_center.footage import CameraFootage
from media_center.index import index_path
from media_center.scan import scan
from tests.footage import EPOCH, Script, decoded, footage_of, gaps_in, record, replayed, seqs_in
from trueframe.v1 import footage_pb2, frames_pb2

NETWORK_LOSS = frames_pb2.GAP_REASON_NETWORK_LOSS
RECORDER_LOST = frames_pb2.GAP_REASON_RECORDER_LOST
UNREADABLE = frames_pb2.GAP_REASON_UNREADABLE


def part(script: Script) -> Script:
    """Hands out what a script has so far and begins it anew: each part recorded is one fragment."""
    taken = Script(script.camera, script.epoch, raw=script.raw)
    script.raw = []
    return taken


def recorded(root: Path, *parts: Script) -> CameraFootage:
    for one in parts:
        record(root, one.items)
    return footage_of(root)


def without_fragment(root: Path, position: int, of: int = 0) -> CameraFootage:
    """The footage after one of its fragments was destroyed."""
    segment = sorted(root.glob("*/*.mp4"))[of]
    destroyed = scan(segment).boxes[position]
    index_path(segment).unlink()
    with segment.open("r+b") as file:
        file.seek(destroyed.block_offset)
        file.write(b"\xff" * (destroyed.end - destroyed.block_offset))
    return footage_of(root)


def told(read: list[bytes]) -> list[tuple[int, int | None]]:
    return [(gap.reason, gap.count if gap.HasField("count") else None) for gap in gaps_in(read)]


@pytest.mark.parametrize("reason", [NETWORK_LOSS, frames_pb2.GAP_REASON_REFUSED])
@pytest.mark.parametrize("is_before", [True, False])
def test_what_the_camera_lost_does_not_stand_for_the_lost_end_of_an_epoch(
    tmp_path: Path, reason: int, is_before: bool
) -> None:
    script = Script().start().frames(5)
    script = (
        script.gap(reason).start(EPOCH + 9) if is_before else script.start(EPOCH + 9).gap(reason)
    ).frames(2)  # fmt: skip

    read = replayed(recorded(tmp_path / "media", script))

    assert sorted(told(read)) == [(reason, None), (RECORDER_LOST, None)]
    assert seqs_in(read) == [*range(5), 0, 1]


def test_an_end_that_was_recorded_before_a_loss_of_the_camera_needs_no_gap(tmp_path: Path) -> None:
    script = Script().start().frames(5).end().start(EPOCH + 9).gap().frames(2)
    assert told(replayed(recorded(tmp_path / "media", script))) == [(NETWORK_LOSS, None)]


@pytest.mark.parametrize("last_seq", [3, -1])
def test_an_epoch_of_which_only_the_end_is_left_does_not_hide_the_lost_end_of_the_one_before(
    tmp_path: Path, last_seq: int
) -> None:
    script = Script().start().frames(5).start(EPOCH + 9).end(last_seq=last_seq).start(EPOCH + 20).frames(2)

    read = replayed(recorded(tmp_path / "media", script))

    assert told(read) == [(RECORDER_LOST, None)]
    (gap,) = gaps_in(read)
    assert (gap.after.epoch, gap.after.seq) == (EPOCH, 4)


def test_a_fragment_of_notes_alone_that_is_destroyed_is_told_as_a_gap_of_unknown_count(tmp_path: Path) -> None:
    script = Script()
    parts = [part(script.start().frames(5)), part(script.gap(count=4)), part(script.frames(5, gop=1000))]
    root = tmp_path / "media"
    assert told(replayed(recorded(root, *parts))) == [(NETWORK_LOSS, 4)]

    read = replayed(without_fragment(root, 1))

    assert seqs_in(read) == list(range(10))
    (gap,) = gaps_in(read)
    assert (gap.reason, gap.HasField("count"), gap.after.seq, gap.before.seq) == (UNREADABLE, False, 4, 5)


def test_notes_destroyed_right_before_the_end_of_an_epoch_are_told(tmp_path: Path) -> None:
    script = Script()
    parts = [part(script.start().frames(5)), part(script.gap(count=4)), part(script.end())]
    root = tmp_path / "media"
    recorded(root, *parts)

    read = replayed(without_fragment(root, 1))

    assert told(read) == [(UNREADABLE, None)]
    assert isinstance(decoded(read)[-1], frames_pb2.EpochEnded)


def test_footage_whose_beginning_is_destroyed_says_so(tmp_path: Path) -> None:
    script = Script()
    root = tmp_path / "media"
    recorded(root, part(script.start().frames(5)), part(script.frames(5, gop=1000)))

    read = replayed(without_fragment(root, 0))

    assert seqs_in(read) == list(range(5, 10))
    (gap,) = gaps_in(read)
    assert (gap.reason, gap.HasField("count"), gap.HasField("after"), gap.before.seq) == (UNREADABLE, False, False, 5)


def test_a_range_that_begins_behind_a_destroyed_fragment_has_no_gap_before_its_first_frame(tmp_path: Path) -> None:
    script = Script()
    root = tmp_path / "media"
    recorded(root, part(script.start().frames(5)), part(script.gap(count=4)), part(script.frames(5, gop=1000)))
    wanted = footage_pb2.FootageRange(camera="gate")
    wanted.first.CopyFrom(frames_pb2.FrameId(camera="gate", epoch=EPOCH, seq=5))

    assert gaps_in(replayed(without_fragment(root, 1), wanted)) == []
