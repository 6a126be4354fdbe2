from __future__ import annotations

import numpy as np

from detector_pool.packing import pack, unpack
from detector_pool.steady import Steady
from tests.shaken import seen, world


def test_a_camera_that_stands_still_gets_its_pictures_back_untouched() -> None:
    steady = Steady()
    state = steady.start()
    for number in range(12):
        picture = seen(world(), 0, 0, seed=number)
        aligned, state = steady.step(picture, state)
        assert aligned is picture
    assert state.shift.dx == state.shift.dy == 0.0


def test_a_shaking_camera_is_held_within_a_tenth_of_a_pixel() -> None:
    steady, rng = Steady(), np.random.default_rng(7)
    state, errors = steady.start(), []
    _, state = steady.step(seen(world(), 0, 0, seed=99), state)
    for number in range(30):
        dx, dy = rng.normal(0, 1.5, 2)
        _, state = steady.step(seen(world(), dx, dy, seed=number), state)
        errors.append(np.hypot(state.shift.dx - dx, state.shift.dy - dy))
    assert np.quantile(errors, 0.9) < 0.15
    # Until it has shaken for a moment it is taken to stand still.
    assert max(errors[2:]) < 0.3


def test_a_view_that_is_lost_keeps_its_shift_and_becomes_the_reference_in_the_end() -> None:
    steady = Steady()
    state = steady.start()
    _, state = steady.step(seen(world(1), 0, 0), state)
    for number in range(20):
        _, state = steady.step(seen(world(1), 3, 1, seed=number), state)
    before = state.shift
    _, state = steady.step(seen(world(2), 0, 0), state)
    assert abs(state.shift.dx - before.dx) < 1
    assert abs(state.shift.dy - before.dy) < 1
    assert state.lost == 1
    for number in range(60):
        _, state = steady.step(seen(world(2), 0, 0, seed=number), state)
    assert (state.shift.dx, state.shift.dy) == (0.0, 0.0)


def test_a_state_that_was_stored_goes_on_to_the_bit() -> None:
    steady = Steady()
    state = steady.start()
    for number in range(7):
        _, state = steady.step(seen(world(), 0.4 * number, -0.3 * number, seed=number), state)
    numbers, arrays = unpack("t@1", pack("t@1", *steady.parts(state)))
    again = steady.from_parts(numbers, arrays)
    for number in range(7, 14):
        picture = seen(world(), -0.4 * number, 0.5, seed=number)
        one, state = steady.step(picture, state)
        other, again = steady.step(picture, again)
        assert np.array_equal(one, other)
        assert state.shift == again.shift


def test_people_who_walk_past_a_faint_ground_do_not_carry_a_still_camera_along() -> None:
    steady, rng = Steady(), np.random.default_rng(5)
    state = steady.start()
    ground = 100 + 0.1 * (world(8) - 110)
    people = [rng.uniform(20, 200, (22, 8)).astype(np.float32) for _ in range(7)]
    for frame in range(30):
        picture = seen(ground, 0, 0, noise=1.5, seed=frame)
        for number, person in enumerate(people):
            top, left = 4 + 16 * number, 6 + 8 * number + 3 * frame
            picture[top : top + 22, left : left + 8] = person
        aligned, state = steady.step(picture, state)
        assert aligned is picture
