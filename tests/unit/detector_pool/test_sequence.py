"""Verdicts in the order of ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detector_pool.detector import NoScore, Observation
from detector_pool.sequence import FrameVerdict, Sequence
from mesh.ids import FrameId


def verdict(seq: int, *, epoch: int = 1, count: int = 1, reason: NoScore | None = None) -> FrameVerdict:
    return FrameVerdict(FrameId("yard", epoch, seq), seq, Observation(0.0, (), reason), count)


def spans(verdicts: list[FrameVerdict]) -> list[tuple[int, int, int]]:
    return [(v.id.epoch, v.id.seq, v.count) for v in verdicts]


def test_pictures_in_presentation_order_come_out_in_the_order_of_ids() -> None:
    sequence = Sequence()
    out = []
    for seq in (0, 2, 1, 5, 3, 4):
        out += sequence.put(verdict(seq))
    assert [v.id.seq for v in out] == [0, 1, 2, 3, 4, 5]


def test_a_missing_run_that_comes_late_closes_its_hole() -> None:
    sequence = Sequence()
    assert spans(sequence.put(verdict(0))) == [(1, 0, 1)]
    assert sequence.put(verdict(4)) == []
    assert spans(sequence.put(verdict(1, count=3, reason=NoScore.NOT_DECODED))) == [(1, 1, 3), (1, 4, 1)]


def test_a_new_epoch_ends_the_old_one_and_begins_at_zero() -> None:
    sequence = Sequence()
    sequence.put(verdict(0))
    sequence.put(verdict(3))
    assert sequence.put(verdict(2, epoch=9)) != []
    out = sequence.put(verdict(0, epoch=9, count=2, reason=NoScore.NOT_DECODED))
    assert spans(out) == [(9, 0, 2), (9, 2, 1)]


def test_who_takes_over_tells_first_what_nobody_saw() -> None:
    sequence = Sequence(FrameId("yard", 1, 10))
    out = sequence.put(verdict(35))
    assert spans(out) == [(1, 11, 24), (1, 35, 1)]
    assert out[0].observation.reason is NoScore.NO_PIXELS


def test_what_was_spoken_of_before_is_dropped_and_counted() -> None:
    sequence = Sequence(FrameId("yard", 1, 10))
    assert sequence.put(verdict(10)) == []
    assert spans(sequence.put(verdict(8, count=5, reason=NoScore.OVERRUN))) == [(1, 11, 2)]
    assert sequence.late == 1


def test_a_hole_that_never_closes_is_given_up_at_the_bound() -> None:
    sequence = Sequence(depth=4)
    sequence.put(verdict(0))
    out = []
    for seq in range(2, 8):
        out += sequence.put(verdict(seq))
    assert spans(out)[0] == (1, 1, 1)
    assert out[0].observation.reason is NoScore.NOT_DECODED
    assert [v.id.seq for v in out] == list(range(1, 8))


@given(st.permutations(range(20)))
def test_any_order_within_the_bound_comes_out_whole(order: list[int]) -> None:
    sequence = Sequence(FrameId("yard", 1, 99), depth=64)
    out = sequence.put(verdict(100))
    for seq in order:
        out += sequence.put(verdict(101 + seq))
    out += sequence.flush()
    assert [v.id.seq for v in out] == list(range(100, 121))
