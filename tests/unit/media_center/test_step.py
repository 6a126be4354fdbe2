"""Frames one by one, both ways, over whatever lies between them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_center.errors import NothingThere, NotRecorded
from media_center.footage import CameraFootage
from media_center.index import SegmentRows
from media_center.step import step
from mesh.ids import FrameId
from tests.footage import EPOCH, Script, decoded, footage_of, record, replayed
from trueframe.v1 import frames_pb2

# What a camera's stream is made of: so many frames, ids that the recorder missed, a told gap, a new epoch.
PIECES = st.one_of(
    st.tuples(st.just("frames"), st.integers(1, 90)),
    st.tuples(st.just("skip"), st.integers(1, 5)),
    st.tuples(st.just("gap"), st.integers(1, 5)),
    st.tuples(st.just("epoch"), st.integers(0, 1)),
)


def script_of(pieces: list[tuple[str, int]]) -> Script:
    script = Script().start().frames(1)
    for kind, count in pieces:
        if kind == "frames":
            script.frames(count)
        elif kind == "skip":
            script.skip(count)
        elif kind == "gap":
            script.gap()
        else:
            (script.end() if count else script).start(script.epoch + 7)
    return script


def model_of(footage: CameraFootage) -> list[FrameId | frames_pb2.Gap]:
    """What a reader of the whole replay sees: frames and gaps, in order."""
    seen: list[FrameId | frames_pb2.Gap] = []
    for item in decoded(replayed(footage)):
        if isinstance(item, frames_pb2.Gap):
            seen.append(item)
        elif not isinstance(item, frames_pb2.EpochStarted | frames_pb2.EpochEnded):
            seen.append(item.id)
    return seen


@settings(max_examples=25, deadline=None)
@given(pieces=st.lists(PIECES, max_size=7), data=st.data())
def test_any_number_of_steps_leads_where_as_many_single_frames_of_a_replay_lead(
    pieces: list[tuple[str, int]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        record(Path(folder) / "media", script_of(pieces).items)
        footage = footage_of(Path(folder) / "media")
        model = model_of(footage)
        places = [place for place, item in enumerate(model) if isinstance(item, FrameId)]
        for _ in range(6):
            here = data.draw(st.integers(0, len(places) - 1))
            there = data.draw(st.integers(-3, len(places) + 2))
            frame = model[places[here]]
            assert isinstance(frame, FrameId)
            if not 0 <= there < len(places):
                with pytest.raises(NothingThere):
                    step(footage, frame, there - here)
                continue
            stepped = step(footage, frame, there - here)
            low, high = sorted((places[here], places[there]))
            assert footage.id_at(stepped.position) == model[places[there]]
            assert stepped.gaps == [item for item in model[low:high] if not isinstance(item, FrameId)]


def test_a_long_way_does_not_read_the_rows_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "media", Script().start().frames(600).items)
    footage = footage_of(tmp_path / "media")
    assert len(footage.view) > 15
    read: list[int] = []
    rows = CameraFootage.rows

    def noting(self: CameraFootage, segment: int) -> SegmentRows:
        read.append(segment)
        return rows(self, segment)

    monkeypatch.setattr(CameraFootage, "rows", noting)
    stepped = step(footage, FrameId("gate", EPOCH, 5), 590)
    assert footage.id_at(stepped.position).seq == 595
    assert len(set(read)) <= 3


def test_how_many_frames_there_are_is_told_where_there_are_too_few(tmp_path: Path) -> None:
    record(tmp_path / "media", Script().start().frames(10).items)
    footage = footage_of(tmp_path / "media")
    with pytest.raises(NothingThere, match="followed by 3 recorded frames"):
        step(footage, FrameId("gate", EPOCH, 6), 4)
    with pytest.raises(NothingThere, match="has 6 recorded frames before it"):
        step(footage, FrameId("gate", EPOCH, 6), -7)
    with pytest.raises(NotRecorded):
        step(footage, FrameId("gate", EPOCH, 10), -1)


def test_a_segment_that_is_gone_is_not_counted(tmp_path: Path) -> None:
    record(tmp_path / "media", Script().start().frames(200).items)
    footage = footage_of(tmp_path / "media")
    footage.view.path(1).unlink()
    gone = footage.view[1]
    first_behind = step(footage, FrameId("gate", EPOCH, gone.first_seq - 1), 1)
    assert footage.id_at(first_behind.position).seq == gone.last_seq + 1
    assert [gap.count for gap in first_behind.gaps] == [gone.frames]
    far = step(footage, FrameId("gate", EPOCH, 0), 150)
    assert footage.id_at(far.position).seq == 150 + gone.frames
