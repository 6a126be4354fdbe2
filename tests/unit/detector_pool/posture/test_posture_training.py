"""Training of posture as far as it needs no torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detector_pool.detector import Setup
from detector_pool.models import ModelFiles
from detector_pool.picture import Shot
from detector_pool.posture.detector import Posture, pose_detector
from detector_pool.posture.pace import Pace
from detector_pool.posture.people import FEWEST_STEPS, PeopleState, step
from detector_pool.training.posture import learnt, train_posture
from detector_pool.training.posture_windows import Collecting, Windows
from mesh.errors import FailedPrecondition, InvalidArgument
from tests.bodies import LEVEL, WHITE, by_chance, lit, posture_model, swinging_pose, walks


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return swinging_pose(tmp_path_factory.mktemp("pose"))


def collected(pose: ModelFiles, shots: Iterator[Shot]) -> Windows:
    detector = pose_detector(pose)
    state, pace, people, collecting = detector.start(), Pace(), PeopleState(), Collecting()
    for one in shots:
        if steps := pace.due(one.received_ns):
            seen, state = detector.inspect(one, state, ())
            collecting.add(step(seen.boxes, steps, 1.0, people), one.received_ns)
    return collecting.windows()


def coming_and_going(away: int, fps: float) -> list[Shot]:
    """Somebody who is hidden for so many steps, twice."""
    levels = [50, 80, 110] * 8 + [WHITE] * away + [50, 70] * 8 + [WHITE] * away + [110, 70] * 8
    return [lit(index, level, fps) for index, level in enumerate(levels)]


@pytest.mark.parametrize(("away", "fps"), [(0, 10.0), (5, 10.0), (15, 10.0), (16, 10.0), (8, 6.0), (30, 25.0)])
def test_windows_that_are_learnt_from_are_those_that_the_detector_has(
    pose: ModelFiles, tmp_path: Path, away: int, fps: float
) -> None:
    detector = Posture(Setup("gate", {}, posture_model(tmp_path, by_chance(1), pose, LEVEL)))
    shots = coming_and_going(away, fps) if away else list(walks(130))
    windows, state, at = collected(pose, iter(shots)), detector.start(), 0
    for one in shots:
        said, state = detector.inspect(one, state, ())
        if dict(said.series).get("judged"):
            places, seen = windows.batch(np.array([at]))
            assert windows.times_ns[at] == one.received_ns
            assert (state.window[:, 0] == places[:, 0]).all()
            assert (state.window_seen[:, 0] == seen[:, 0]).all()
            at += 1
    assert at == len(windows) > 1
    assert away or at == 127 - FEWEST_STEPS


def test_without_torch_the_extra_is_named_before_any_work(pose: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)

    def never() -> Iterator[Shot]:
        raise AssertionError("pictures were asked for")
        yield

    with pytest.raises(FailedPrecondition, match=r"pip install 'trueframe\[train\]'"):
        train_posture(never(), camera="gate", pose=pose)


def test_too_few_people_are_told_with_what_would_do(pose: ModelFiles) -> None:
    with pytest.raises(InvalidArgument, match=r"followed for 9 s altogether; it needs 30"):
        learnt(collected(pose, walks(100)), camera="gate", pose=pose)
