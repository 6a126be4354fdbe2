"""A camera that shakes: pictures moved by a fraction of a pixel, at random and repeatably."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detector_pool.picture import Shot

Plane = NDArray[np.uint8]


def shaking(shots: Iterable[Shot], pixels: float, seed: int) -> Iterator[Shot]:
    """Pictures moved by normal deviates of standard deviation `pixels`, in x and y each, picture by picture."""
    random = np.random.default_rng(seed)
    for shot in shots:
        dx, dy = (pixels * random.standard_normal(2)).tolist()
        u, v = (None if plane is None else moved(plane, dx / 2, dy / 2) for plane in (shot.u, shot.v))
        yield replace(shot, y=moved(shot.y, dx, dy), u=u, v=v, derived={})


def moved(plane: Plane, dx: float, dy: float) -> Plane:
    """The plane moved right by dx and down by dy pixels, (h, w); its edge is repeated.

    Cubic convolution (Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29, 1981).
    """
    result = _along_rows(_along_rows(plane.astype(np.float32), dx).T, dy).T
    rounded: Plane = np.clip(np.rint(result), 0, 255).astype(np.uint8)
    return rounded


def _along_rows(rows: NDArray[np.float32], shift: float) -> NDArray[np.float32]:
    whole = int(np.floor(-shift))
    part = -shift - whole
    width = rows.shape[1]
    columns = np.arange(width)
    result = np.zeros_like(rows)
    for tap in (-1, 0, 1, 2):
        weight = _keys(abs(tap - part))
        if weight:
            result += np.float32(weight) * rows[:, np.clip(columns + whole + tap, 0, width - 1)]
    return result


def _keys(distance: float) -> float:
    a = -0.5
    if distance < 1:
        return (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    if distance < 2:
        return a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return 0.0
