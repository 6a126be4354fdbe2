"""One inspection at work, and one camera's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from detector_pool.blocks import Block, frames
from detector_pool.detector import Observation
from detector_pool.picture import Hole, Picture, Shot
from detector_pool.reasons import NoScore
from detector_pool.runner import Made, Runner, Task
from detector_pool.watch import CameraWatch, Prepared
from mesh.clocks import SystemClock
from mesh.errors import NotFound
from mesh.ids import FrameId
from tests.support import until

LUMA = np.zeros((9, 16), dtype=np.uint8)
TASK = Task("yard.motion", "yard", "motion", 0.6, (), None)


class Counts:
    """A detector that counts, and fails on every seventh picture."""

    name = "motion@1"

    def start(self) -> int:
        return 0

    def inspect(self, picture: Picture, state: int, regions: object) -> tuple[Observation, int]:
        if picture.id.seq % 7 == 6:
            raise ValueError("seven")
        return Observation(min(state / 100, 1.0)), state + 1

    def pack(self, state: int) -> bytes:
        return str(state).encode()

    def unpack(self, data: bytes) -> int:
        return int(data)


MADE = Made(Counts(), "motion@1")


def shot(seq: int, epoch: int = 1) -> Shot:
    return Shot(FrameId("yard", epoch, seq), seq, LUMA)


def test_a_detector_that_fails_costs_one_frame_its_score_and_forgets_what_it_had_learnt() -> None:
    runner = Runner(TASK, MADE)
    for seq in range(10):
        runner.look(shot(seq), 0)
    (block,) = runner.finish()
    assert [v.observation.reason for v in block.verdicts].count(NoScore.DETECTOR_FAILED) == 1
    assert [round(v.observation.score * 100) for v in block.verdicts if not v.observation.reason] == [
        0, 1, 2, 3, 4, 5, 0, 1, 2,
    ]  # fmt: skip


def test_a_runner_knows_behind_which_frame_it_goes_on() -> None:
    runner = Runner(replace(TASK, after=FrameId("yard", 1, 4)), MADE)
    assert runner.after == FrameId("yard", 1, 4)
    runner.look(Hole(FrameId("yard", 1, 5), 3, NoScore.OVERRUN), 0)
    assert runner.after == FrameId("yard", 1, 7)


class Shelf:
    """A source of what is put on it."""

    is_behind = False

    def __init__(self, items: list[Shot | Hole | Exception]) -> None:
        self.items = items
        self.is_closed = threading.Event()

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        if not self.items:
            self.is_closed.wait(min(timeout_s or 0.01, 0.01))
            return None
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.is_closed.set()


def watching(
    sources: list[Shelf], told: list[Block], asked: list[FrameId | None]
) -> tuple[CameraWatch, Callable[[str], int]]:
    def open_source(camera: str, after: FrameId | None) -> Shelf:
        asked.append(after)
        return sources.pop(0)

    watch = CameraWatch("yard", open_source, told.append, SystemClock())
    return watch, lambda inspection: sum(frames(b.verdicts) for b in list(told) if b.inspection == inspection)


def test_a_picture_is_read_once_for_all_inspections_of_its_camera() -> None:
    told: list[Block] = []
    shelf = Shelf([])
    watch, count = watching([shelf], told, asked := [])
    watch.carry_out(Prepared(TASK, MADE))
    watch.carry_out(Prepared(replace(TASK, inspection="yard.signal", detector="signal"), MADE))
    until(lambda: asked, 5)
    shelf.items += [shot(seq) for seq in range(6)]
    until(lambda: count("yard.motion") == count("yard.signal") == 6, 5)
    watch.close()
    assert watch.join(5)
    assert shelf.is_closed.is_set()


def test_a_source_that_fails_is_opened_again_behind_the_last_frame() -> None:
    told: list[Block] = []
    first = Shelf([shot(0), shot(1), NotFound("camera yard", "is not there")])
    watch, count = watching([first, Shelf([shot(2), shot(3)])], told, asked := [])
    watch.carry_out(Prepared(TASK, MADE))
    until(lambda: count("yard.motion") == 4, 10)
    assert asked == [None, FrameId("yard", 1, 1)]
    watch.close()
    assert watch.join(5)


def test_when_the_last_inspection_is_put_down_the_source_is_let_go() -> None:
    told: list[Block] = []
    shelf = Shelf([shot(0)])
    watch, count = watching([shelf], told, [])
    watch.carry_out(Prepared(TASK, MADE))
    until(lambda: count("yard.motion") == 1, 5)
    watch.put_down("yard.motion")
    until(shelf.is_closed.is_set, 5)
    watch.close()
    assert watch.join(5)
