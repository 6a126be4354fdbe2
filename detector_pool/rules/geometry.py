"""Points, zones and lines in the picture. All lengths are in picture heights, so that a metre looks alike both ways.

Pure. Corners are fractions of the picture's width and height, as regions have them; `aspect` is its width over its
height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]


def scaled(corners: Sequence[Point], aspect: float) -> list[Point]:
    """Fractions as picture heights."""
    return [(x * aspect, y) for x, y in corners]


def depth_in(point: Point, corners: Sequence[Point]) -> float:
    """How far inside a polygon a point lies: the distance to its outline, negative outside."""
    x, y = point
    is_inside = False
    nearest = math.inf
    ax, ay = corners[-1]
    for bx, by in corners:
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            is_inside = not is_inside
        nearest = min(nearest, _away(point, (ax, ay), (bx, by)))
        ax, ay = bx, by
    return nearest if is_inside else -nearest


@lru_cache(maxsize=256)
def points_in(corners: tuple[Point, ...], across: int = 32) -> NDArray[np.float64]:
    """(n, 2): points spread evenly over a polygon, so many across the longer side of the box around it."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    step = max(max(xs) - min(xs), max(ys) - min(ys), 1e-6) / across
    columns = np.arange(min(xs) + step / 2, max(xs), step)
    rows = np.arange(min(ys) + step / 2, max(ys), step)
    inside = [(x, y) for y in rows.tolist() for x in columns.tolist() if depth_in((x, y), corners) > 0]
    points = np.array(inside, np.float64).reshape(-1, 2)
    points.flags.writeable = False
    return points


def size_of(corners: Sequence[Point]) -> float:
    """The shorter side of the box around a polygon."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(max(xs) - min(xs), max(ys) - min(ys))


def beside(point: Point, corners: Sequence[Point]) -> float:
    """How far a point is from an open line, and on which side: positive on the right of who goes along it."""
    nearest, side = math.inf, 0.0
    for a, b in pairwise(corners):
        away = _away(point, a, b)
        if away < nearest:
            nearest, side = away, _turn(a, b, point)
    return math.copysign(nearest, side)


def crosses(begin: Point, end: Point, corners: Sequence[Point]) -> bool:
    """Whether the way from one point to the other crosses an open line, and does not come back over it."""
    times = 0
    for a, b in pairwise(corners):
        one, other = _turn(a, b, begin), _turn(a, b, end)
        # A way through a corner touches two pieces of the line and crosses once: of each, the first point counts.
        first, second = _turn(begin, end, a), _turn(begin, end, b)
        times += (one > 0) != (other > 0) and (first > 0) != (second > 0)
    return times % 2 == 1


def _turn(a: Point, b: Point, point: Point) -> float:
    """Positive where the point lies on the right of who goes from a to b, in a picture whose y goes down."""
    return (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])


def _away(point: Point, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length2 = dx * dx + dy * dy
    along = ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length2 if length2 else 0.0
    along = min(max(along, 0.0), 1.0)
    return math.hypot(point[0] - a[0] - along * dx, point[1] - a[1] - along * dy)
