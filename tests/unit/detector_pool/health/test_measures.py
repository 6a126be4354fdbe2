"""Measures of one picture, and the past that they are held against."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.health import _blurred
from detector_pool.canvas import to_canvas
from detector_pool.health.history import BIN_NS, EVERY, HOUR_NS, KEPT, History
from detector_pool.health.measures import Measures, measure
from simulator.scene import Scene
from simulator.spec import SceneSpec

_SCENE = Scene(SceneSpec("street", 2, 640, 360, incidents=()))
_PICTURE = _SCENE.picture(10)[:360]


def _of(picture: np.ndarray, full_range: bool = False) -> Measures:
    return measure(picture, to_canvas(picture), full_range)


def _noisy(picture: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal(picture.shape) * deviation
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("deviation", [4.0, 8.0, 16.0])
def test_noise_is_measured_in_grey_levels(deviation: float) -> None:
    assert _of(_noisy(_PICTURE, deviation)).noise == pytest.approx(deviation, rel=0.12)


def test_night_noise_does_not_hide_blur() -> None:
    sharp, soft = _of(_noisy(_PICTURE, 15.0)), _of(_noisy(_blurred(2.0)(_PICTURE), 15.0))
    assert soft.sharpness < 0.4 * sharp.sharpness
    assert soft.noise == pytest.approx(sharp.noise, rel=0.1)


def test_a_clock_that_the_camera_burns_in_does_not_hide_blur() -> None:
    signs = np.random.default_rng(4).integers(0, 2, (7, 95)).repeat(2, 0).repeat(2, 1)

    def clocked(picture: np.ndarray) -> np.ndarray:
        picture = picture.copy()
        picture[8:22, 8:198] = 16 + 219 * signs
        return picture

    sharp, soft = _of(clocked(_PICTURE)), _of(clocked(_blurred(2.0)(_PICTURE)))
    assert soft.sharpness < 0.6 * sharp.sharpness


def test_sharpness_does_not_mind_brightness() -> None:
    dim = (16 + (_PICTURE.astype(np.float32) - 16) * 0.4).round().astype(np.uint8)
    assert _of(dim).sharpness == pytest.approx(_of(_PICTURE).sharpness, rel=0.1)
    assert _of(dim).brightness == pytest.approx(0.4 * _of(_PICTURE).brightness, rel=0.02)


def test_black_and_white_are_clipped_and_full_range_is_brought_to_limited() -> None:
    picture = np.full((180, 320), 120, np.uint8)
    picture[:90, :160], picture[90:, 160:] = 16, 235
    assert _of(picture).clipped == pytest.approx(0.5, abs=0.01)
    assert _of(picture, full_range=True).clipped == 0.0
    assert _of(np.full((180, 320), 255, np.uint8), full_range=True).brightness == pytest.approx(219)


@pytest.mark.parametrize("shape", [(24, 24), (48, 64), (1080, 1920), (361, 641)])
def test_pictures_of_any_size_are_measured(shape: tuple[int, int]) -> None:
    assert _of(np.random.default_rng(1).integers(16, 235, shape).astype(np.uint8)).noise > 10


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="16x20"):
        _of(np.zeros((20, 16), np.uint8))


def _history(hour: int, values: list[float]) -> History:
    history = History(1)
    for number, value in enumerate(values):
        history.add(np.array([value], np.float32), hour * HOUR_NS + number * BIN_NS)
    history.add(np.array([0.0], np.float32), hour * HOUR_NS + len(values) * BIN_NS)
    return history


def test_an_hour_is_known_from_a_minute_on_and_its_neighbours_count() -> None:
    assert _history(5, [1.0] * 5).usual(5 * HOUR_NS) == []
    history = _history(5, [1.0, 2.0, 3.0, 4.0, 5.0, 60.0])
    for hour, known in ((5, 1), (4, 1), (6, 1), (7, 0), (5 + 24, 1)):
        found = history.usual(hour * HOUR_NS)
        assert len(found) == known
        if found:
            assert found[0].median.tolist() == [3.5]
            assert found[0].spread.tolist() == [1.5]


def test_an_hour_remembers_the_newest_values_thinned_out() -> None:
    history = History(1)
    for day in range(20):
        for number in range(360):
            history.add(np.array([day], np.float32), (24 * day + 3) * HOUR_NS + number * BIN_NS)
    kept = set(history.kept[3, :, 0].tolist())
    assert min(kept) >= 13.0
    assert max(kept) == 19.0
    assert KEPT * EVERY > 4 * 360


def test_a_history_comes_back_exactly() -> None:
    history = _history(5, [1.0, 2.5, 3.0])
    numbers, arrays = history.parts()
    back = History.from_parts(1, numbers, {name: array for name, array in arrays.items() if array is not None})
    for one in (history, back):
        one.add(np.array([9.0], np.float32), 6 * HOUR_NS)
    assert np.array_equal(history.kept, back.kept)
    assert history.counts.tolist() == back.counts.tolist()
