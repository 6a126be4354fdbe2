"""No frame twice and none left out: positions, checkpoints, and the seam between the trail and the ring."""

from __future__ import annotations

import queue
import random
import threading
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector_pool.blocks import Block, Checkpoint, KeptBlocks
from detector_pool.canvas import RegionMask
from detector_pool.detector import Observation
from detector_pool.live import LiveSource
from detector_pool.picture import Hole, Picture, Shot
from detector_pool.reasons import NoScore
from detector_pool.runner import CHECKPOINT_EVERY_NS, Made, Runner, Task
from detector_pool.told import Told
from mesh.clocks import ManualClock
from mesh.errors import ResourceExhausted
from mesh.ids import FrameId
from tests.support import until

LUMA = np.zeros((9, 16), dtype=np.uint8)
SECOND = 1_000_000_000


def frame(seq: int, epoch: int = 1) -> FrameId:
    return FrameId("yard", epoch, seq)


def shot(seq: int, epoch: int = 1, received_ns: int | None = None) -> Shot:
    return Shot(frame(seq, epoch), seq if received_ns is None else received_ns, LUMA)


# Positions


@given(st.integers(-1, 20), st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=40))
def test_told_is_the_set_of_what_was_told(after: int, runs: list[tuple[int, int]]) -> None:
    told = Told(frame(after)) if after >= 0 else Told(frame(-1))
    model = set(range(after + 1))
    for first, count in runs:
        told.add(frame(first), count)
        model |= set(range(first, first + count))
        floor = next(seq for seq in range(100) if seq not in model) - 1
        assert told.position == (frame(floor) if floor >= 0 else None)
        assert told.is_even == (model == set(range(floor + 1)))
        assert all(told.has(frame(seq)) == (seq in model) for seq in range(60))


def test_a_later_epoch_begins_at_zero_and_an_earlier_one_is_over() -> None:
    told = Told()
    told.add(frame(7))
    assert told.position == frame(7)
    told.add(frame(2, epoch=5))
    assert told.position is None
    assert told.has(frame(99, epoch=1))
    told.add(frame(0, epoch=5), 2)
    assert told.position == frame(2, epoch=5)


# Checkpoints


class Adds:
    """A detector whose state is the list of all it was shown."""

    name = "motion@1"

    def start(self) -> tuple[int, ...]:
        return ()

    def inspect(
        self, picture: Picture, state: tuple[int, ...], regions: tuple[RegionMask, ...]
    ) -> tuple[Observation, tuple[int, ...]]:
        state = (*state, picture.id.seq)
        return Observation(hash(state) % 1000 / 1000), state

    def pack(self, state: tuple[int, ...]) -> bytes:
        return ",".join(map(str, state)).encode()

    def unpack(self, data: bytes) -> tuple[int, ...]:
        return tuple(int(one) for one in data.decode().split(",") if one)


ADDS = Made(Adds(), "motion@1")
TASK = Task("yard.motion", "yard", "motion", 2.0, (), None)


def b_frames(count: int) -> list[int]:
    """Ids in the order in which pictures are shown: I P b b P b b ..."""
    order = [0]
    for anchor in range(1, count - 2, 3):
        order += [anchor + 1, anchor + 2, anchor]
    return order


