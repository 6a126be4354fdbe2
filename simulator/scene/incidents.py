"""Who acts in an incident: people, what they carry, and when each of them is where.

What belongs here: the scripts of incidents, seeded. What does not: ordinary traffic (`actors`), how a body or a bag is
drawn (`people`), what of it is told as the truth (`scene`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulator.scene import actors
from simulator.scene.actors import Actor
from simulator.scene.layouts import Corner, Layout
from simulator.scene.paths import Path
from simulator.scene.people import Look
from simulator.scene.stages import STAGES
from simulator.scene.textures import Colour
from simulator.scene.view import View
from simulator.spec import IncidentSpec

CROWD = 10
"""People of a crowd."""
CROWD_LEAST = 6
"""It is told as one while so many of them are in the square."""
_BAGS: tuple[Colour, ...] = ((0.12, 0.12, 0.13), (0.45, 0.12, 0.10), (0.16, 0.20, 0.42), (0.40, 0.30, 0.16))
_PUTS_DOWN_S = 1.6
_GOES_DOWN_S = 0.7
_GETS_UP_S = 2.0


def of_incident(layout: Layout, view: View, incident: IncidentSpec, number: int, seed: int) -> list[Actor]:
    """The people of an incident, timed so that they come into the picture as it starts; none if it has nobody."""
    rng = np.random.default_rng([seed, 2, number])
    script = {
        "running": _running, "intrusion": _intrusion, "left-object": _left_object, "crowd": _crowd, "fall": _fall,
        "wrong-way": _wrong_way, "loitering": _loitering,
    }.get(incident.kind)  # fmt: skip
    return [replace(actor, incident=number) for actor in script(layout, view, incident, rng)] if script else []


def _running(layout: Layout, view: View, incident: IncidentSpec, rng: np.random.Generator) -> Iterator[Actor]:
    _dark_look(rng)
    run = Path(layout.run, 4.2)
    yield Actor(run, incident.start_s - seen(run, view)[0], look=actors.look(rng))


def _intrusion(layout: Layout, view: View, incident: IncidentSpec, rng: np.random.Generator) -> Iterator[Actor]:
    look = _dark_look(rng)
    # The way in and out is walked; what is left of the time is spent standing at the places inside.
    speed = 1.5
    comes, goes = seen(Path(layout.intrusion, speed), view)
    inside = layout.intrusion[1:-1]
    pause = max(0.0, incident.length_s - (goes - comes)) / len(inside)
    points = (layout.intrusion[0], *((x, y, pause) for x, y in inside), layout.intrusion[-1])
    yield Actor(Path(points, speed), incident.start_s - comes, look=look)


def _wrong_way(layout: Layout, view: View, incident: IncidentSpec, rng: np.random.Generator) -> Iterator[Actor]:
    stage = STAGES[layout.name]
    way = Path(stage.wrong_way, stage.wrong_speed * float(rng.uniform(0.9, 1.1)))
    starts = incident.start_s - seen(way, view)[0]
    yield Actor(way, starts, look=None if stage.make else actors.look(rng), make=stage.make)


def _left_object(layout: Layout, view: View, incident: IncidentSpec, rng: np.random.Generator) -> Iterator[Actor]:
    """Somebody comes with a bag, puts it down, goes, and comes back for it as the incident ends."""
    stage, speed = STAGES[layout.name], 1.35
    look, spot = actors.look(rng), _near(stage.spot, 0.8, rng)
    colour = _BAGS[int(rng.integers(len(_BAGS)))]
    way = Path((stage.enters, (*spot, _PUTS_DOWN_S), stage.enters), speed)
    comes, walk_s = seen(way, view)[0], math.dist(stage.enters, spot) / speed
    puts_down = incident.start_s - comes + walk_s + _PUTS_DOWN_S / 2
    takes = max(puts_down + 2 * walk_s + _PUTS_DOWN_S, incident.start_s + incident.length_s)
    with_bag = replace(look, bag=colour)
    without = replace(look, bag=None)
    yield Actor(way, incident.start_s - comes, look=with_bag, changes=((walk_s + _PUTS_DOWN_S / 2, without),),
                is_told=False)  # fmt: skip
    yield Actor(way, takes - walk_s - _PUTS_DOWN_S / 2, look=without,
                changes=((walk_s + _PUTS_DOWN_S / 2, with_bag),), is_told=False)  # fmt: skip
    aside = (spot[0] + 0.35, spot[1] - 0.1)
    yield Actor(Path((aside, (*aside, takes - puts_down)), 1.0), puts_down, bag=colour)


def _crowd(layout: Layout, view: View, incident: IncidentSpec, rng: np.random.Generator) -> Iterator[Actor]:
    """People come one after the other, stand about in the square, and go."""
    stage = STAGES[layout.name]
    (x0, y0), (x1, y1) = stage.square[0], stage.square[2]
    columns = 2 if x1 - x0 < 3 else 4
    slots = [(column, row) for row in range(-(-CROWD // columns)) for column in range(columns)]
    ends = incident.start_s + incident.length_s
    for turn, index in enumerate(rng.permutation(len(slots))[:CROWD]):
        column, row = slots[int(index)]
        x = x0 + (x1 - x0) * (0.14 + 0.72 * (column + float(rng.uniform(0.2, 0.8))) / columns)
        y = y0 + (y1 - y0) * (0.12 + 0.5 * (row + float(rng.uniform(0.2, 0.8))) * columns / CROWD)
        speed = float(rng.uniform(1.2, 1.6))
        enters = (stage.enters[0] + float(rng.uniform(-0.5, 0.5)), stage.enters[1])
        walk_s = math.dist(enters, (x, y)) / speed
        comes = seen(Path((enters, (x, y)), speed), view)[0]
        starts = incident.start_s - comes + 0.45 * turn + float(rng.uniform(0, 0.3))
        waits = max(2.0, ends - starts - 2 * walk_s - 0.3 * turn)
        yield Actor(Path((enters, (x, y, waits), enters), speed), starts, look=actors.look(rng))


def _fall(layout: Layout, view: View, incident: IncidentSpec, rng: np.random.Generator) -> Iterator[Actor]:
    """Somebody comes, falls, lies there until the incident ends, gets up and goes."""
    stage, speed = STAGES[layout.name], 1.3
    spot = _near(stage.spot, 0.6, rng)
    # The last steps lead across the picture, more or less: a body that falls towards the camera hardly shows it.
    angle = float(rng.uniform(-0.5, 0.5)) + (math.pi if rng.random() < 0.5 else 0.0)
    turns = (spot[0] - 1.2 * math.cos(angle), spot[1] - 1.2 * math.sin(angle))
    walk_s = (math.dist(stage.enters, turns) + 1.2) / speed
    comes = seen(Path((stage.enters, turns, spot), speed), view)[0]
    falls = incident.start_s - comes + walk_s
    lies = max(3.0, incident.start_s + incident.length_s - falls)
    way = Path((stage.enters, turns, (*spot, lies + _GETS_UP_S), stage.enters), speed)
    yield Actor(way, falls - walk_s, look=actors.look(rng), down=(walk_s, walk_s + _GOES_DOWN_S, walk_s + lies,
                                                                 walk_s + lies + _GETS_UP_S))  # fmt: skip


def _loitering(layout: Layout, view: View, incident: IncidentSpec, rng: np.random.Generator) -> Iterator[Actor]:
    """Somebody hangs about in the square: a few steps, a pause, a few steps."""
    stage, speed = STAGES[layout.name], 1.1
    points: list[tuple[float, ...]] = [stage.enters]
    begins, left_s, here = seen(Path((stage.enters, stage.spot), speed), view)[0], incident.length_s, stage.enters
    left_s -= 2 * (math.dist(stage.enters, stage.spot) / speed - begins)
    while left_s > 0:
        there = _near(stage.spot, 1.1, rng)
        pause = float(rng.uniform(1.0, 4.0))
        left_s -= pause + (math.dist(here, there) / speed if here != stage.enters else 0.0)
        points.append((*there, pause))
        here = there
    yield Actor(Path((*points, stage.enters), speed), incident.start_s - begins, look=actors.look(rng))


def _dark_look(rng: np.random.Generator) -> Look:
    return actors.dark_look(float(rng.uniform(1.7, 1.85)))


def _near(place: Corner, reach_m: float, rng: np.random.Generator) -> Corner:
    return place[0] + float(rng.uniform(-reach_m, reach_m)), place[1] + float(rng.uniform(-reach_m, reach_m))


def seen(path: Path, view: View) -> tuple[float, float]:
    """When somebody on this way comes into the picture and when they leave it, in seconds from setting out."""
    times = [step / 20 for step in range(int(path.duration_s * 20) + 1)]
    inside = []
    for time_s in times:
        moment = path.at(time_s)
        middle = view.project((moment.x, moment.y, 1.2)) if moment else None
        if middle and 0 <= middle[0] <= view.width and 0 <= middle[1] <= view.height:
            inside.append(time_s)
    return (inside[0], inside[-1]) if inside else (0.0, path.duration_s)
