"""Whether something in a picture lies where an inspection looks. Pure geometry of boxes and regions."""

from __future__ import annotations

from collections.abc import Sequence

from detector_pool.canvas import RegionMask

_STEPS = (0.1, 0.3, 0.5, 0.7, 0.9)
_SHARE = 0.4


def counts(x: float, y: float, width: float, height: float, regions: Sequence[RegionMask]) -> bool:
    """Whether a box counts: it stands in an inspected region, or lies in one for a good part; and in no ignored one.

    What stands is told by the middle of its lower edge. Without inspected regions the whole picture is inspected.
    """
    areas = [region for region in regions if not region.is_line]
    if not areas:
        return True
    foot = (x + width / 2, y + height * 0.97)
    points = [(x + width * across, y + height * down) for down in _STEPS for across in _STEPS]
    inspected = [region.corners for region in areas if not region.is_ignored]
    ignored = [region.corners for region in areas if region.is_ignored]
    seen = [point for point in points if not any(inside(corners, *point) for corners in ignored)]
    if any(inside(corners, *foot) for corners in ignored) and len(seen) < (1 - _SHARE) * len(points):
        return False
    if not seen:
        return False
    if not inspected or any(inside(corners, *foot) for corners in inspected):
        return True
    return sum(any(inside(corners, *point) for corners in inspected) for point in seen) >= _SHARE * len(points)


def inside(corners: Sequence[tuple[float, float]], x: float, y: float) -> bool:
    """Whether a point lies in a polygon."""
    is_inside = False
    ax, ay = corners[-1]
    for bx, by in corners:
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            is_inside = not is_inside
        ax, ay = bx, by
    return is_inside
