from __future__ import annotations

import numpy as np
import pytest

from detector_pool.canvas import Grey
from detector_pool.packing import pack, unpack
from detector_pool.stabilise import Shift, Stabiliser, moved, shift_between

HEIGHT, WIDTH = 144, 192


def world(seed: int = 1) -> Grey:
    """A large scene of soft-edged patches, of which pictures show a part."""
    rng = np.random.default_rng(seed)
    scene = np.full((HEIGHT + 80, WIDTH + 80), 110.0)
    y, x = np.mgrid[: scene.shape[0], : scene.shape[1]]
    for _ in range(140):
        cy, cx, height, width = rng.uniform((0, 0, 4, 4), (*scene.shape, 40, 40))
        inside = (np.abs(y - cy) < height / 2) & (np.abs(x - cx) < width / 2)
        scene[inside] += rng.uniform(-50, 50)
    spectrum = np.fft.rfft2(scene)
    fy, fx = np.fft.fftfreq(scene.shape[0])[:, None], np.fft.rfftfreq(scene.shape[1])[None]
    return np.fft.irfft2(spectrum * np.exp(-14 * (fx**2 + fy**2)), s=scene.shape).astype(np.float32)


def seen(scene: Grey, dx: float, dy: float, noise: float = 1.5, seed: int = 0) -> Grey:
    """The scene moved by (dx, dy), by its spectrum: exact to any fraction of a pixel."""
    fy, fx = np.fft.fftfreq(scene.shape[0])[:, None], np.fft.rfftfreq(scene.shape[1])[None]
    moved_scene = np.fft.irfft2(np.fft.rfft2(scene) * np.exp(-2j * np.pi * (fx * dx + fy * dy)), s=scene.shape)
    picture = moved_scene[40 : 40 + HEIGHT, 40 : 40 + WIDTH]
    return (picture + np.random.default_rng(seed).normal(0, noise, picture.shape)).astype(np.float32)


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


def test_a_camera_that_stands_still_gets_its_pictures_back_untouched() -> None:
    stabiliser = Stabiliser()
    state = stabiliser.start()
    for number in range(12):
        picture = seen(world(), 0, 0, seed=number)
        aligned, state = stabiliser.step(picture, state)
        assert aligned is picture
    assert state.shift.dx == state.shift.dy == 0.0


def test_a_shaking_camera_is_held_within_a_tenth_of_a_pixel() -> None:
    stabiliser, rng = Stabiliser(), np.random.default_rng(7)
    state, errors = stabiliser.start(), []
    _, state = stabiliser.step(seen(world(), 0, 0, seed=99), state)
    for number in range(30):
        dx, dy = rng.normal(0, 1.5, 2)
        _, state = stabiliser.step(seen(world(), dx, dy, seed=number), state)
        errors.append(np.hypot(state.shift.dx - dx, state.shift.dy - dy))
    assert np.quantile(errors, 0.9) < 0.15
    assert max(errors) < 0.4


def test_a_view_that_is_lost_keeps_its_shift_and_becomes_the_reference_in_the_end() -> None:
    stabiliser = Stabiliser()
    state = stabiliser.start()
    _, state = stabiliser.step(seen(world(1), 0, 0), state)
    for number in range(20):
        _, state = stabiliser.step(seen(world(1), 3, 1, seed=number), state)
    before = state.shift
    _, state = stabiliser.step(seen(world(2), 0, 0), state)
    assert (state.shift.dx, state.shift.dy) == (before.dx, before.dy)
    for number in range(60):
        _, state = stabiliser.step(seen(world(2), 0, 0, seed=number), state)
    assert (state.shift.dx, state.shift.dy) == (0.0, 0.0)
    assert state.shift.peak > 0.1


def test_a_state_that_was_stored_goes_on_to_the_bit() -> None:
    stabiliser = Stabiliser()
    state = stabiliser.start()
    for number in range(7):
        _, state = stabiliser.step(seen(world(), 0.4 * number, -0.3 * number, seed=number), state)
    numbers, arrays = unpack("t@1", pack("t@1", *stabiliser.parts(state)))
    again = stabiliser.from_parts(numbers, arrays)
    for number in range(7, 14):
        picture = seen(world(), -0.4 * number, 0.5, seed=number)
        one, state = stabiliser.step(picture, state)
        other, again = stabiliser.step(picture, again)
        assert np.array_equal(one, other)
        assert state.shift == again.shift
    assert isinstance(state.shift, Shift)
