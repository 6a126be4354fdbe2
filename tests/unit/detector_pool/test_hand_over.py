"""One detector takes over from another at a frame boundary, and detectors that fail are disabled alone."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector_pool.blocks import Block, Checkpoint
from detector_pool.canvas import RegionMask
from detector_pool.detector import FoundBox, Observation
from detector_pool.faults import IN_A_ROW, RETRY_NS, WHOLE_AFTER, Faults
from detector_pool.picture import Hole, Picture, Shot
from detector_pool.reasons import NoScore
from detector_pool.runner import CHECKPOINT_EVERY_NS, REBUILD_NS, Made, Runner, Task
from detector_pool.soundness import MAX_BOXES, sound
from mesh.ids import FrameId

SECOND = 1_000_000_000
STEP_NS = SECOND // 10
LUMA = np.zeros((9, 16), dtype=np.uint8)
TASK = Task("yard.tiny", "yard", "tiny", 2.0, (), None)


class Sums:
    """A stateful detector with a "model" of one number; it reads states of the same schema alone."""

    def __init__(self, weight: int, schema: str = "a") -> None:
        self.weight, self.schema = weight, schema
        self.name = f"tiny@1:{weight:012x}"

    def start(self) -> tuple[int, ...]:
        return (0,)

    def inspect(self, picture: Picture, state: tuple[int, ...], regions: object) -> tuple[Observation, tuple[int, ...]]:
        state = (*state, picture.id.seq * self.weight)[-4:]
        return Observation(hash(state) % 1009 / 1009), state

    def pack(self, state: tuple[int, ...]) -> bytes:
        return f"{self.schema}:{','.join(map(str, state))}".encode()

    def unpack(self, data: bytes) -> tuple[int, ...]:
        schema, _, numbers = data.decode().partition(":")
        if schema != self.schema:
            raise ValueError("another schema")
        return tuple(int(one) for one in numbers.split(","))


def made(weight: int, schema: str = "a") -> Made:
    return Made(Sums(weight, schema), f"tiny@1:{weight:012x}", f"{weight:064x}")


def shot(seq: int) -> Shot:
    return Shot(FrameId("yard", 1, seq), (seq + 1) * STEP_NS, LUMA)


def told(blocks: list[Block]) -> list[tuple[int, str, Observation]]:
    """Frame, who spoke, what."""
    return [
        (verdict.id.seq + n, block.detector, verdict.observation)
        for block in blocks
        for verdict in block.verdicts
        for n in range(verdict.count)
    ]


def b_frames(count: int) -> list[int]:
    order = [0]
    for anchor in range(1, count - 2, 3):
        order += [anchor + 1, anchor + 2, anchor]
    return order


@pytest.mark.parametrize("order", [list(range(60)), b_frames(60)])
def test_a_swap_skips_no_frame_judges_none_twice_and_keeps_what_was_learnt(order: list[int]) -> None:
    runner, blocks = Runner(TASK, made(1)), []
    for at, seq in enumerate(order):
        if at == 20:
            runner.change(TASK, made(2))
        blocks += runner.look(shot(seq), at * STEP_NS)
    blocks += runner.finish()
    said = told(blocks)
    assert [seq for seq, _, _ in said] == sorted(order)
    first_of_second = next(seq for seq, who, _ in said if who == made(2).name)
    assert all((who == made(2).name) == (seq >= first_of_second) for seq, who, _ in said)
    # Two detectors, one after the other, by hand.
    state, expected = Sums(1).start(), {}
    for seq in order:
        detector = Sums(1) if seq < first_of_second else Sums(2)
        expected[seq], state = detector.inspect(shot(seq), state, ())
    assert {seq: observation for seq, _, observation in said} == expected
    checkpoints = [block.checkpoint for block in blocks if block.checkpoint is not None]
    assert checkpoints[0].after.seq == first_of_second - 1
    assert checkpoints[0].detector == made(2).name


def test_a_detector_that_cannot_read_the_state_is_shown_two_seconds_before_it_speaks() -> None:
    runner, blocks = Runner(TASK, made(1)), []
    for seq in range(80):
        if seq == 20:
            runner.change(TASK, made(2, "b"))
        blocks += runner.look(shot(seq), seq * STEP_NS)
    blocks += runner.finish()
    said = told(blocks)
    first = next(seq for seq, who, _ in said if who == made(2).name)
    assert first == 20 + REBUILD_NS // STEP_NS + 1
    state = Sums(2, "b").start()
    for seq in range(21, first):
        _, state = Sums(2, "b").inspect(shot(seq), state, ())
    expected, _ = Sums(2, "b").inspect(shot(first), state, ())
    assert next(observation for seq, _, observation in said if seq == first) == expected


def test_a_clock_that_is_set_back_holds_the_next_detector_up_for_two_seconds_at_most() -> None:
    runner, blocks = Runner(TASK, made(1)), []
    for seq in range(120):
        if seq == 20:
            runner.change(TASK, made(2, "b"))
        back_ns = 3600 * 1_000_000_000 if seq >= 25 else 0
        item = shot(seq)
        blocks += runner.look(replace(item, received_ns=item.received_ns - back_ns), seq * STEP_NS)
    first = next(seq for seq, who, _ in told(blocks + runner.finish()) if who == made(2).name)
    assert first == 25 + REBUILD_NS // STEP_NS + 1


def test_a_detector_that_cannot_be_made_leaves_the_one_before_and_says_why() -> None:
    runner = Runner(TASK, made(1))
    runner.report(0)
    runner.change(TASK, Made(None, "tiny@1", "f" * 64, "its graph cannot be read."))
    blocks = [block for seq in range(10) for block in runner.look(shot(seq), 0)] + runner.finish()
    assert {who for _, who, _ in told(blocks)} == {made(1).name}
    report = runner.report(1)
    assert report is not None
    assert "graph cannot be read" in report.problem
    assert made(1).name in report.problem
    runner.change(TASK, made(2))
    mended = runner.report(2)
    assert mended is not None
    assert mended.problem == ""


def test_without_a_detector_frames_are_told_as_failed_until_one_is_made() -> None:
    runner = Runner(TASK, Made(None, "tiny@1", "", "option x is unknown"))
    blocks = [block for seq in range(5) for block in runner.look(shot(seq), 0)]
    runner.change(TASK, made(1))
    blocks += [block for seq in range(5, 10) for block in runner.look(shot(seq), 0)] + runner.finish()
    reasons = [observation.reason for _, _, observation in told(blocks)]
    assert reasons == [NoScore.DETECTOR_FAILED] * 5 + [None] * 5


@given(st.integers(0, 2**31), st.booleans())
def test_whoever_is_killed_around_swaps_the_successor_says_what_it_would_have_said(seed: int, reordered: bool) -> None:
    """Swaps and deaths at random; the pool stored some of the blocks. The reference swaps at the same frames."""
    dice = random.Random(seed)
    order = b_frames(160) if reordered else list(range(160))
    kept: list[Block] = []
    weight, reached = 1, 0
    runner = Runner(TASK, made(weight))
    while True:
        dies_at = min(reached + dice.randrange(5, 60), len(order))
        life: list[Block] = []
        for place in range(dies_at):
            if place > reached and dice.random() < 0.08:
                weight += 1
                runner.change(runner.task, made(weight))
            life += runner.look(shot(order[place]), place * CHECKPOINT_EVERY_NS // 17)
        if dies_at == len(order):
            kept += life + runner.finish()
            break
        reached = dies_at
        kept += life[: dice.randrange(0, len(life) + 1)]
        spoken = told(kept)
        after = FrameId("yard", 1, spoken[-1][0]) if spoken else None
        checkpoint = next((b.checkpoint for b in reversed(kept) if b.checkpoint is not None), None)
        if after is None or checkpoint is None:
            # Nothing to go on from: it begins anew, and says so elsewhere.
            kept, runner = [], Runner(TASK, made(weight))
            continue
        earlier = int(checkpoint.detector.partition(":")[2], 16)
        task = replace(TASK, after=after, checkpoint=checkpoint)
        runner = Runner(task, made(weight), earlier=made(earlier) if earlier != weight else None)
    said = told(kept)
    assert [seq for seq, _, _ in said] == sorted(order)
    who = {seq: int(name.partition(":")[2], 16) for seq, name, _ in said}
    state, expected = Sums(1).start(), {}
    for seq in order:
        expected[seq], state = Sums(who[seq]).inspect(shot(seq), state, ())
    assert {seq: observation for seq, _, observation in said} == expected


def test_frames_are_sampled_by_slots_of_time_whoever_looks() -> None:
    task = replace(TASK, max_fps=2.5)
    one = Runner(task, made(1))
    blocks = [block for seq in range(40) for block in one.look(shot(seq), 0)] + one.finish()
    looked = [seq for seq, _, observation in told(blocks) if observation.reason is None]
    assert len(looked) == 11
    assert {o.reason for s, _, o in told(blocks) if s not in looked} == {NoScore.NOT_SAMPLED}
    other = Runner(replace(task, after=FrameId("yard", 1, 17)), made(1))
    again = [block for seq in range(18, 40) for block in other.look(shot(seq), 0)] + other.finish()
    assert [seq for seq, _, o in told(again) if o.reason is None][1:] == [seq for seq in looked if seq > 18]


# Faults


def test_five_failures_in_a_row_disable_and_twenty_good_frames_after_a_while_mend() -> None:
    faults = Faults()
    for n in range(IN_A_ROW):
        assert not faults.is_disabled(n)
        faults.failed(n, "x@1", "ValueError: \n seven")
    assert faults.is_disabled(IN_A_ROW)
    assert faults.problem == "x@1 failed on 5 frames in a row and is disabled: ValueError: seven"
    later = IN_A_ROW + RETRY_NS
    assert not faults.is_disabled(later)
    faults.failed(later, "x@1", "again")
    assert faults.is_disabled(later + 1), "on probation one failure is enough"
    last = later + RETRY_NS + 1
    for n in range(WHOLE_AFTER):
        assert faults.problem
        faults.went_well(last + n)
    assert faults.problem == ""


def test_half_of_a_minutes_frames_disable_too_and_old_ones_do_not_count() -> None:
    faults = Faults()
    for n in range(40):
        at = n * STEP_NS
        faults.failed(at, "x@1", "odd") if n % 3 == 0 else faults.went_well(at)
    assert not faults.problem
    for n in range(40, 800):
        at = n * 2 * STEP_NS
        faults.failed(at, "x@1", "odd") if n % 2 else faults.went_well(at)
    assert "50 % of a minute's frames" in faults.problem


def test_a_detector_that_says_nonsense_fails_alone_and_one_that_says_too_much_is_cut() -> None:
    class Raves(Sums):
        def inspect(self, picture: Picture, state: tuple[int, ...], regions: object):  # type: ignore[no-untyped-def]
            return Observation(float("nan")), state

    runner = Runner(TASK, Made(Raves(1), "tiny@1"))
    blocks = [block for seq in range(8) for block in runner.look(shot(seq), 0)] + runner.finish()
    assert {observation.reason for _, _, observation in told(blocks)} == {NoScore.DETECTOR_FAILED}
    boxes = tuple(FoundBox(0.9, -0.1, 0.3, 0.3, "x", n / 100) for n in range(100))
    cut = sound(Observation(1.0000001, boxes, series=(("a", 1.0), ("b", float("inf")))))
    assert (cut.score, len(cut.boxes), cut.series) == (1.0, MAX_BOXES, (("a", 1.0),))
    assert min(box.score for box in cut.boxes) == 0.36
    assert all(box.x + box.width <= 1 and box.y >= 0 for box in cut.boxes)
    whole = FoundBox(0.1, 0.2, 0.3, 0.4, "x", 0.5)
    assert sound(Observation(0.5, (whole,))).boxes == (whole,)
    with pytest.raises(ValueError, match="no place"):
        sound(Observation(0.5, (replace(whole, x=float("nan")),)))


def test_a_report_is_due_at_the_beginning_at_news_and_each_ten_seconds() -> None:
    runner = Runner(TASK, made(1))
    first = runner.report(0)
    assert first is not None
    assert (first.running, first.model, first.problem) == (made(1).name, made(1).model, "")
    for seq in range(100):
        runner.look(shot(seq), seq * STEP_NS)
        assert runner.report(seq * STEP_NS) is None
    ten = runner.report(10 * SECOND)
    assert ten is not None
    assert (round(ten.came_fps), round(ten.looked_fps)) == (10, 10)
    assert ten.cost_us > 0
    runner.look(Hole(FrameId("yard", 1, 100), 3, NoScore.OVERRUN), 10 * SECOND)
    assert runner.report(11 * SECOND) is None


class Follower:
    """Regions go a hundredth of the picture to the right with each frame."""

    def start(self) -> int:
        return 0

    def step(self, picture: Picture, state: int) -> tuple[int, int]:
        return state, state + 1

    def moved(self, regions, alignment):  # type: ignore[no-untyped-def]
        return regions

    def numbers(self, alignment: int) -> tuple[float, ...]:
        return (1.0, 0.0, alignment / 100, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0) if alignment else ()

    def lost(self, alignment: int) -> str:
        return "too dark" if alignment > 50 else ""

    def bumped(self, alignment: int) -> str:
        return "bumped" if 10 < alignment <= 20 else ""

    def pack(self, state: int) -> bytes:
        return str(state).encode()

    def unpack(self, data: bytes) -> int:
        return int(data)


REGIONS = (RegionMask(False, ((0, 0), (1, 0), (1, 1))),)


def test_a_bump_and_a_lost_scene_are_reported_at_once_and_when_they_are_over() -> None:
    runner, told = Runner(replace(TASK, regions=REGIONS), made(1), follower=Follower()), []
    for seq in range(60):
        runner.look(shot(seq), 0)
        # Nothing but news is reported within ten seconds.
        if (found := runner.report(1)) is not None:
            told.append((seq, found.bumped, found.lost))
    assert told == [(0, "", ""), (11, "bumped", ""), (21, "", ""), (51, "", "too dark")]


def test_regions_that_are_drawn_anew_stand_where_they_were_drawn_and_are_followed_from_there() -> None:
    runner = Runner(replace(TASK, regions=REGIONS), made(1), follower=Follower())
    blocks = [block for seq in range(30) for block in runner.look(shot(seq), 0)]
    same = made(1)
    runner.change(replace(TASK, regions=REGIONS, threshold=0.5), same, Follower())
    blocks += [block for seq in range(30, 40) for block in runner.look(shot(seq), 0)]
    assert runner.report(0).alignment[2] == 0.39  # type: ignore[union-attr]
    anew = (RegionMask(False, ((0, 0), (0.5, 0), (1, 1))),)
    runner.change(replace(TASK, regions=anew), same, Follower())
    blocks += [block for seq in range(40, 43) for block in runner.look(shot(seq), 0)] + runner.finish()
    moved = [verdict.alignment for block in blocks for verdict in block.verdicts]
    # The first word is that they are back.
    assert [one[2] for one in moved[-3:]] == [0.0, 0.01, 0.02]
    runner.change(replace(TASK, regions=()), same, None)
    runner.look(shot(43), 0)
    assert runner.report(11 * SECOND).alignment == ()  # type: ignore[union-attr]


def test_a_checkpoint_brings_how_the_regions_followed() -> None:
    task = replace(TASK, regions=REGIONS)
    runner = Runner(task, made(1), follower=Follower())
    blocks = [block for seq in range(30) for block in runner.look(shot(seq), 0)] + runner.finish()
    checkpoint = blocks[-1].checkpoint
    assert checkpoint is not None
    assert checkpoint.following == b"30"
    moved = [verdict.alignment for block in blocks for verdict in block.verdicts]
    assert moved[0] == ()
    assert [one[2] for one in moved[1:]] == [n / 100 for n in range(1, 30)]
    task = replace(task, after=FrameId("yard", 1, 29), checkpoint=Checkpoint(**{
        name: getattr(checkpoint, name) for name in ("after", "detector", "state", "received_ns", "following")
    }))  # fmt: skip
    second = Runner(task, made(1), follower=Follower())
    second.look(shot(30), 0)
    assert second.finish()[-1].verdicts[0].alignment[2] == 0.3


def test_a_rate_that_is_lowered_again_and_given_back_is_kept_to_at_once() -> None:
    runner, same = Runner(replace(TASK, max_fps=5.0), made(1)), made(1)
    looked = []
    for at, fps in enumerate((5.0, 2.0, 1.0, 5.0, 0.0)):
        runner.change(replace(TASK, max_fps=fps), same)
        blocks = [block for seq in range(100 * at, 100 * at + 100) for block in runner.look(shot(seq), at)]
        blocks += runner.due(SECOND * 100 * (at + 1))
        looked.append(sum(reason is None for reason in (one.reason for _, _, one in told(blocks))))
    # Of ten seconds each, at ten frames a second; on the edge of a slot one more.
    assert all(abs(found - wanted) <= 1 for found, wanted in zip(looked, (50, 20, 10, 50, 100), strict=True)), looked
