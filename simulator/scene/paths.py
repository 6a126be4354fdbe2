"""Ways through a scene: where somebody is at a time.

What belongs here: timed polylines. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Moment:
    """Where one is at a time."""

    x: float
    y: float
    heading: float
    speed: float
    travelled_m: float
    down: float = 0.0
    """0 upright, 1 lying on the ground."""
    passed_s: float = 0.0
    """Since setting out."""


@dataclass(frozen=True, slots=True)
class Path:
    """A polyline walked at constant speed, with pauses: (x, y) or (x, y, seconds to stand there)."""

    points: tuple[tuple[float, ...], ...]
    speed: float
    _legs: tuple[tuple[float, float, float, float, float, float], ...] = field(init=False)
    """Per leg: when it begins, when one arrives, when one leaves, length so far, length, heading."""

    def __post_init__(self) -> None:
        legs = []
        time_s = travelled = 0.0
        for a, b in zip(self.points, self.points[1:], strict=False):
            length = math.hypot(b[0] - a[0], b[1] - a[1])
            arrives = time_s + length / self.speed
            leaves = arrives + (b[2] if len(b) > 2 else 0.0)
            legs.append((time_s, arrives, leaves, travelled, length, math.atan2(b[1] - a[1], b[0] - a[0])))
            time_s, travelled = leaves, travelled + length
        object.__setattr__(self, "_legs", tuple(legs))

    @property
    def duration_s(self) -> float:
        """From the first point to the last."""
        return self._legs[-1][2]

    def at(self, time_s: float) -> Moment | None:
        """Where one is `time_s` after setting out; None before and after."""
        if time_s < 0 or time_s > self.duration_s:
            return None
        for leg, (a, b) in zip(self._legs, zip(self.points, self.points[1:], strict=False), strict=False):
            begins, arrives, leaves, travelled, length, heading = leg
            if time_s > leaves:
                continue
            share = min(1.0, (time_s - begins) / (arrives - begins)) if arrives > begins else 1.0
            x, y = a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
            speed = self.speed if time_s < arrives else 0.0
            return Moment(x, y, heading, speed, travelled + length * share)
        return None