@given(st.integers(0, 2**31), st.booleans())
def test_a_successor_says_what_its_predecessor_would_have_said(seed: int, reordered: bool) -> None:
    dice = random.Random(seed)
    order = b_frames(100) if reordered else list(range(100))
    items: list[Shot | Hole] = [
        shot(seq) if dice.random() < 0.9 else Hole(frame(seq), 1, NoScore.OVERRUN) for seq in order
    ]
    alone = Runner(TASK, ADDS)
    said = [v for item in items for b in alone.look(item, 0) for v in b.verdicts]
    said += [v for b in alone.finish() for v in b.verdicts]

    first, now_ns = Runner(TASK, ADDS), 0
    blocks: list[Block] = []
    died_at = dice.randrange(1, len(items))
    for item in items[:died_at]:
        now_ns += CHECKPOINT_EVERY_NS // dice.choice([2, 7, 20])
        blocks += first.look(item, now_ns)
    stored = blocks[: dice.randrange(0, len(blocks) + 1)]
    verdicts = [v for b in stored for v in b.verdicts]
    checkpoints = [b.checkpoint for b in stored if b.checkpoint]
    after = replace(verdicts[-1].id, seq=verdicts[-1].next_seq - 1) if verdicts else None
    unseen = tuple((v.id, v.count) for v in verdicts if v.observation.reason is NoScore.OVERRUN)
    task = replace(TASK, after=after, checkpoint=checkpoints[-1] if checkpoints else None, unseen=unseen)
    second = Runner(task, ADDS)
    if after is not None and not checkpoints:
        return
    # It may be offered more than it needs, and, out of the archive, pictures that its predecessor had missed.
    begin = dice.randrange(0, 5)
    offered = [shot(seq) if after and frame(seq) <= after else items[at] for at, seq in enumerate(order)]
    for item in offered if second.after is None else [i for i in offered if i.id > second.after or begin]:
        verdicts += [v for b in second.look(item, 0) for v in b.verdicts]
    verdicts += [v for b in second.finish() for v in b.verdicts]
    flat = [(v.id.seq + n, v.observation) for v in verdicts for n in range(v.count)]
    assert flat == [(v.id.seq + n, v.observation) for v in said for n in range(v.count)]


