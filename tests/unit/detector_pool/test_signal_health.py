"""Signal: pictures that show nothing or stand still."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from detector_pool.detector import Observation
from detector_pool.signal_health import SignalHealth
from tests.films import Shot, film, walker


def watched(shots: Iterable[Shot]) -> list[Observation]:
    signal = SignalHealth()
    state = signal.start()
    said = []
    for shot in shots:
        observation, state = signal.inspect(shot, state, ())
        said.append(observation)
    return said


def frozen_from(start: int, pictures: int, *, clock_runs: bool = False) -> list[Shot]:
    shots = list(film(pictures, size=(320, 176)))
    for index in range(start, pictures):
        y = shots[start].y.copy()
        if clock_runs:
            y[4:12, 8:40] = index * 37 % 256
        shots[index] = replace(shots[index], y=y)
    return shots


def test_a_living_picture_scores_nothing() -> None:
    assert max(o.score for o in watched(film(80, draw=walker(20, 60), size=(320, 176))) if not o.reason) < 0.1


def test_a_picture_that_stands_still_while_frames_go_on_is_frozen_after_three_seconds() -> None:
    said = watched(frozen_from(120, 170))
    assert max(o.score for o in said[10:120]) < 0.1
    assert said[145].score < 0.7
    assert said[155].score >= 0.7
    assert said[155].boxes[0].label == "frozen"


def test_a_clock_that_runs_on_in_a_frozen_picture_does_not_hide_it() -> None:
    assert watched(frozen_from(120, 170, clock_runs=True))[-1].score >= 0.7


def test_a_camera_that_often_rests_must_rest_longer() -> None:
    shots = list(film(600, size=(320, 176)))
    for begin in range(150, 600, 60):
        for index in range(begin, min(begin + 25, 600)):
            shots[index] = replace(shots[index], y=shots[begin].y)
    assert max(o.score for o in watched(shots) if not o.reason) < 0.7


def test_a_key_frame_that_refreshes_a_frozen_picture_does_not_hide_it() -> None:
    shots = frozen_from(120, 200)
    rng = np.random.default_rng(5)
    for begin in range(120, 200, 20):
        y = np.clip(shots[120].y.astype(np.int16) + rng.integers(-2, 3, shots[120].y.shape), 0, 255).astype(np.uint8)
        for index in range(begin, begin + 20):
            shots[index] = replace(shots[index], y=y)
    assert max(o.score for o in watched(shots)[120:]) >= 0.7


def filled(level: int, noise: float = 0.0) -> list[Shot]:
    rng = np.random.default_rng(1)
    shots = []
    for shot in film(20, size=(320, 176)):
        y = np.clip(level + rng.standard_normal(shot.y.shape) * noise, 0, 255).astype(np.uint8)
        shots.append(replace(shot, y=y))
    return shots


def test_black_blown_out_and_single_coloured_pictures_are_told_by_name() -> None:
    for level, name in ((16, "black"), (240, "overexposed"), (90, "no picture")):
        last = watched(filled(level))[-1]
        assert last.score >= 0.9
        assert last.boxes[0].label == name


def test_a_dark_noisy_night_is_not_black() -> None:
    assert watched(filled(35, noise=6))[-1].score < 0.5
