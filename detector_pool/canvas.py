"""The small grey picture that analysis works on, and region masks on it.

Deterministic integer averaging; nothing here remembers a previous picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detector_pool.picture import Luma

CANVAS_WIDTH = 320

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RegionMask:
    """A polygon in fractions of the picture: inspect inside it, or ignore what is inside; or a line for rules."""

    is_ignored: bool
    corners: tuple[tuple[float, float], ...]
    name: str = ""
    is_line: bool = False
    """An open line that bounds nothing. What crosses it from its left to its right crosses forwards."""


def reduction(width: int, height: int) -> int:
    """How many pixels of the picture make one of the canvas along each side."""
    return max(1, round(max(width, height) / CANVAS_WIDTH))


def to_canvas(luma: Luma) -> Grey:
    """The picture averaged down to about 320 pixels along its longer side; rests at the right and bottom are cut."""
    return averaged(luma, reduction(luma.shape[1], luma.shape[0]))


def averaged(luma: Luma, factor: int) -> Grey:
    """Means of factor x factor pixels; rests at the right and bottom are cut."""
    height, width = luma.shape
    if factor == 1:
        return luma.astype(np.float32)
    rows, columns = height // factor, width // factor
    cut = luma[: rows * factor, : columns * factor]
    # Rows first, while memory is contiguous; 16 bits hold the sum of up to 257 rows.
    down = cut[0::factor].astype(np.uint16)
    for offset in range(1, factor):
        down += cut[offset::factor]
    across = down[:, 0::factor].astype(np.float32)
    for offset in range(1, factor):
        across += down[:, offset::factor]
    across *= 1.0 / (factor * factor)
    return across


def cell_means(grey: Grey, size: int) -> Grey:
    """Means of size x size cells; rests at the right and bottom are cut."""
    rows, columns = grey.shape[0] // size, grey.shape[1] // size
    cut = grey[: rows * size, : columns * size]
    sums = cut.reshape(rows * size, columns, size).sum(axis=2)
    means: Grey = sums.reshape(rows, size, columns).sum(axis=1)
    means *= np.float32(1.0 / (size * size))
    return means


@dataclass(frozen=True, slots=True, eq=False)
class RegionGrid:
    """Regions on a grid of cells. Both masks are read-only."""

    seen: Mask
    """Cells that are in no ignored region."""
    inspected: Mask
    """Cells in any inspected region; all of them, if there is none."""

    @property
    def is_whole(self) -> bool:
        """Whether the whole picture is inspected."""
        return bool(self.inspected.all())


@lru_cache(maxsize=1024)
def region_grid(regions: tuple[RegionMask, ...], rows: int, columns: int) -> RegionGrid:
    """Which cells lie in which regions, by their centres."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    x, y = (x + 0.5) / columns, (y + 0.5) / rows
    seen: Mask = np.ones((rows, columns), dtype=bool)
    inspected: Mask = np.zeros((rows, columns), dtype=bool)
    areas = [region for region in regions if not region.is_line]
    for region in areas:
        if region.is_ignored:
            seen &= ~_inside(region.corners, x, y)
        else:
            inspected |= _inside(region.corners, x, y)
    if all(region.is_ignored for region in areas):
        inspected[:] = True
    seen.flags.writeable = inspected.flags.writeable = False
    return RegionGrid(seen, inspected)


def _inside(corners: Sequence[tuple[float, float]], x: NDArray[np.float64], y: NDArray[np.float64]) -> Mask:
    inside: Mask = np.zeros(x.shape, dtype=bool)
    ax, ay = corners[-1]
    for bx, by in corners:
        if ay != by:
            crosses = (ay > y) != (by > y)
            inside ^= crosses & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
        ax, ay = bx, by
    return inside
