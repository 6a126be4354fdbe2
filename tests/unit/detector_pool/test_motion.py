"""Motion: quiet on noise and light, sure on a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from detector_pool.blobs import groups
from detector_pool.canvas import RegionMask, region_grid, to_canvas
from detector_pool.detector import NoScore, Observation
from detector_pool.motion import Motion, light_change
from detector_pool.picture import Shot
from tests.films import film, walker


def watched(shots: Iterable[Shot], regions: Sequence[RegionMask] = ()) -> list[Observation]:
    motion = Motion()
    state = motion.start()
    said = []
    for shot in shots:
        observation, state = motion.inspect(shot, state, regions)
        said.append(observation)
    return said


def highest(said: Iterable[Observation]) -> float:
    return max((o.score for o in said if o.reason is None), default=0.0)


def test_the_first_two_seconds_are_told_as_warming_up_and_then_every_picture_has_a_score() -> None:
    said = watched(film(40))
    assert all(o.reason is NoScore.WARMING_UP for o in said[:20])
    assert all(o.reason is None for o in said[21:])


@pytest.mark.parametrize("noise", [0.0, 6.0, 15.0])
def test_sensor_noise_is_no_motion(noise: float) -> None:
    assert highest(watched(film(120, noise=noise))) < 0.3


@pytest.mark.parametrize(
    "light",
    [
        lambda i: 1 + 0.25 * np.sin(i / 30),
        lambda i: 1.0 if i < 60 else max(0.6, 1 - (i - 60) * 0.02),
        lambda i: 1.0 if i < 60 else 1.4,
        lambda i: 1 + 0.05 * (i % 2),
    ],
    ids=["drifting", "cloud", "switched", "flickering"],
)
def test_a_change_of_light_is_no_motion(light: object) -> None:
    assert callable(light)
    assert highest(watched(film(130, light=light))) < 0.5


@pytest.mark.parametrize("contrast", [-60.0, 25.0, 60.0])
def test_a_person_who_walks_scores_high_with_a_box_around_them(contrast: float) -> None:
    said = watched(film(70, draw=walker(30, 65, contrast=contrast)))
    walking = said[33:65]
    assert min(o.score for o in walking) >= 0.7
    for index, observation in enumerate(walking, start=33):
        box = observation.boxes[0]
        x, y = (40 + (index - 30) * 6 + 6) / 640, (200 + 14) / 360
        assert box.x <= x <= box.x + box.width
        assert box.y <= y <= box.y + box.height
        assert box.width < 0.12
        assert box.height < 0.2


def test_when_the_person_has_gone_the_score_falls_at_once() -> None:
    said = watched(film(90, draw=walker(30, 60)))
    assert max(o.score for o in said[62:]) < 0.3


def test_what_stops_moving_is_no_motion_any_more() -> None:
    def parked(index: int, picture: np.ndarray) -> None:
        if index >= 30:
            x = min(40 + (index - 30) * 8, 300)
            picture[200:240, x : x + 60] += 50

    said = watched(film(130, draw=parked))
    assert min(o.score for o in said[33:60]) > 0.7
    assert max(o.score for o in said[75:]) < 0.3


def test_what_moves_in_an_ignored_region_or_outside_the_inspected_one_does_not_count() -> None:
    lower = ((0.0, 0.4), (1.0, 0.4), (1.0, 1.0), (0.0, 1.0))
    upper = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.4), (0.0, 0.4))
    assert highest(watched(film(60, draw=walker(30, 60)), [RegionMask(True, lower)])) < 0.3
    assert highest(watched(film(60, draw=walker(30, 60)), [RegionMask(False, upper)])) < 0.3
    assert highest(watched(film(60, draw=walker(30, 60)), [RegionMask(False, lower)])) > 0.7


def test_a_picture_that_goes_black_and_comes_back_is_no_motion() -> None:
    def dark(index: int, picture: np.ndarray) -> None:
        if 40 <= index < 70:
            picture[:] = 16

    said = watched(film(110, draw=dark))
    assert all(o.reason is None for o in said[21:])
    assert highest(said) < 0.5


def test_a_change_of_size_begins_anew() -> None:
    motion = Motion()
    state = motion.start()
    for shot in film(30):
        _, state = motion.inspect(shot, state, ())
    for shot in film(1, size=(320, 240)):
        observation, state = motion.inspect(shot, state, ())
    assert observation.reason is NoScore.WARMING_UP


def test_the_same_pictures_give_the_same_scores() -> None:
    assert watched(film(50, draw=walker(25, 50))) == watched(film(50, draw=walker(25, 50)))


def test_the_canvas_is_the_mean_of_the_pixels_it_stands_for() -> None:
    luma = np.arange(640 * 360, dtype=np.uint32).reshape(360, 640).astype(np.uint8)
    canvas = to_canvas(luma)
    assert canvas.shape == (180, 320)
    assert canvas[10, 20] == pytest.approx(luma[20:22, 40:42].mean())


def test_light_change_finds_gain_and_offset_behind_things_that_came() -> None:
    rng = np.random.default_rng(3)
    before = rng.uniform(20, 200, (45, 80)).astype(np.float32)
    now = before * np.float32(1.2) - 7
    now[:10, :10] = 250
    gain, offset = light_change(now, before)
    assert gain == pytest.approx(1.2, abs=0.02)
    assert offset == pytest.approx(-7, abs=2)


def test_cells_within_reach_are_one_group_and_others_are_not() -> None:
    mask = np.zeros((10, 12), dtype=bool)
    mask[1, 1] = mask[3, 3] = mask[9, 11] = mask[8, 0] = True
    assert [sorted(g.tolist()) for g in groups(mask)] == [[13, 39], [96], [119]]


def test_a_grid_knows_cells_inside_inspected_and_outside_ignored_polygons() -> None:
    left = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    assert region_grid((), 4, 8).is_whole
    assert region_grid((RegionMask(False, left),), 4, 8).inspected.sum() == 16
    ignored = region_grid((RegionMask(True, left),), 4, 8)
    assert ignored.seen.sum() == 16
    assert ignored.is_whole


def test_somebody_who_only_brushes_an_inspected_region_with_the_head_does_not_count() -> None:
    # The walker is 28 pixels high, from y = 200; this region ends at y = 206.
    above = RegionMask(False, ((0.0, 0.0), (1.0, 0.0), (1.0, 206 / 360), (0.0, 206 / 360)))
    below = RegionMask(False, ((0.0, 222 / 360), (1.0, 222 / 360), (1.0, 1.0), (0.0, 1.0)))
    assert highest(watched(film(60, draw=walker(30, 60)), [above])) < 0.3
    assert highest(watched(film(60, draw=walker(30, 60)), [below])) > 0.7


def test_a_large_thing_whose_edge_brushes_an_inspected_region_does_not_count() -> None:
    def car(index: int, picture: NDArray[np.float32]) -> None:
        if index >= 30:
            x = 120 + (index - 30) * 4
            picture[180:330, x : x + 260] += 60

    def inspected(right: int, bottom: int) -> RegionMask:
        return RegionMask(False, ((0.0, 0.0), (right / 640, 0.0), (right / 640, bottom / 360), (0.0, bottom / 360)))

    # 80 x 8 of its 260 x 150 pixels, and 160 x 40 of them.
    assert highest(watched(film(40, draw=car), [inspected(200, 188)])) < 0.3
    assert highest(watched(film(40, draw=car), [inspected(280, 220)])) > 0.7
