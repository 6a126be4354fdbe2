"""Pictures that are looked at in place: one that is overwritten meanwhile has no score, and nothing is learnt of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from detector_pool.detector import Observation
from detector_pool.motion import Motion
from detector_pool.picture import Picture, Shot
from detector_pool.reasons import NoScore
from detector_pool.runner import Made, Runner, Task
from detector_pool.signal_health import SignalHealth
from mesh.errors import DataLoss
from mesh.ids import FrameId

TASK = Task("one", "yard", "count", 0.5, (), None)
LUMA = np.zeros((90, 160), np.uint8)


class Count:
    """Its state is how many pictures it has seen; its score says how many came before."""

    name = "count@1"

    def __init__(self, *, confirms: bool) -> None:
        self._confirms = confirms

    def start(self) -> int:
        return 0

    def inspect(self, picture: Picture, state: int, regions: object) -> tuple[Observation, int]:
        if self._confirms:
            picture.confirm()
        return Observation(score=state / 100), state + 1

    def pack(self, state: int) -> bytes:
        return bytes([state])

    def unpack(self, data: bytes) -> int:
        return data[0]


def shot(seq: int, *answers: bool) -> Shot:
    """A picture that is still valid as often as there are answers, each time it is asked; always, if there are none."""
    if not answers:
        return Shot(FrameId("yard", 1, seq), seq, LUMA)
    told: Iterator[bool] = iter(answers)
    return Shot(FrameId("yard", 1, seq), seq, LUMA, lambda: next(told))


def verdicts(runner: Runner, *shots: Shot) -> list[tuple[int, NoScore | None]]:
    """Pictures seen before, and the reason for no score."""
    found = []
    for one in shots:
        observation = runner._inspect(one)
        found.append((round(observation.score * 100), observation.reason))
    return found


def test_a_picture_overwritten_while_it_is_looked_at_has_no_score_and_teaches_nothing() -> None:
    runner = Runner(TASK, Made(Count(confirms=True), "motion@1"))
    assert verdicts(runner, shot(0), shot(1, False), shot(2)) == [(0, None), (0, NoScore.OVERRUN), (1, None)]


def test_what_happens_to_a_picture_after_it_was_confirmed_does_not_matter() -> None:
    runner = Runner(TASK, Made(Count(confirms=True), "motion@1"))
    assert verdicts(runner, shot(0), shot(1, True, False), shot(2)) == [(0, None), (1, None), (2, None)]


def test_a_detector_that_does_not_ask_begins_anew_after_an_overwritten_picture() -> None:
    runner = Runner(TASK, Made(Count(confirms=False), "motion@1"))
    assert verdicts(runner, shot(0), shot(1, True), shot(2, False), shot(3)) == [
        (0, None),
        (1, None),
        (0, NoScore.OVERRUN),
        (0, None),
    ]


@pytest.mark.parametrize("detector", [Motion(), SignalHealth()])
def test_our_detectors_ask_before_they_learn(detector: Motion | SignalHealth) -> None:
    def look(shot: Shot, state: object) -> object:
        return detector.inspect(shot, state, ())[1]  # type: ignore[arg-type]

    state = look(shot(0), detector.start())
    before = repr(state)
    with pytest.raises(DataLoss):
        look(shot(1, False), state)
    assert repr(state) == before
