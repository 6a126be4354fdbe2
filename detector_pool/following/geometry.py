"""Where a camera shows things now: 3x3 matrices, and regions taken along by them. Pure.

A matrix takes a point of the picture that regions were drawn on to where the present picture shows it, both in
fractions of width and height: (x, y, 1) -> (u, v, w), seen at (u / w, v / w).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask

Matrix = NDArray[np.float64]
Corner = tuple[float, float]

CORNERS = np.array(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
_EVEN = 1e-9
_NEAREST = 1e-6
_DIGITS = 5


def shifted(dx: float, dy: float) -> Matrix:
    """A move to the right and down, in fractions of the picture."""
    return np.array(((1.0, 0.0, dx), (0.0, 1.0, dy), (0.0, 0.0, 1.0)))


def in_fractions(pixels: Matrix, width: float, height: float) -> Matrix:
    """The matrix that does to fractions what `pixels` does to pixels of a picture of this size; w of (0, 0) is 1."""
    scale = np.diag((width, height, 1.0))
    matrix = np.linalg.inv(scale) @ pixels @ scale
    return np.asarray(matrix / matrix[2, 2], np.float64)


def in_pixels(matrix: Matrix, width: float, height: float) -> Matrix:
    """The inverse of `in_fractions`."""
    scale = np.diag((width, height, 1.0))
    pixels = scale @ matrix @ np.linalg.inv(scale)
    return np.asarray(pixels / pixels[2, 2], np.float64)


def carried(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """Where points, (n, 2), are seen. Points at the horizon of the matrix come out far away, never infinite."""
    seen = np.column_stack((points, np.ones(len(points)))) @ matrix.T
    over = seen[:, 2:]
    over = np.where(np.abs(over) < _NEAREST, _NEAREST, over)
    return np.asarray(seen[:, :2] / over, np.float64)


def from_corners(corners: NDArray[np.float64]) -> Matrix:
    """The matrix that takes the corners of the picture, in the order of `CORNERS`, to these, (4, 2).

    Raises ValueError: three of them lie on a line.
    """
    rows = []
    for (x, y), (u, v) in zip(CORNERS, corners, strict=True):
        rows.append((x, y, 1, 0, 0, 0, -u * x, -u * y))
        rows.append((0, 0, 0, x, y, 1, -v * x, -v * y))
    try:
        solved = np.linalg.solve(np.array(rows, np.float64), corners.reshape(8))
    except np.linalg.LinAlgError:
        raise ValueError("corners lie on a line") from None
    return np.append(solved, 1.0).reshape(3, 3)


def is_sane(matrix: Matrix, *, most_shift: float = 0.5, most_turn_deg: float = 25.0, most_zoom: float = 1.5) -> bool:
    """Whether a camera that was pushed may show its scene so: not mirrored, folded, far away, turned over or zoomed."""
    if not np.isfinite(matrix).all():
        return False
    corners = carried(CORNERS, matrix)
    sides = np.roll(corners, -1, 0) - corners
    after = np.roll(sides, -1, 0)
    if (sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0] <= 0).any():
        return False
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    if lengths.min() < 1 / most_zoom or lengths.max() > most_zoom:
        return False
    (middle,) = carried(np.array(((0.5, 0.5),)), matrix)
    return bool(np.abs(middle - 0.5).max() <= most_shift and abs(turn_deg(matrix)) <= most_turn_deg)


def turn_deg(matrix: Matrix, aspect: float = 1.0) -> float:
    """By how much the middle of the picture is turned, clockwise as seen, in degrees. `aspect` is width / height."""
    left, right = carried(np.array(((0.45, 0.5), (0.55, 0.5))), matrix)
    return math.degrees(math.atan2((right[1] - left[1]) / aspect, right[0] - left[0]))


def moved(regions: Sequence[RegionMask], matrix: Matrix) -> tuple[RegionMask, ...]:
    """Regions where the camera shows them, cut off at the borders of the picture.

    One that is not in the picture at all stays, as a point on the border: what is to be inspected is never silently
    everything. Corners are rounded to a hundred-thousandth.
    """
    if np.allclose(matrix, np.eye(3), rtol=0.0, atol=_EVEN):
        return tuple(regions)
    return tuple(_moved(region, matrix) for region in regions)


def _moved(region: RegionMask, matrix: Matrix) -> RegionMask:
    seen = [(float(x), float(y)) for x, y in carried(np.array(region.corners, np.float64), matrix)]
    cut = _line_inside(seen) if region.is_line else _area_inside(seen)
    if not cut:
        x, y = (min(max(sum(values) / len(seen), 0.0), 1.0) for values in zip(*seen, strict=True))
        cut = [(x, y)] * (2 if region.is_line else 3)
    return replace(region, corners=tuple((round(x, _DIGITS), round(y, _DIGITS)) for x, y in cut))


def _area_inside(corners: list[Corner]) -> list[Corner]:
    """The part of a polygon that lies in the picture (Sutherland and Hodgman 1974)."""
    for axis, limit, keeps_below in ((0, 0.0, False), (0, 1.0, True), (1, 0.0, False), (1, 1.0, True)):
        out: list[Corner] = []
        for a, b in zip(corners, [*corners[1:], *corners[:1]], strict=True):
            is_in, comes_in = (one[axis] <= limit if keeps_below else one[axis] >= limit for one in (a, b))
            if is_in:
                out.append(a)
            if is_in != comes_in:
                share = (limit - a[axis]) / (b[axis] - a[axis])
                between = a[1 - axis] + (b[1 - axis] - a[1 - axis]) * share
                out.append((limit, between) if axis == 0 else (between, limit))
        corners = out
    return corners


def _line_inside(corners: list[Corner]) -> list[Corner]:
    """From where an open line is first in the picture to where it is last (each piece: Liang and Barsky 1984)."""
    out: list[Corner] = []
    for a, b in pairwise(corners):
        piece = _piece_inside(a, b)
        out += [point for point in piece if not out or point != out[-1]]
    return out


def _piece_inside(a: Corner, b: Corner) -> list[Corner]:
    first, last = 0.0, 1.0
    for axis in (0, 1):
        way = b[axis] - a[axis]
        if way == 0.0:
            if not 0.0 <= a[axis] <= 1.0:
                return []
            continue
        enters, leaves = sorted(((0.0 - a[axis]) / way, (1.0 - a[axis]) / way))
        first, last = max(first, enters), min(last, leaves)
    if first >= last:
        return []
    return [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for share in (first, last)]
