"""Who is in the scene when: ordinary traffic and the people of incidents.

What belongs here: seeded choice of who sets out when and what they look like. Traffic is periodic in the loop, so the
loop has no seam: whoever is under way at its end goes on at its beginning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulator.scene.layouts import Layout, Traffic
from simulator.scene.paths import Moment, Path
from simulator.scene.people import Look
from simulator.scene.textures import Colour
from simulator.scene.vehicles import Make
from simulator.scene.view import View
from simulator.spec import IncidentSpec

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

    def moments(self, time_s: float, loop_s: float) -> Iterator[Moment]:
        """Where this actor is seen at a time of the loop; several times when the way takes longer than the loop."""
        since = time_s - self.starts_s
        first = 0 if self.incident is not None else math.ceil((-since) / loop_s)
        last = 0 if self.incident is not None else math.floor((self.path.duration_s - since) / loop_s)
        for turn in range(first, last + 1):
            if moment := self.path.at(since + turn * loop_s):
                dx, dy = -math.sin(moment.heading) * self.aside_m, math.cos(moment.heading) * self.aside_m
                yield Moment(moment.x + dx, moment.y + dy, moment.heading, moment.speed, moment.travelled_m)


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
            yield Actor(path, starts, aside, look=_look(rng))


def _look(rng: np.random.Generator) -> Look:
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


def of_incident(layout: Layout, view: View, incident: IncidentSpec, number: int, seed: int) -> Actor | None:
    """The person of an incident, timed so that they come into the picture as it starts; None if it has nobody."""
    rng = np.random.default_rng([seed, 2, number])
    look = Look(jacket=_JACKETS[2], trousers=_TROUSERS[1], height_m=float(rng.uniform(1.7, 1.85)))
    if incident.kind == "running":
        run = Path(layout.run, 4.2)
        return Actor(run, incident.start_s - _seen(run, view)[0], look=_look(rng), incident=number)
    if incident.kind != "intrusion":
        return None
    # The way in and out is walked; what is left of the time is spent standing at the places inside.
    speed = 1.5
    comes, goes = _seen(Path(layout.intrusion, speed), view)
    inside = layout.intrusion[1:-1]
    pause = max(0.0, incident.length_s - (goes - comes)) / len(inside)
    points = (layout.intrusion[0], *((x, y, pause) for x, y in inside), layout.intrusion[-1])
    return Actor(Path(points, speed), incident.start_s - comes, look=look, incident=number)


def _seen(path: Path, view: View) -> tuple[float, float]:
    """When somebody on this way comes into the picture and when they leave it, in seconds from setting out."""
    times = [step / 20 for step in range(int(path.duration_s * 20) + 1)]
    inside = []
    for time_s in times:
        moment = path.at(time_s)
        middle = view.project((moment.x, moment.y, 1.2)) if moment else None
        if middle and 0 <= middle[0] <= view.width and 0 <= middle[1] <= view.height:
            inside.append(time_s)
    return (inside[0], inside[-1]) if inside else (0.0, path.duration_s)
