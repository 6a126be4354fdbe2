"""A scene: a place, its traffic and its incidents put together, picture by picture, and the truth about it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator import counter
from simulator.scene import actors, backdrop, incidents, layouts, people, vehicles
from simulator.scene.actors import Actor
from simulator.scene.paths import Moment
from simulator.scene.people import BoxPx, Stance
from simulator.scene.raster import Canvas
from simulator.scene.stages import STAGES
from simulator.scene.vehicles import Place
from simulator.scene.view import View
from simulator.spec import IncidentSpec, SceneSpec

LAYOUTS = tuple(layouts.LAYOUTS)
_BODY_M = 1.95
"""The restricted area is seen up to this height above its far edge: somebody standing there is inside as a whole."""
_SHADOW = 0.42
_PERSON_INCIDENTS = {
    "intrusion": "restricted", "running": None, "left-object": "square", "crowd": "square", "fall": "square",
    "wrong-way": None, "loitering": "square",
}  # fmt: skip
"""Incidents in which somebody acts, and the place that they are about."""


class Scene:
    """Draws any frame of one loop."""

    def __init__(self, spec: SceneSpec, drawn: View | None = None) -> None:
        self.spec = spec
        self.layout = layouts.LAYOUTS[spec.layout]()
        # What moves is timed by what the camera sees, though more may be drawn.
        usual = self.layout.view(spec.width, spec.height)
        self.view = drawn or usual
        if drawn:
            spec = self.spec = replace(spec, width=drawn.width, height=drawn.height)
        self._stage = STAGES[spec.layout]
        self.incidents = incidents_of(spec)
        light = self.layout.light
        painted = backdrop.paint(self.view, self.layout.ground, self.layout.patches, self.layout.boxes, light)
        self._background, self._depth, self._sunlit = painted.picture, painted.depth, painted.sunlit
        self._mask = np.zeros((spec.height, spec.width), np.float32)
        self._park()
        self._actors = actors.traffic(self.layout, spec.seed, spec.loop_s)
        for number, incident in enumerate(self.incidents):
            self._actors += incidents.of_incident(self.layout, usual, incident, number, spec.seed)
        self._boxes: dict[int, dict[int, BoxPx]] = {number: {} for number in range(len(self.incidents))}
        self._acting: dict[int, dict[int, int]] = {number: {} for number in range(len(self.incidents))}
        """By incident and frame: how many do there what it is about."""
        self._noise = _noise(spec, light.noise)
        self._frozen: dict[int, npt.NDArray[np.uint8]] = {}

    # Pictures

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Frame `index` as I420, height * 3 / 2 rows, uint8, without the counter."""
        for number, incident in enumerate(self.incidents):
            start, end = self.span(incident)
            if incident.kind == "signal-lost" and start <= index < end:
                return self._black()
            if incident.kind == "freeze" and start < index < end:
                if number not in self._frozen:
                    self._frozen[number] = self._drawn(start)
                return self._frozen[number].copy()
        return self._drawn(index)

    def _black(self) -> npt.NDArray[np.uint8]:
        picture = np.full_like(self._background, 128)
        picture[: self.spec.height] = 16
        return picture

    def _drawn(self, index: int) -> npt.NDArray[np.uint8]:
        spec = self.spec
        picture = self._background.copy()
        canvas = Canvas(picture, self._depth)
        time_s = index / spec.fps
        present = [
            (moment, actor, _body(moment, actor))
            for actor in self._actors
            for moment in actor.moments(time_s, spec.loop_s)
        ]
        present.sort(key=lambda item: -item[0].y)
        for told in (self._boxes, self._acting):
            for by_frame in told.values():
                by_frame.pop(index, None)
        if self.layout.light.sun > 0:
            canvas.begin_shadow(self._mask)
            for moment, actor, body in present:
                self._cast_shadow(canvas, moment, actor, body)
            canvas.end_shadow(self._sunlit, _SHADOW)
        for moment, actor, body in present:
            box = self._draw_actor(canvas, moment, actor, body)
            if box and actor.incident is not None and actor.is_told:
                self._tell(actor.incident, index, moment, box)
        rng = np.random.default_rng([spec.seed, 3, index])
        at = int(rng.integers(self._noise.size - spec.width * spec.height))
        drift = 1 + 0.006 * math.sin(6 * math.pi * index / spec.frames)
        canvas.finish(self._noise[at:], round(256 * drift))
        return picture

    def _draw_actor(self, canvas: Canvas, moment: Moment, actor: Actor, body: list[people.Limb]) -> BoxPx | None:
        brightness = self._brightness(moment)
        saturation = self.layout.light.saturation
        if actor.make:
            place = Place(moment.x, moment.y, moment.heading)
            return vehicles.draw(canvas, self.view, actor.make, place, brightness, saturation, self.layout.headlights)
        return people.draw(canvas, self.view, body, brightness, saturation)

    def _cast_shadow(self, canvas: Canvas, moment: Moment, actor: Actor, body: list[people.Limb]) -> None:
        sun = self.layout.light.sun_direction
        if actor.make:
            vehicles.cast_shadow(canvas, self.view, actor.make, Place(moment.x, moment.y, moment.heading), sun)
        else:
            people.cast_shadow(canvas, self.view, body, sun)

    def _brightness(self, moment: Moment) -> float:
        light = self.layout.light
        brightness = light.at(moment.x, moment.y)
        seen = self.view.project((moment.x, moment.y, 0.0))
        if light.sun > 0 and seen and 0 <= seen[0] < self.spec.width and 0 <= seen[1] < self.spec.height:
            brightness += light.sun * 0.8 * float(self._sunlit[int(seen[1]), int(seen[0])])
        return min(1.25, brightness)

    def _park(self) -> None:
        """Draws the vehicles that never move into the background, and notes how far they are."""
        light = self.layout.light
        for make, place in sorted(self.layout.parked, key=lambda item: -item[1].y):
            before = self._background.copy()
            canvas = Canvas(self._background, self._depth)
            if light.sun > 0:
                canvas.begin_shadow(self._mask)
                vehicles.cast_shadow(canvas, self.view, make, place, light.sun_direction)
                canvas.end_shadow(self._sunlit, _SHADOW)
                before = self._background.copy()
            brightness = light.at(place.x, place.y) + 0.8 * light.sun
            vehicles.draw(canvas, self.view, make, place, min(1.2, brightness), light.saturation)
            seen = self.view.project((place.x, place.y - make.width_m / 2, 0.0))
            changed = (before != self._background)[: self.spec.height]
            if seen:
                self._depth[changed] = np.minimum(self._depth[changed], np.float32(seen[2]))

    # Truth

    def silent_frames(self) -> frozenset[int]:
        """Frames at which the camera sends nothing."""
        spans = [self.span(incident) for incident in self.incidents if incident.kind == "silence"]
        return frozenset(index for start, end in spans for index in range(start, end))

    def _tell(self, number: int, index: int, moment: Moment, box: BoxPx) -> None:
        kind = self.incidents[number].kind
        acts = moment.down > 0 if kind == "fall" else True
        if kind in ("crowd", "loitering"):
            acts = _is_in(self._stage.square, moment)
        if acts:
            boxes, acting = self._boxes[number], self._acting[number]
            boxes[index] = people.joined(boxes.get(index), box) or box
            acting[index] = acting.get(index, 0) + 1

    def places(self) -> list[dict[str, Any]]:
        """Zones and a line for rules, as seen on the ground: the square, the one-way line, and where people walk."""
        square, walk = (
            cut([self.view.fraction((x, y, 0.0)) for x, y in corners])
            for corners in (self._stage.square, self._stage.walk)
        )
        line = [self.view.fraction((x, y, 0.0)) for x, y in self._stage.line]
        return [
            {"name": "square", "use": "inspect", "corners": [list(corner) for corner in square]},
            {"name": "way", "use": "line", "corners": [[round(x, 5), round(y, 5)] for x, y in line]},
            {"name": "walk", "use": "inspect", "corners": [list(corner) for corner in walk]},
        ]

    def region(self) -> list[tuple[float, float]]:
        """The restricted area as it is seen, in fractions of the picture: its ground, and whoever stands there."""
        near_left, near_right, far_right, far_left = self.layout.restricted
        ground = [self.view.fraction((x, y, 0.0)) for x, y in (near_left, near_right, far_right, far_left)]
        above = [self.view.fraction((x, y, _BODY_M)) for x, y in (far_right, far_left)]
        corners = [*ground, *above]
        return cut(vehicles.hull(corners))

    def truth(self) -> dict[str, Any]:
        """Ground truth of the loop, as it goes into truth.json. Complete once every frame has been drawn."""
        spec = self.spec
        return {
            "layout": spec.layout,
            "seed": spec.seed,
            "counter_box": self.counter_box(spec),
            "regions": [{"name": "restricted", "use": "inspect", "corners": [list(c) for c in self.region()]}],
            "places": self.places(),
            "incidents": [self._truth_of(number, incident) for number, incident in enumerate(self.incidents)],
        }

    @staticmethod
    def counter_box(spec: SceneSpec) -> list[float]:
        """Where the counter is drawn."""
        return list(counter.box(spec.width, spec.height))

    def _truth_of(self, number: int, incident: IncidentSpec) -> dict[str, Any]:
        start, end = self.span(incident)
        told: dict[str, Any] = {"kind": incident.kind, "start": start, "end": end, "region": None, "boxes": None}
        if incident.kind in _PERSON_INCIDENTS:
            least = incidents.CROWD_LEAST if incident.kind == "crowd" else 1
            boxes = {
                index: self._fractions(box)
                for index, box in self._boxes[number].items()
                if self._acting[number][index] >= least
            }
            seen = {index: box for index, box in boxes.items() if box}
            told["region"] = _PERSON_INCIDENTS[incident.kind]
            if incident.kind == "intrusion":
                region = _bounds(self.region())
                seen = {index: box for index, box in seen.items() if _overlap(box, region)}
            told["start"], told["end"] = (min(seen), max(seen) + 1) if seen else (start, start)
            told["boxes"] = [seen.get(index) for index in range(told["start"], told["end"])]
        return told

    def span(self, incident: IncidentSpec) -> tuple[int, int]:
        """First frame of an incident, and the one behind its last."""
        start = min(self.spec.frames, round(incident.start_s * self.spec.fps))
        return start, min(self.spec.frames, start + max(1, round(incident.length_s * self.spec.fps)))

    def _fractions(self, box: BoxPx) -> list[float] | None:
        left, top = max(0.0, box[0] / self.spec.width), max(0.0, box[1] / self.spec.height)
        right, bottom = min(1.0, box[2] / self.spec.width), min(1.0, box[3] / self.spec.height)
        if right <= left or bottom <= top:
            return None
        return [round(value, 5) for value in (left, top, right, bottom)]


