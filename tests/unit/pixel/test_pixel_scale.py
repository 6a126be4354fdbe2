"""Scaling and colour conversion against plain references."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.pixel.scale import area_average, fit, rgb24


def reference_average(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    """Exact rational area average, rounded half up."""

    def weights(source: int, target: int) -> list[list[Fraction]]:
        rows = []
        for i in range(target):
            begin, end = Fraction(i * source, target), Fraction((i + 1) * source, target)
            rows.append([max(Fraction(0), min(end, Fraction(k + 1)) - max(begin, Fraction(k))) for k in range(source)])
        return rows

    across, down = weights(plane.shape[1], width), weights(plane.shape[0], height)
    area = Fraction(plane.shape[1], width) * Fraction(plane.shape[0], height)
    result = np.empty((height, width), dtype=np.uint8)
    for y in range(height):
        for x in range(width):
            total = sum(
                (down[y][j] * across[x][i] * int(plane[j, i])
                 for j in range(plane.shape[0]) if down[y][j] for i in range(plane.shape[1]) if across[x][i]),
                Fraction(0),
            )  # fmt: skip
            result[y, x] = int(total / area + Fraction(1, 2))
    return result


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 13), st.integers(1, 9), st.integers(1, 13), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_average_is_the_exact_mean_of_the_covered_area(
    width: int, height: int, new_width: int, new_height: int, seed: int
) -> None:
    plane = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    np.testing.assert_array_equal(
        area_average(plane, new_width, new_height), reference_average(plane, new_width, new_height)
    )


def test_an_integer_ratio_equals_the_block_mean() -> None:
    plane = np.random.default_rng(1).integers(0, 256, (360, 640), dtype=np.uint8)
    blocks = plane.reshape(90, 4, 160, 4).astype(np.uint32).sum(axis=(1, 3))
    np.testing.assert_array_equal(area_average(plane, 160, 90), ((blocks + 8) // 16).astype(np.uint8))


def test_strided_and_read_only_planes_give_the_same_result() -> None:
    wide = np.random.default_rng(2).integers(0, 256, (31, 120), dtype=np.uint8)
    view = wide[1:30, 3:117:2]
    view.flags.writeable = False
    np.testing.assert_array_equal(area_average(view, 11, 7), area_average(np.ascontiguousarray(view), 11, 7))


def test_extreme_values_do_not_overflow_on_a_large_plane() -> None:
    plane = np.full((2161, 3841), 255, dtype=np.uint8)
    assert (area_average(plane, 640, 359) == 255).all()


def test_an_empty_or_endless_size_is_refused() -> None:
    plane = np.zeros((4, 4), dtype=np.uint8)
    for size in ((0, 4), (4, 0), (-1, 4), (4, 100_000)):
        with pytest.raises(ValueError, match="1 to 16384"):
            area_average(plane, *size)
    with pytest.raises(ValueError, match="the plane"):
        area_average(plane[:0], 2, 2)


@pytest.mark.parametrize(("bt709", "full"), [(False, False), (False, True), (True, False), (True, True)])
def test_colours_are_within_one_step_of_the_standard(bt709: bool, full: bool) -> None:
    rng = np.random.default_rng(3)
    y, u, v = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 96), (32, 48), (32, 48)))
    rgb = np.frombuffer(rgb24(y, u, v, 48, 32, bt709, full), np.uint8).reshape(32, 48, 3)
    kr, kb = (0.2126, 0.0722) if bt709 else (0.299, 0.114)
    luma = area_average(y, 48, 32).astype(float)
    luma = luma / 255 if full else (luma - 16) / 219
    cb, cr = ((c.astype(float) - 128) / (255 if full else 224) for c in (u, v))
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    expected = np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255)
    assert np.abs(rgb - expected).max() <= 1.0


def test_grey_stays_grey_and_black_is_black() -> None:
    chroma = np.full((2, 2), 128, dtype=np.uint8)
    for value, expected in ((16, 0), (235, 255), (126, 128)):
        rgb = rgb24(np.full((4, 4), value, np.uint8), chroma, chroma, 4, 4, False, False)
        assert set(rgb) == {expected}


def test_chroma_planes_of_a_wrong_size_are_refused() -> None:
    y = np.zeros((5, 5), np.uint8)
    good, bad = np.zeros((3, 3), np.uint8), np.zeros((2, 3), np.uint8)
    assert len(rgb24(y, good, good, 5, 5, False, False)) == 75
    with pytest.raises(ValueError, match="must be 3x3"):
        rgb24(y, good, bad, 5, 5, False, False)


@given(*[st.integers(1, 5000)] * 4)
def test_a_fitted_size_lies_inside_and_keeps_the_shape(
    width: int, height: int, max_width: int, max_height: int
) -> None:
    fitted_width, fitted_height = fit(width, height, max_width, max_height)
    assert 1 <= fitted_width <= min(width, max_width)
    assert 1 <= fitted_height <= min(height, max_height)
    if fitted_width > 1 and fitted_height > 1:
        assert abs(fitted_width * height - fitted_height * width) <= max(width, height)
