"""When fragments and segments are cut."""

from __future__ import annotations

from broker.client import WireFrame
from media_center.cutter import Cutter, Fragment, Limits, Note, Resumption
from mesh.ids import FrameId
from tests.footage import EPOCH, EXACT, SECOND, Script, decoded
from trueframe.v1 import frames_pb2

LIMITS = Limits(segment_ns=10 * SECOND, max_segment_ns=25 * SECOND)


def cut(script: Script, cutter: Cutter | None = None) -> list[Fragment]:
    cutter = cutter or Cutter("gate", LIMITS)
    fragments = [fragment for item in script.items for fragment in cutter.take(item, 0)]
    return fragments + cutter.flush()


def seqs(fragment: Fragment) -> list[int]:
    return [frame.seq for frame in fragment.frames]


def test_a_fragment_closes_after_a_second_whatever_the_gop() -> None:
    fragments = cut(Script().start().frames(35, gop=1000))
    assert [seqs(f) for f in fragments] == [[*range(10)], [*range(10, 20)], [*range(20, 30)], [*range(30, 35)]]


def test_a_fragment_closes_by_the_clock_when_nothing_follows() -> None:
    cutter = Cutter("gate", LIMITS)
    for item in Script().start().frames(3).items:
        assert cutter.take(item, 5 * SECOND) == []
    assert cutter.tick(6 * SECOND - 1) == []
    (fragment,) = cutter.tick(6 * SECOND)
    assert seqs(fragment) == [0, 1, 2]
    assert cutter.tick(9 * SECOND) == []


def test_a_segment_is_followed_by_the_next_at_the_first_join_point_after_its_time() -> None:
    fragments = cut(Script().start().frames(250, gop=70))
    assert [seqs(f)[0] for f in fragments if f.opens_segment] == [0, 140]


def test_a_segment_without_join_points_ends_at_its_latest_time() -> None:
    fragments = cut(Script().start().frames(600, gop=10_000))
    assert [seqs(f)[0] for f in fragments if f.opens_segment] == [0, 250, 500]


def test_a_new_epoch_opens_a_segment() -> None:
    fragments = cut(Script().start().frames(5).end().start(EPOCH + 1).frames(5))
    assert [(f.started.epoch - EPOCH, f.opens_segment, seqs(f)) for f in fragments] == [
        (0, True, [0, 1, 2, 3, 4]),
        (1, True, [0, 1, 2, 3, 4]),
    ]


def test_large_frames_close_a_fragment_before_its_time() -> None:
    script = Script().start()
    for _ in range(5):
        script.frame(b"\0\0\0\1" + b"\x41" * 1000, step_s=0.01)
    fragments = cut(script, Cutter("gate", Limits(fragment_bytes=2000)))
    assert [len(f.frames) for f in fragments] == [2, 2, 1]


def test_what_is_told_between_frames_keeps_its_place() -> None:
    (fragment,) = cut(Script().start().frames(2).gap().frames(2))
    assert [type(item).__name__ for item in fragment.items] == [
        "WireFrame",
        "WireFrame",
        "Note",
        "WireFrame",
        "WireFrame",
    ]


def test_a_gap_before_the_first_epoch_is_told_with_it() -> None:
    (fragment,) = cut(Script().gap(frames_pb2.GAP_REASON_BEFORE_PARAMETER_SETS).start().frames(1))
    assert [note.kind for note in fragment.leading] == [2]


def test_frames_and_notes_that_come_again_are_left_out() -> None:
    script = Script().start().frames(3).gap().end()
    cutter = Cutter("gate", LIMITS)
    first = [fragment for item in script.items for fragment in cutter.take(item, 0)]
    again = [fragment for item in script.items for fragment in cutter.take(item, 0)] + cutter.flush()
    assert len(first) == 1
    assert again == []
    assert cutter.repeated == 3


def test_frames_of_an_epoch_that_nobody_announced_are_counted() -> None:
    cutter = Cutter("gate", LIMITS)
    assert [f for item in Script().frames(3).items for f in cutter.take(item, 0)] == []
    assert cutter.stray == 3


def test_frames_of_an_epoch_below_the_recorded_one_are_told_not_recorded() -> None:
    cutter = Cutter("gate", LIMITS)
    for item in Script().start(EPOCH + 9).frames(2).items + Script().start().frames(3).items:
        cutter.take(item, 0)
    (fragment,) = cutter.tick(LIMITS.fragment_ns)
    note = fragment.items[-1]
    assert isinstance(note, Note)
    gap = frames_pb2.Item.FromString(note.data).gap
    assert (gap.reason, gap.count) == (frames_pb2.GAP_REASON_NOT_RECORDED, 3)


def test_a_cutter_goes_on_behind_what_is_on_disk() -> None:
    script = Script().start().frames(30).gap().frames(5)
    started = next(item for item in script.items if isinstance(item, frames_pb2.EpochStarted))
    note = next(item for f in cut(script) for item in f.items if isinstance(item, Note))
    resumption = Resumption(started, FrameId("gate", EPOCH, 29), 1, [note.data], False)

    fragments = cut(script, Cutter("gate", LIMITS, resumption))

    assert [seqs(f) for f in fragments] == [[30, 31, 32, 33, 34]]
    assert not fragments[0].opens_segment
    assert not any(isinstance(item, Note) for item in fragments[0].items)


def test_the_arrival_of_the_next_frame_is_known_where_it_closed_the_fragment() -> None:
    first, second = cut(Script().start().frames(12))
    (frame,) = [
        item for item in decoded(Script().start().frames(12).raw) if isinstance(item, WireFrame) and item.seq == 10
    ]
    assert first.next_monotonic_ns == frame.monotonic_ns
    assert second.next_monotonic_ns is None


def test_a_join_point_alone_does_not_cut() -> None:
    fragments = cut(Script().start().frame(join=EXACT).frame(join=EXACT).frame(join=EXACT))
    assert [f.opens_segment for f in fragments] == [True]
