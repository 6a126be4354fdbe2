"""Gaps that the recorded ids betray, and spans of footage."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_center.recordings import list_recordings
from tests.footage import EPOCH, SECOND, Script, footage_of, gaps_in, record, replayed
from trueframe.v1 import footage_pb2, frames_pb2

RECORDER_LOST = frames_pb2.GAP_REASON_RECORDER_LOST


def told(gaps: list[frames_pb2.Gap]) -> list[tuple[int, int | None]]:
    return [(gap.reason, gap.count if gap.HasField("count") else None) for gap in gaps]


def gaps_of(tmp_path: Path, script: Script) -> list[tuple[int, int | None]]:
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    gaps = gaps_in(replayed(footage))
    assert told(list_recordings(footage, 0, 0).gaps) == told(gaps)
    return told(gaps)


def test_ids_that_jump_inside_an_epoch_are_a_counted_gap(tmp_path: Path) -> None:
    assert gaps_of(tmp_path, Script().start().frames(5).skip(7).frames(5)) == [(RECORDER_LOST, 7)]


def test_a_jump_that_was_told_is_not_told_twice(tmp_path: Path) -> None:
    script = Script().start().frames(5).gap(RECORDER_LOST, 7).skip(7).frames(5)
    assert gaps_of(tmp_path, script) == [(RECORDER_LOST, 7)]


def test_a_loss_on_the_network_takes_no_ids(tmp_path: Path) -> None:
    script = Script().start().frames(5).gap().skip(3).frames(5)
    assert gaps_of(tmp_path, script) == [(frames_pb2.GAP_REASON_NETWORK_LOSS, None), (RECORDER_LOST, 3)]


def test_the_end_of_an_epoch_tells_how_many_were_missed(tmp_path: Path) -> None:
    assert gaps_of(tmp_path, Script().start().frames(5).skip(4).end()) == [(RECORDER_LOST, 4)]


def test_the_beginning_of_an_epoch_that_was_missed_is_counted(tmp_path: Path) -> None:
    script = Script().start().frames(5).end().start(EPOCH + 9).skip(6).frames(2)
    assert gaps_of(tmp_path, script) == [(RECORDER_LOST, 6)]


def test_an_epoch_that_just_stops_leaves_a_gap_of_unknown_count(tmp_path: Path) -> None:
    assert gaps_of(tmp_path, Script().start().frames(5).start(EPOCH + 9).frames(2)) == [(RECORDER_LOST, None)]


def test_a_broker_that_died_is_told_in_its_own_words(tmp_path: Path) -> None:
    script = Script().start().frames(5).gap(frames_pb2.GAP_REASON_BROKER_LOST).start(EPOCH + 9).frames(2)
    assert gaps_of(tmp_path, script) == [(frames_pb2.GAP_REASON_BROKER_LOST, None)]


def test_footage_that_begins_inside_an_epoch_has_no_gap_before_it(tmp_path: Path) -> None:
    assert gaps_of(tmp_path, Script().start().skip(20).frames(5)) == []


def test_epochs_in_order_have_no_gap_between_them(tmp_path: Path) -> None:
    script = Script().start().frames(5).end().start(EPOCH + 9).frames(5).end()
    assert gaps_of(tmp_path, script) == []


def test_spans_reach_over_segments_and_end_at_holes(tmp_path: Path) -> None:
    script = Script().start().frames(100).skip(5).frames(40).end().start(EPOCH + 9).frames(3)
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    assert len(footage.view) > 4

    spans = list_recordings(footage, 0, 0)

    assert [(r.first.epoch - EPOCH, r.first.seq, r.last.seq, r.frames) for r in spans.recordings] == [
        (0, 0, 99, 100),
        (0, 105, 144, 40),
        (9, 0, 2, 3),
    ]
    sizes = [len(frame.payload) for frame in script.wire_frames]
    assert sum(r.size_bytes for r in spans.recordings) == sum(sizes)
    assert spans.recordings[0].width == 128


def test_spans_are_cut_to_the_time_asked_for(tmp_path: Path) -> None:
    script = Script().start().frames(100).skip(5).frames(40)
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    times = {frame.seq: frame.received_ns for frame in script.wire_frames}

    inside = list_recordings(footage, times[33], times[120])
    before = list_recordings(footage, 0, times[10] - 1)
    hole = list_recordings(footage, times[99] + SECOND // 10, times[105] - 1)
    later = list_recordings(footage, times[144] + 1, 0)

    assert [(r.first.seq, r.last.seq) for r in inside.recordings] == [(33, 99), (105, 120)]
    assert told(inside.gaps) == [(RECORDER_LOST, 5)]
    assert [(r.first.seq, r.last.seq) for r in before.recordings] == [(0, 9)]
    assert before.gaps == []
    assert (hole.recordings, told(hole.gaps)) == ([], [(RECORDER_LOST, 5)])
    assert (later.recordings, later.gaps) == ([], [])


@pytest.mark.parametrize("is_told", [True, False])
def test_a_range_inside_a_hole_is_answered_by_its_gap(tmp_path: Path, is_told: bool) -> None:
    script = Script().start().frames(10)
    (script.gap(RECORDER_LOST, 7) if is_told else script).skip(7).frames(5)
    record(tmp_path / "media", script.items)
    wanted = footage_pb2.FootageRange(camera="gate")
    wanted.first.CopyFrom(frames_pb2.FrameId(camera="gate", epoch=EPOCH, seq=12))
    wanted.last.CopyFrom(frames_pb2.FrameId(camera="gate", epoch=EPOCH, seq=14))
    read = replayed(footage_of(tmp_path / "media"), wanted)
    assert told(gaps_in(read)) == [(RECORDER_LOST, 7)]
    assert len(read) == 1
