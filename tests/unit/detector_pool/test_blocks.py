"""Verdict blocks: when they go, and how they are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detector_pool.blocks import SECOND, Block, BlockBuilder, KeptBlocks, frames
from detector_pool.detector import Observation
from detector_pool.reasons import NoScore
from detector_pool.sequence import FrameVerdict
from mesh.ids import FrameId


def verdict(seq: int, score: float = 0.1, reason: NoScore | None = None, count: int = 1) -> FrameVerdict:
    return FrameVerdict(FrameId("yard", 1, seq), seq, Observation(score, (), reason), count)


def block(seq: int, inspection: str = "yard.motion", count: int = 5) -> Block:
    return Block(inspection, "motion@1", tuple(verdict(seq + i) for i in range(count)))


def test_ordinary_verdicts_go_within_a_second() -> None:
    builder = BlockBuilder("i", "motion@1", 0.6)
    builder.add(verdict(0), 0)
    builder.add(verdict(1), SECOND // 2)
    assert not builder.is_due(SECOND // 2)
    assert builder.is_due(SECOND)
    taken = builder.take()
    assert taken is not None
    assert [v.id.seq for v in taken.verdicts] == [0, 1]
    assert not builder.is_due(9 * SECOND)


def test_a_crossing_of_the_threshold_goes_at_once_and_so_does_the_second_behind_it() -> None:
    builder = BlockBuilder("i", "motion@1", 0.6)
    builder.add(verdict(0, 0.9), 0)
    assert builder.is_due(0)
    builder.take()
    builder.add(verdict(1, 0.9), SECOND // 2)
    assert builder.is_due(SECOND // 2)
    builder.take()
    builder.add(verdict(2, 0.9), 2 * SECOND)
    assert not builder.is_due(2 * SECOND)
    builder.add(verdict(3, 0.1), 2 * SECOND)
    assert builder.is_due(2 * SECOND)


def test_reasons_in_a_row_become_one_run() -> None:
    builder = BlockBuilder("i", "motion@1", 0.6)
    for seq in range(5):
        builder.add(verdict(seq, reason=NoScore.WARMING_UP), 0)
    builder.add(verdict(5, reason=NoScore.OVERRUN, count=3), 0)
    builder.add(verdict(8), 0)
    taken = builder.take()
    assert taken is not None
    assert [(v.id.seq, v.count) for v in taken.verdicts] == [(0, 5), (5, 3), (8, 1)]


def test_a_block_is_kept_until_it_is_acknowledged_and_sent_again_under_the_fence_of_a_new_assignment() -> None:
    kept = KeptBlocks()
    first, second = kept.keep(block(0), 1), kept.keep(block(5), 1)
    kept.acknowledged(first.number)
    assert kept.assigned("yard.motion", 4) == [second.number]
    again = kept.get(second.number)
    assert again is not None
    assert again.fence == 4
    assert kept.get(first.number) is None


def test_blocks_of_an_inspection_that_is_put_down_are_dropped() -> None:
    kept = KeptBlocks()
    kept.keep(block(0), 1)
    other = kept.keep(block(0, "gate.motion"), 1)
    kept.drop("yard.motion")
    assert len(kept) == 1
    assert kept.get(other.number) is not None


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=200))
def test_without_room_scores_are_given_up_but_no_frame(names: list[str]) -> None:
    kept = KeptBlocks(max_kept=10)
    told: dict[str, int] = {}
    for name in names:
        at = told.get(name, 0)
        kept.keep(block(at, name), 1)
        told[name] = at + 5
    assert len(kept) <= 10 + 3
    for name, count in told.items():
        verdicts = [v for number in kept.assigned(name, 1) if (b := kept.get(number)) for v in b.verdicts]
        assert frames(verdicts) == count
        ends = [v.next_seq for v in verdicts]
        assert [v.id.seq for v in verdicts] == [0, *ends[:-1]]


def test_a_block_refused_for_its_old_fence_is_not_forgotten_before_it_is_sent_under_the_new_one() -> None:
    kept = KeptBlocks()
    block = kept.keep(Block("i", "motion@1", (verdict(0),)), fence=1)
    assert kept.get(block.number) is not None
    assert kept.assigned("i", 2) == [block.number]
    kept.acknowledged(block.number, fence=1)
    again = kept.get(block.number)
    assert again is not None
    assert again.fence == 2
    kept.acknowledged(block.number, fence=2)
    assert len(kept) == 0
