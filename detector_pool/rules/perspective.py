"""How high a body is at each place of the picture, learned from those who walk there; and speed over the ground.

On flat ground the height at which a body is seen grows in proportion to how far its foot is below the horizon (Hoiem et
al., "Putting Objects in Perspective", CVPR 2006). So a line through the heights of upright things that move, by where
their feet are, tells how high a body is anywhere; and with it, and an ordinary lens, what a way in the picture is on
the ground, across it and along the line of sight. Until enough was seen a camera hung at three body heights is assumed.
What does not belong here: who is followed, and what rules make of a speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BANDS = 24
"""Places are told apart by how low the foot is: bands of the picture's height."""
_USUAL_SLOPE = 0.33
"""One over the camera's height in body heights: a third, as long as nothing else is known."""
_SLOPES = (0.08, 1.0)
_PRIOR = 2e-4
"""How much is held of the usual slope: as much as two well-known bands say that lie 0.02 apart."""
_KNOWN = 30.0
"""A band is well known after so many sightings, and half known after half of them."""
_FOCAL = 1.25
"""Focal length in picture heights: a field of 70 degrees."""
_LEAST = 0.02
"""Bodies that are seen smaller are too far away to tell their speed."""


@dataclass(slots=True)
class Bodies:
    """What was learned: the median height of upright walkers by band, in picture heights, and how often it was seen."""

    heights: list[float]
    sightings: list[int]

    @classmethod
    def unknown(cls) -> Bodies:
        """Nothing seen yet."""
        return cls([0.0] * BANDS, [0] * BANDS)

    def learn(self, foot: float, height: float) -> None:
        """Somebody upright walks here. A running median: a step up or down, smaller the more was seen."""
        band = min(max(int(foot * BANDS), 0), BANDS - 1)
        seen = self.sightings[band]
        if seen == 0:
            self.heights[band] = height
        else:
            step = max(1.0 / (seen + 1), 0.01) * self.heights[band]
            self.heights[band] += min(max(height - self.heights[band], -step), step)
        self.sightings[band] = min(seen + 1, 10_000)

    def perspective(self, foot: float, height: float) -> Perspective:
        """The line through what was learned; through somebody seen there of that height, if that is nothing."""
        known = [index for index, seen in enumerate(self.sightings) if seen >= 5]
        if not known:
            return Perspective(foot, height, _USUAL_SLOPE, is_known=False)
        y = (np.array(known) + 0.5) / BANDS
        h = np.array([self.heights[index] for index in known])
        weight = np.minimum(np.array([self.sightings[index] for index in known]) / _KNOWN, 1.0)
        line = _line(y, h, weight)
        # Who walks behind a fence is seen too low, two who walk as one too high: once more with less of them.
        off = np.abs(h / np.maximum([line.height(one) for one in y.tolist()], 1e-3) - 1.0)
        return _line(y, h, weight / (1.0 + (off / 0.15) ** 2))


@dataclass(frozen=True, slots=True)
class Perspective:
    """A line: the height of a body by the place of its foot."""

    at: float
    there: float
    slope: float
    is_known: bool = True

    def height(self, foot: float) -> float:
        """Of a body whose foot is there, in picture heights; 0 or less above the horizon."""
        return self.there + self.slope * (foot - self.at)

    def on_ground(self, x: float, foot: float, middle: float) -> tuple[float, float, float] | None:
        """Where a foot is: to the right and away from the camera, in body heights; and how far one picture height
        of mistake in the foot would take it. None: too far away to tell."""
        height = self.height(foot)
        if height < _LEAST:
            return None
        return (x - middle) / height, _FOCAL / height, _FOCAL * self.slope / height**2


def _line(y: NDArray[np.float64], h: NDArray[np.float64], weight: NDArray[np.float64]) -> Perspective:
    total = float(weight.sum())
    at, there = float((weight * y).sum()) / total, float((weight * h).sum()) / total
    spread = float((weight * (y - at) ** 2).sum())
    slope = (float((weight * (y - at) * (h - there)).sum()) + _PRIOR * _USUAL_SLOPE) / (spread + _PRIOR)
    return Perspective(at, there, min(max(slope, _SLOPES[0]), _SLOPES[1]))


def slope_of(times_s: Sequence[float], values: Sequence[float], noise: float) -> tuple[float, float]:
    """Least squares: the change a second, and its standard error if single values are off by at least `noise`."""
    count = len(values)
    middle, mean = sum(times_s) / count, sum(values) / count
    spread = sum((time - middle) ** 2 for time in times_s)
    slope = sum((time - middle) * (value - mean) for time, value in zip(times_s, values, strict=True)) / spread
    off = sum((value - mean - slope * (time - middle)) ** 2 for time, value in zip(times_s, values, strict=True))
    deviation = max((off / max(count - 2, 1)) ** 0.5, noise)
    return slope, deviation / spread**0.5
