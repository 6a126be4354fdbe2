"""Drawing: what is inside is painted, what is outside is not, and nothing is ever written out of bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.scene.raster import Canvas

H, W = 36, 64
GREY = (200.0, 100.0, 150.0)
ANYWHERE = st.one_of(st.floats(-1e4, 1e4), st.floats(-100, 200))


def empty(depth: float = 100.0) -> tuple[Canvas, np.ndarray]:
    picture = np.full((H * 3 // 2, W), 16, np.uint8)
    return Canvas(picture, np.full((H, W), depth, np.float32)), picture


def test_a_capsule_covers_its_inside_and_nothing_else() -> None:
    canvas, picture = empty()
    canvas.capsule(20, 18, 4, 40, 18, 4, GREY, 10, 0.0)
    assert (picture[15:21, 20:40] == 200).all()
    assert (picture[:H][:, :14] == 16).all()
    assert (picture[:12] == 16).all()
    chroma = picture[H:].reshape(2, H // 2, W // 2)
    assert chroma[0, 9, 15] == 100
    assert chroma[1, 9, 15] == 150


def test_a_polygon_covers_its_inside_in_either_sense() -> None:
    for corners in ([(10, 5), (50, 5), (50, 30), (10, 30)], [(10, 30), (50, 30), (50, 5), (10, 5)]):
        canvas, picture = empty()
        canvas.polygon([(float(x), float(y)) for x, y in corners], GREY, 10)
        assert (picture[6:29, 11:49] == 200).all()
        assert (picture[:H] == 200).sum() == 40 * 25


def test_what_is_behind_the_background_is_hidden() -> None:
    canvas, picture = empty(depth=5.0)
    canvas.capsule(20, 18, 4, 40, 18, 4, GREY, 10)
    canvas.polygon([(10, 5), (50, 5), (50, 30), (10, 30)], GREY, 10)
    assert (picture == 16).all()


def test_shadows_do_not_add_up_and_stay_out_of_the_shade() -> None:
    canvas, picture = empty()
    picture[:H] = 100
    sunlit = np.ones((H, W), np.float32)
    sunlit[:, 32:] = 0
    canvas.begin_shadow(np.zeros((H, W), np.float32))
    for _ in range(3):
        canvas.shadow_capsule(10, 18, 5, 54, 18, 5)
        canvas.shadow_polygon([(8.0, 14.0), (56.0, 14.0), (56.0, 22.0), (8.0, 22.0)])
    canvas.end_shadow(sunlit, 0.5)
    assert (picture[16:20, 12:30] == 50).all()
    assert (picture[16:20, 34:50] == 100).all()
    canvas.end_shadow(sunlit, 0.5)
    assert (picture[16:20, 12:30] == 50).all()


def test_exposure_and_noise_stay_within_a_byte() -> None:
    canvas, picture = empty()
    picture[:H] = np.linspace(0, 255, W).astype(np.uint8)
    canvas.finish(np.full(H * W, -30, np.int8), 256)
    assert picture[0, 0] == 0
    assert picture[0, -1] == 225
    canvas.finish(np.full(H * W, 100, np.int8), 512)
    assert picture[0, -1] == 255
    with pytest.raises(ValueError, match="too little noise"):
        canvas.finish(np.zeros(10, np.int8), 256)


@given(values=st.lists(ANYWHERE, min_size=6, max_size=6), radius=st.floats(0, 500), corners=st.integers(3, 8))
@settings(max_examples=150, deadline=None)
def test_anything_may_lie_outside(values: list[float], radius: float, corners: int) -> None:
    guarded = np.full((H * 3 // 2 + 8, W), 77, np.uint8)
    picture = guarded[4:-4]
    canvas = Canvas(picture, np.full((H, W), 9.0, np.float32))
    ax, ay, bx, by, cx, cy = values
    canvas.capsule(ax, ay, radius, bx, by, radius / 2, GREY, 1)
    canvas.polygon([(ax + i * cx, ay + (i % 3) * cy) for i in range(corners)], GREY, 1)
    canvas.begin_shadow(np.zeros((H, W), np.float32))
    canvas.shadow_capsule(ax, ay, radius, bx, by, radius)
    canvas.glow(cx, cy, radius, radius, 50)
    canvas.end_shadow(np.ones((H, W), np.float32), 0.4)
    assert (guarded[:4] == 77).all()
    assert (guarded[-4:] == 77).all()


@pytest.mark.parametrize("shape", [(10, 10), (36, 64)])
def test_planes_that_do_not_fit_together_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="depth has its luma"):
        Canvas(np.zeros((54, 64), np.uint8), np.zeros((shape[0] + 2, shape[1]), np.float32))
    canvas, _ = empty()
    with pytest.raises(ValueError, match="3 to 8"):
        canvas.polygon([(0.0, 0.0), (1.0, 1.0)], GREY, 1)
