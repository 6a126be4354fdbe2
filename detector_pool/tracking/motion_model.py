"""How a box moves: centre and size, each with a steady speed and white acceleration (Kalman 1960).

The four coordinates do not influence each other, so each has a filter of its own: value, speed, and their three
covariances, as arrays over all tracks. Times are seconds, coordinates fractions of the picture; noise is measured in
sizes of the box, so that near and far things are treated alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHAPE = 4
"""Centre x, centre y, width, height."""
_MEASURED = 0.05
"""Deviation of a detector's box, in sizes."""
_ACCELERATION = np.array([0.4, 0.4, 0.1, 0.1])
"""Of centre and size, in sizes per second to the power of 1.5."""
_FIRST_SPEED = np.array([1.5, 1.5, 0.5, 0.5])
"""Deviation of an unknown speed, in sizes per second."""
_ASPECT = 9 / 16
"""A picture's usual shape: what is as wide as high in it is this wide in fractions."""


def shapes(boxes: Floats) -> Floats:
    """(n, 4) boxes as left, top, width, height to centre x, centre y, width, height."""
    moved = boxes.copy()
    moved[:, :2] += boxes[:, 2:] / 2
    return moved


def corners(values: Floats) -> Floats:
    """(n, 4) shapes as left, top, right, bottom. Sizes are never negative."""
    half = np.maximum(values[:, 2:], 1e-6) / 2
    return np.concatenate([values[:, :2] - half, values[:, :2] + half], axis=1)


def scale(values: Floats) -> Floats:
    """(n, 4): what a size means for each coordinate, at least that of a speck."""
    width, height = np.maximum(values[:, 2], 2e-3), np.maximum(values[:, 3], 2e-3)
    across, down = np.maximum(width, height * _ASPECT), np.maximum(height, width / _ASPECT)
    return np.stack([across, down, across, down], axis=1)


def first(measured: Floats) -> tuple[Floats, Floats]:
    """Means (n, 4, 2) and covariances (n, 4, 3) of things seen once; `measured` (n, 4)."""
    size = scale(measured)
    means = np.stack([measured, np.zeros_like(measured)], axis=2)
    speed = size * _FIRST_SPEED
    covariances = np.stack([(size * _MEASURED) ** 2, np.zeros_like(size), speed**2], axis=2)
    return means, covariances


def predicted(means: Floats, covariances: Floats, elapsed_s: float) -> tuple[Floats, Floats]:
    """Where they are `elapsed_s` later."""
    t = elapsed_s
    noise = (scale(means[:, :, 0]) * _ACCELERATION) ** 2
    value, mixed, speed = covariances[:, :, 0], covariances[:, :, 1], covariances[:, :, 2]
    moved = means.copy()
    moved[:, :, 0] += means[:, :, 1] * t
    spread = np.stack(
        [
            value + 2 * t * mixed + t * t * speed + noise * (t**3 / 3),
            mixed + t * speed + noise * (t * t / 2),
            speed + noise * t,
        ],
        axis=2,
    )
    return moved, spread


def corrected(means: Floats, covariances: Floats, measured: Floats) -> tuple[Floats, Floats]:
    """After seeing them at `measured` (n, 4)."""
    noise = (scale(measured) * _MEASURED) ** 2
    value, mixed, speed = covariances[:, :, 0], covariances[:, :, 1], covariances[:, :, 2]
    gain, speed_gain = value / (value + noise), mixed / (value + noise)
    wrong = measured - means[:, :, 0]
    better = np.stack([means[:, :, 0] + gain * wrong, means[:, :, 1] + speed_gain * wrong], axis=2)
    spread = np.stack([(1 - gain) * value, (1 - gain) * mixed, speed - speed_gain * mixed], axis=2)
    return better, spread


def strangeness(means: Floats, covariances: Floats, measured: Floats) -> Floats:
    """(tracks, boxes): squared Mahalanobis distance of the centres, chi-square of two degrees."""
    noise = (scale(measured)[None, :, :2] * _MEASURED) ** 2
    apart = measured[None, :, :2] - means[:, None, :2, 0]
    squares: Floats = (apart**2 / (covariances[:, None, :2, 0] + noise)).sum(axis=2)
    return squares


def overlaps(ours: Floats, theirs: Floats) -> Floats:
    """(n, m): intersection over union of boxes given by their corners."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    inside = np.prod(np.maximum(high - low, 0.0), axis=2)
    areas = [np.prod(np.maximum(one[:, 2:] - one[:, :2], 0.0), axis=1) for one in (ours, theirs)]
    shares: Floats = inside / np.maximum(areas[0][:, None] + areas[1][None, :] - inside, 1e-12)
    return shares