def _body(moment: Moment, actor: Actor) -> list[people.Limb]:
    """The limbs of a person, or the parts of a bag; vehicles have none."""
    if actor.bag:
        return people.bag(moment.x, moment.y, actor.bag)
    look = actor.look_at(moment.passed_s)
    if look is None:
        return []
    stance = Stance(moment.x, moment.y, moment.heading, moment.speed, moment.travelled_m, moment.down)
    return people.limbs(look, stance)


def _is_in(square: tuple[layouts.Corner, ...], moment: Moment) -> bool:
    (x0, y0), (x1, y1) = square[0], square[2]
    return x0 <= moment.x <= x1 and y0 <= moment.y <= y1


def incidents_of(spec: SceneSpec) -> tuple[IncidentSpec, ...]:
    """Those asked for, or the layout's own, drawn in for loops shorter than a minute."""
    if spec.incidents is not None:
        return spec.incidents
    share = min(1.0, spec.loop_s / 60)
    return tuple(
        replace(incident, start_s=incident.start_s * share, length_s=max(2.0, incident.length_s * share))
        for incident in layouts.LAYOUTS[spec.layout]().incidents
    )


def _noise(spec: SceneSpec, deviation: float) -> npt.NDArray[np.int8]:
    """Twice a picture's worth of sensor noise, slightly correlated along rows as after demosaicking."""
    rng = np.random.default_rng([spec.seed, 4])
    raw = rng.standard_normal(2 * spec.width * spec.height + 1, np.float32) * deviation
    smooth = (raw[1:] + 0.5 * raw[:-1]) / math.sqrt(1.25)
    noise: npt.NDArray[np.int8] = np.clip(np.rint(smooth), -127, 127).astype(np.int8)
    return noise


def _bounds(corners: list[tuple[float, float]]) -> tuple[float, float, float, float]:
    xs, ys = [c[0] for c in corners], [c[1] for c in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _overlap(box: list[float], bounds: tuple[float, float, float, float]) -> bool:
    return box[0] < bounds[2] and box[2] > bounds[0] and box[1] < bounds[3] and box[3] > bounds[1]


def cut(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The convex part of a polygon that lies in the picture (Sutherland and Hodgman)."""
    for axis, limit, keep_below in ((0, 0.0, False), (0, 1.0, True), (1, 0.0, False), (1, 1.0, True)):
        out: list[tuple[float, float]] = []
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            a_in = a[axis] <= limit if keep_below else a[axis] >= limit
            b_in = b[axis] <= limit if keep_below else b[axis] >= limit
            if a_in:
                out.append(a)
            if a_in != b_in:
                share = (limit - a[axis]) / (b[axis] - a[axis])
                x, y = a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
                out.append((limit, y) if axis == 0 else (x, limit))
        corners = out
    return [(round(x, 5), round(y, 5)) for x, y in corners]
