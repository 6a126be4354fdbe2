"""Regions taken along by a matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector_pool.canvas import RegionMask, region_grid
from detector_pool.following.geometry import (
    CORNERS,
    carried,
    from_corners,
    in_fractions,
    in_pixels,
    is_sane,
    moved,
    shifted,
    turn_deg,
)

SQUARE = RegionMask(False, ((0.2, 0.2), (0.4, 0.2), (0.4, 0.4), (0.2, 0.4)), "yard")


def _turned(degrees: float, dx: float = 0.0, dy: float = 0.0, width: int = 640, height: int = 360) -> np.ndarray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle = np.array(((1, 0, width / 2), (0, 1, height / 2), (0, 0, 1)))
    pixels = middle @ np.array(((cos, -sin, dx), (sin, cos, dy), (0, 0, 1))) @ np.linalg.inv(middle)
    return in_fractions(pixels, width, height)


def test_regions_go_along_with_the_camera() -> None:
    (seen,) = moved([SQUARE], shifted(0.1, -0.05))
    assert seen.corners == ((0.3, 0.15), (0.5, 0.15), (0.5, 0.35), (0.3, 0.35))
    assert seen.name == "yard"


def test_a_camera_that_rests_changes_nothing() -> None:
    assert moved([SQUARE], np.eye(3)) == (SQUARE,)


def test_what_leaves_the_picture_is_cut_off() -> None:
    (seen,) = moved([SQUARE], shifted(-0.3, 0.0))
    assert sorted(seen.corners) == [(0.0, 0.2), (0.0, 0.4), (0.1, 0.2), (0.1, 0.4)]


def test_a_region_that_left_the_picture_does_not_make_everything_inspected() -> None:
    seen = moved([SQUARE], shifted(0.9, 0.0))
    assert len(seen) == 1
    assert not region_grid(seen, 20, 20).inspected.any()


def test_lines_keep_their_direction_and_are_cut_off() -> None:
    line = RegionMask(False, ((0.1, 0.5), (0.9, 0.5)), "gate", is_line=True)
    (seen,) = moved([line], shifted(0.3, 0.1))
    assert seen.corners == ((0.4, 0.6), (1.0, 0.6))
    (gone,) = moved([line], shifted(0.0, 0.7))
    assert gone.is_line
    assert len(set(gone.corners)) == 1


def test_an_angled_line_keeps_its_bends() -> None:
    line = RegionMask(False, ((0.1, 0.1), (0.5, 0.5), (0.9, 0.1)), is_line=True)
    (seen,) = moved([line], shifted(0.05, 0.0))
    assert seen.corners == ((0.15, 0.1), (0.55, 0.5), (0.95, 0.1))


def test_pixels_and_fractions_are_two_ways_to_say_the_same() -> None:
    matrix = _turned(3.0, 40, 10)
    assert np.allclose(in_fractions(in_pixels(matrix, 320, 180), 320, 180), matrix)
    assert turn_deg(matrix, 640 / 360) == pytest.approx(3.0, abs=1e-6)


def test_four_corners_make_the_matrix_that_takes_them_there() -> None:
    matrix = _turned(2.0, 30, -12)
    matrix[2, 0] = 0.02
    assert np.allclose(from_corners(carried(CORNERS, matrix)), matrix / matrix[2, 2])
    with pytest.raises(ValueError, match="line"):
        from_corners(np.array(((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (1.5, 0.0))))


@pytest.mark.parametrize(
    ("matrix", "sane"),
    [
        (_turned(3.0, 40, 10), True),
        (np.eye(3), True),
        (_turned(40.0), False),
        (_turned(0.0, 400, 0), False),
        (np.diag((-1.0, 1.0, 1.0)), False),
        (np.diag((2.0, 2.0, 1.0)), False),
        (np.full((3, 3), np.nan), False),
        (np.array(((1.0, 0, 0), (0, 1, 0), (-3.0, 0, 1))), False),
    ],
)
def test_only_what_a_push_can_do_is_believed(matrix: np.ndarray, sane: bool) -> None:
    assert is_sane(matrix) is sane


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8),
    st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(-30, 30), st.booleans(),
)  # fmt: skip
def test_moved_regions_lie_in_the_picture(
    corners: list[tuple[float, float]], dx: float, dy: float, degrees: float, is_line: bool
) -> None:
    (seen,) = moved([RegionMask(False, tuple(corners), is_line=is_line)], shifted(dx, dy) @ _turned(degrees))
    assert len(seen.corners) >= (2 if is_line else 3)
    assert all(0.0 <= x <= 1.0 and 0.0 <= y <= 1.0 for x, y in seen.corners)
