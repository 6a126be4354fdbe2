"""Who is in the scene when: actors on their ways, and ordinary traffic.

What belongs here: seeded choice of who sets out when and what they look like. Traffic is periodic in the loop, so the
loop has no seam: whoever is under way at its end goes on at its beginning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulator.scene.layouts import Layout, Traffic
from simulator.scene.paths import Moment, Path
from simulator.scene.people import Look
from simulator.scene.textures import Colour
from simulator.scene.vehicles import Make

_JACKETS: tuple[Colour, ...] = (
    (0.16, 0.20, 0.34), (0.42, 0.12, 0.12), (0.14, 0.14, 0.15), (0.55, 0.54, 0.50), (0.18, 0.32, 0.24),
    (0.48, 0.38, 0.22), (0.62, 0.62, 0.64), (0.30, 0.20, 0.34),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((0.13, 0.15, 0.22), (0.12, 0.12, 0.12), (0.36, 0.33, 0.27), (0.22, 0.25, 0.33))
_SKINS: tuple[Colour, ...] = ((0.78, 0.60, 0.50), (0.62, 0.45, 0.34), (0.42, 0.29, 0.21))
_HAIR: tuple[Colour, ...] = ((0.10, 0.08, 0.06), (0.30, 0.20, 0.12), (0.50, 0.48, 0.45))
_HI_VIS: Colour = (0.80, 0.70, 0.10)


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something on a way."""

    path: Path
    starts_s: float
    aside_m: float = 0.0
    look: Look | None = None
    make: Make | None = None
    incident: int | None = None
    """Which of the scene's incidents this is part of."""
    bag: Colour | None = None
    """It is a bag that stands on the ground."""
    changes: tuple[tuple[float, Look], ...] = ()
    """What they look like from so many seconds on after setting out: with a bag, or without."""
    down: tuple[float, float, float, float] | None = None
    """Seconds after setting out at which they begin to fall, lie, begin to get up, and stand again."""
    is_told: bool = True
    """Whether the truth tells where they are."""

    def moments(self, time_s: float, loop_s: float) -> Iterator[Moment]:
        """Where this actor is seen at a time of the loop; several times when the way takes longer than the loop."""
        since = time_s - self.starts_s
        first = 0 if self.incident is not None else math.ceil((-since) / loop_s)
        last = 0 if self.incident is not None else math.floor((self.path.duration_s - since) / loop_s)
        for turn in range(first, last + 1):
            passed_s = since + turn * loop_s
            if moment := self.path.at(passed_s):
                dx, dy = -math.sin(moment.heading) * self.aside_m, math.cos(moment.heading) * self.aside_m
                yield replace(moment, x=moment.x + dx, y=moment.y + dy, down=self._down(passed_s), passed_s=passed_s)

    def look_at(self, passed_s: float) -> Look | None:
        """What they look like so long after setting out."""
        return next((one for from_s, one in reversed(self.changes) if passed_s >= from_s), self.look)

    def _down(self, passed_s: float) -> float:
        if self.down is None:
            return 0.0
        falls, lies, rises, stands = self.down
        falling = min(max((passed_s - falls) / (lies - falls), 0.0), 1.0)
        rising = min(max((passed_s - rises) / (stands - rises), 0.0), 1.0)
        # A body gathers speed as it falls, and gets up evenly.
        return falling * falling - rising if passed_s < stands else 0.0


def traffic(layout: Layout, seed: int, loop_s: float) -> list[Actor]:
    """Ordinary traffic for one loop."""
    rng = np.random.default_rng([seed, 1])
    return [actor for way in layout.traffic for actor in _on(way, rng, loop_s)]


def _on(way: Traffic, rng: np.random.Generator, loop_s: float) -> Iterator[Actor]:
    count = max(1, round(loop_s / way.every_s))
    offset = rng.random()
    for number in range(count):
        starts = (number + offset + rng.uniform(-0.25, 0.25)) * loop_s / count
        points = way.points
        if way.both_ways and rng.random() < 0.5:
            points = points[::-1]
        path = Path(points, float(rng.uniform(*way.speed)))
        aside = float(rng.uniform(-way.spread_m, way.spread_m))
        if way.makes:
            yield Actor(path, starts, aside, make=way.makes[int(rng.integers(len(way.makes)))])
        else:
            yield Actor(path, starts, aside, look=look(rng))


def look(rng: np.random.Generator) -> Look:
    """Somebody, dressed by chance."""

    def one_of(colours: tuple[Colour, ...]) -> Colour:
        return colours[int(rng.integers(len(colours)))]

    return Look(
        height_m=float(rng.uniform(1.58, 1.9)),
        skin=one_of(_SKINS),
        hair=one_of(_HAIR),
        jacket=_HI_VIS if rng.random() < 0.1 else one_of(_JACKETS),
        trousers=one_of(_TROUSERS),
        bag=one_of(_JACKETS) if rng.random() < 0.3 else None,
    )


def dark_look(height_m: float) -> Look:
    """Dressed so as not to be noticed."""
    return Look(jacket=_JACKETS[2], trousers=_TROUSERS[1], height_m=height_m)