def test_a_checkpoint_comes_when_all_up_to_a_frame_was_shown_and_nothing_behind_it() -> None:
    runner = Runner(TASK, ADDS)
    found: list[Checkpoint] = []
    for at, seq in enumerate(b_frames(40)):
        for block in runner.look(shot(seq), at * CHECKPOINT_EVERY_NS // 2):
            if block.checkpoint:
                found.append(block.checkpoint)
                assert block.verdicts[-1].id == block.checkpoint.after
    assert len(found) > 5
    for checkpoint in found:
        shown = sorted(int(one) for one in checkpoint.state.decode().split(","))
        assert shown == list(range(checkpoint.after.seq + 1))


def test_a_checkpoint_that_cannot_be_read_is_a_beginning_from_nothing() -> None:
    runner = Runner(replace(TASK, after=frame(4), checkpoint=Checkpoint(frame(3), "motion@1", b"x", 0)), ADDS)
    assert runner.after == frame(4)
    runner.look(shot(4), 0)
    runner.look(shot(5), 0)
    (block,) = runner.finish()
    assert [v.id.seq for v in block.verdicts] == [5]


def test_of_kept_checkpoints_only_the_newest_of_an_inspection_stays() -> None:
    kept = KeptBlocks()
    for number in range(5):
        block = Block("i", "motion@1", (), checkpoint=Checkpoint(frame(number), "motion@1", b"s", 0))
        kept.keep(block, 1)
    states = [kept.get(number) for number in range(1, 6)]
    assert [block is not None and block.checkpoint is not None for block in states] == [False] * 4 + [True]


# The seam


class World:
    """A camera that sends a frame every tenth of a second, a ring of four pictures and an archive of everything."""

    def __init__(self, *, archive_from: int = 0) -> None:
        self.clock = ManualClock(0)
        self.newest = 100
        self.is_ring_up = True
        self.has_no_memory = False
        self.session = 1
        self.lost_up_to = -1
        self.archive_from = archive_from
        self.trails = 0
        self.open_rings = 0

    def step(self) -> None:
        self.newest += 1
        self.clock.advance(0.1)

    def at_ns(self, seq: int) -> int:
        return self.clock.utc_ns() - (self.newest - seq) * SECOND // 10

    def open_ring(self, after: FrameId | None) -> FakeRing:
        self.open_rings += 1
        return FakeRing(self, after)

    def open_trail(self, after: FrameId) -> FakeTrail:
        self.trails += 1
        return FakeTrail(self, after)


class FakeRing:
    def __init__(self, world: World, after: FrameId | None) -> None:
        self._world = world
        self._next = world.newest if after is None else after.seq + 1
        self.session: int | None = None

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        world = self._world
        if world.has_no_memory:
            raise ResourceExhausted("picture memory", "is spent")
        if not world.is_ring_up or self._next > world.newest:
            return None
        self.session = world.session
        oldest = max(world.newest - 3, world.lost_up_to + 1)
        if self._next < oldest:
            lost_reason = NoScore.NO_PIXELS if self._next <= world.lost_up_to else NoScore.OVERRUN
            hole = Hole(frame(self._next), oldest - self._next, lost_reason)
            self._next = oldest
            return hole
        self._next += 1
        return shot(self._next - 1, received_ns=world.at_ns(self._next - 1))

    def close(self) -> None:
        self._world.open_rings -= 1


class FakeTrail:
    silent_ns = 0

    def __init__(self, world: World, after: FrameId) -> None:
        self._world = world
        self._next = after.seq + 1

    def read(self, timeout_s: float | None) -> Shot | Hole | None:
        world = self._world
        if self._next < world.archive_from:
            hole = Hole(frame(self._next), world.archive_from - self._next, NoScore.NO_PIXELS)
            self._next = world.archive_from
            return hole
        if self._next > world.newest:
            raise queue.Empty
        self._next += 1
        return shot(self._next - 1, received_ns=world.at_ns(self._next - 1))

    def close(self) -> None:
        self._world.trails -= 1


def run(world: World, source: LiveSource, steps: int, fast: int = 8) -> list[Shot | Hole]:
    items = []
    for number in range(steps):
        if number % fast == 0:
            world.step()
        item = source.read(0)
        if item is not None:
            items.append(item)
    return items


def every_frame_once(items: list[Shot | Hole], first: int, last: int) -> None:
    told = [item.id.seq + n for item in items for n in range(item.count if isinstance(item, Hole) else 1)]
    assert told == list(range(first, last + 1))


def make(world: World, after: FrameId | None) -> LiveSource:
    return LiveSource(after, world.open_ring, world.open_trail, threading.BoundedSemaphore(1))


def test_who_comes_late_gets_every_frame_once_and_then_the_rings() -> None:
    world = World()
    source = make(world, frame(10))
    items = run(world, source, 400)
    assert not source.is_behind
    every_frame_once(items, 11, world.newest)
    assert all(isinstance(item, Shot) for item in items)
    until(lambda: (world.trails, world.open_rings) == (0, 1), 5)
    source.close()
    assert world.open_rings == 0


def test_what_the_pixel_host_missed_while_it_was_gone_is_had_from_the_trail() -> None:
    world = World()
    source = make(world, None)
    items = run(world, source, 80)
    world.is_ring_up = False
    items += run(world, source, 80)
    world.is_ring_up, world.session, world.lost_up_to = True, 2, world.newest + 1
    world.step()
    world.step()
    items += run(world, source, 400)
    every_frame_once(items, items[0].id.seq, world.newest)
    assert all(isinstance(item, Shot) for item in items)
    assert not source.is_behind


def test_while_no_pixel_host_answers_it_stays_on_the_trail() -> None:
    world = World()
    world.is_ring_up = False
    source = make(world, frame(90))
    items = run(world, source, 300)
    assert source.is_behind
    every_frame_once(items, 91, world.newest)


def test_a_ring_that_refuses_does_not_end_the_trail() -> None:
    world = World()
    world.has_no_memory = True
    source = make(world, frame(90))
    items = run(world, source, 100)
    every_frame_once(items, 91, world.newest)
    world.has_no_memory = False
    items += run(world, source, 100)
    every_frame_once(items, 91, world.newest)
    assert not source.is_behind


def test_what_no_archive_has_is_told_as_a_hole() -> None:
    world = World(archive_from=50)
    items = run(world, make(world, frame(10)), 400)
    every_frame_once(items, 11, world.newest)
    assert [(item.id.seq, item.count) for item in items if isinstance(item, Hole)] == [(11, 39)]


def test_only_so_many_catch_up_at_once_and_the_next_follows() -> None:
    world = World()
    turns = threading.BoundedSemaphore(1)
    first, second = (LiveSource(frame(10), world.open_ring, world.open_trail, turns) for _ in range(2))
    first.read(0)
    assert second.read(0) is None
    assert world.trails == 1
    run(world, first, 400)
    until(lambda: world.trails == 0, 5)
    every_frame_once(run(world, second, 400), 11, world.newest)
