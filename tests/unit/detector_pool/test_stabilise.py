from __future__ import annotations

import numpy as np
import pytest

from detector_pool.stabilise import moved, shift_between
from tests.shaken import seen, world


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (0.5, -0.25), (-3.3, 2.8), (14.6, -15.2), (-0.1, 0.4)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel_in_noise(dx: float, dy: float) -> None:
    shift = shift_between(seen(world(), 0, 0, seed=1), seen(world(), dx, dy, seed=2))
    assert abs(shift.dx - dx) < 0.1
    assert abs(shift.dy - dy) < 0.1
    assert shift.peak > 0.1


def test_things_that_move_do_not_carry_the_shift_along() -> None:
    before, after = seen(world(), 0, 0, seed=1), seen(world(), 1.5, -0.7, seed=2)
    rng = np.random.default_rng(3)
    # A quarter of the picture: high-contrast things, half of them moving left and half right.
    for number in range(6):
        thing = rng.uniform(0, 255, (36, 32)).astype(np.float32)
        top, left = 4 + 46 * (number // 2), 20 + 90 * (number % 2)
        before[top : top + 36, left : left + 32] = thing
        to = left + (7 if number % 2 else -6)
        after[top : top + 36, to : to + 32] = thing
    shift = shift_between(before, after)
    assert abs(shift.dx - 1.5) < 0.2
    assert abs(shift.dy + 0.7) < 0.2


def test_light_does_not_matter() -> None:
    shift = shift_between(seen(world(), 0, 0), 40 + 0.5 * seen(world(), 2.25, 1.0, seed=5))
    assert abs(shift.dx - 2.25) < 0.1
    assert abs(shift.dy - 1.0) < 0.1


def test_another_scene_has_no_peak() -> None:
    assert shift_between(seen(world(1), 0, 0), seen(world(2), 0, 0)).peak < 0.08


def test_pictures_of_different_shapes_or_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        shift_between(np.zeros((40, 40), np.float32), np.zeros((40, 42), np.float32))
    with pytest.raises(ValueError, match="too small"):
        shift_between(np.zeros((20, 40), np.float32), np.zeros((20, 40), np.float32))


def test_a_picture_moved_back_is_the_picture_but_for_its_edge() -> None:
    still, away = seen(world(), 0, 0, noise=0), seen(world(), 2.3, -1.6, noise=0)
    back = moved(away, 2.3, -1.6)
    assert np.abs(back - still)[4:-4, 4:-4].max() < 2.5
    assert np.abs(away - still)[4:-4, 4:-4].max() > 20


def test_faint_ground_is_found_in_noise_behind_people_who_walk() -> None:
    rng = np.random.default_rng(5)
    ground = 100 + 0.2 * (world(8) - 110)
    before, after = seen(ground, 0, 0, noise=1.0, seed=1), seen(ground, -2.6, 1.2, noise=1.0, seed=2)
    for number in range(7):
        person = rng.uniform(20, 200, (22, 8)).astype(np.float32)
        top, left = 12 + 16 * number, 16 + 22 * number
        before[top : top + 22, left : left + 8] = person
        after[top : top + 22, left + 4 : left + 12] = person
    shift = shift_between(before, after)
    assert abs(shift.dx + 2.6) < 0.3
    assert abs(shift.dy - 1.2) < 0.3
