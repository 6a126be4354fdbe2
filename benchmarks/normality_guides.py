"""Benchmarks for normality that nothing was tuned on: walkways seen from high up, as in public ones, drawn by seed.

`python -m benchmarks.normality_guides FOLDER --kind along --seed 3` → FOLDER/train, FOLDER/test, FOLDER/labels, for
`trueframe evaluate FOLDER`. Walkers of 14 to 40 pixels in crowds, in both directions; in the test clips bicycles,
skaters, carts, and people who cross the grass. Most test frames are abnormal, many clips from their first frame on, and
the pictures are as soft and noisy as an old camera's. What belongs here: places, what happens in each clip, its labels.
What does not: how a detector is judged (`detector_pool.evaluation`).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simulator.scene import actors, backdrop, incidents, people, vehicles
from simulator.scene import textures as tx
from simulator.scene.backdrop import Box, Light, Patch
from simulator.scene.paths import Moment
from simulator.scene.paths import Path as Way
from simulator.scene.people import BoxPx, Limb, Look, Stance
from simulator.scene.raster import Canvas
from simulator.scene.vehicles import Make, Place
from simulator.scene.view import View

WIDTH, HEIGHT, FPS = 360, 240, 10
KINDS = ("along", "aslant", "crossing")
TRAIN_CLIPS = 16
SPANS = ((0.0, 1.0),) * 4 + ((0.0, 0.8), (0.0, 0.65), (0.0, 0.5), (0.35, 1.0), (0.5, 1.0), (0.25, 0.8), (0.6, 1.0),
                             (0.4, 0.75))  # fmt: skip
"""Of each test clip, from which share of it to which something abnormal is to be seen, about."""
HELD_OUT = 100
"""Seeds below are for tuning, from here on for measuring."""
_SEEN_SHARE = 0.25
"""A thing counts as seen when so much of its box is in the picture."""
_TYRE = (0.06, 0.06, 0.06)

Plane = NDArray[np.uint8]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Track:
    """A walkway: a straight strip of ground."""

    middle: Point
    angle: float
    width: float

    def corners(self) -> tuple[Point, ...]:
        """Of its ground."""
        return tuple(self.at(along, aside) for along, aside in ((-80, -1), (80, -1), (80, 1), (-80, 1)))

    def at(self, along: float, aside: float) -> Point:
        """A place on it: metres along, and a share of half its width aside."""
        cos, sin, off = math.cos(self.angle), math.sin(self.angle), aside * self.width / 2
        return self.middle[0] + along * cos - off * sin, self.middle[1] + along * sin + off * cos


@dataclass(frozen=True, slots=True)
class Someone:
    """A walker, or a thing that is not normal here."""

    way: Way
    starts_s: float
    look: Look
    kind: str = "walker"
    make: Make = vehicles.CAR


class Guide:
    """One camera. Everything follows from kind and seed."""

    def __init__(self, kind: str, seed: int) -> None:
        self._seed = [seed, KINDS.index(kind)]
        rng = np.random.default_rng([*self._seed, 77])
        height_m = float(rng.uniform(9.0, 13.0))
        self.view = View(WIDTH, HEIGHT, height_m, float(rng.uniform(24, 31)), float(rng.uniform(40, 50)))
        ahead = height_m / math.tan(math.radians(self.view.tilt_deg))
        self.tracks = _tracks(kind, ahead, rng)
        self.density = float(rng.uniform(0.35, 0.7))
        """Walkers for each metre of a walkway."""
        self.noise = float(rng.uniform(1.0, 2.8))
        self.quality = int(rng.integers(55, 85))
        self.light = Light(
            ambient=float(rng.uniform(0.65, 1.1)), sun=float(rng.choice([0.0, 0.3])), saturation=0.0, haze_m=200
        )
        shade = float(rng.uniform(0.38, 0.6))
        paving = tx.slabs(float(rng.uniform(1.0, 2.5)), (shade, shade, shade), -0.12, 0.12)
        green = float(rng.uniform(0.2, 0.34))
        boxes = [
            Box((x, x + 0.4), (y, y + 0.4), (0, 3.5), tx.plain((0.3, 0.28, 0.25)), tx.plain((0.3, 0.28, 0.25)))
            for x, y in ((float(rng.uniform(-14, 14)), float(rng.uniform(16, 45))) for _ in range(3))
        ]
        patches = [Patch(track.corners(), paving) for track in self.tracks]
        painted = backdrop.paint(self.view, tx.grass((green, green * 1.3, green * 0.7)), patches, boxes, self.light)
        self._background, self._depth, self._sunlit = painted.picture, painted.depth, painted.sunlit
        self._mask = np.zeros((HEIGHT, WIDTH), np.float32)

    def clip(self, number: int, span: tuple[float, float] | None) -> Iterator[tuple[Plane, bool]]:
        """Pictures and labels of a clip; `span`: which share of it is to be abnormal."""
        rng = np.random.default_rng([*self._seed, number])
        frames = int(rng.integers(120, 181))
        length_s = frames / FPS
        there = [*self._walkers(length_s, rng), *([] if span is None else self._odd(span, length_s, rng))]
        for index in range(frames):
            picture, is_odd = self._drawn(there, index / FPS)
            yield self._filmed(picture, rng), is_odd

    def _walkers(self, length_s: float, rng: np.random.Generator) -> Iterator[Someone]:
        for track in self.tracks:
            for _ in range(round(self.density * 60 / len(self.tracks))):
                speed, aside = float(np.clip(rng.normal(1.3, 0.18), 0.8, 1.8)), float(rng.uniform(-0.85, 0.85))
                starts_s = float(rng.uniform(-60 / speed, length_s))
                is_back = rng.random() < 0.5
                # One in four walks with somebody.
                for other in range(1 + (rng.random() < 0.25)):
                    way = _way(track, aside + other * 1.5 / track.width, float(rng.uniform(-0.08, 0.08)), is_back)
                    yield Someone(Way(way, speed), starts_s, actors.look(rng))

    def _odd(self, span: tuple[float, float], length_s: float, rng: np.random.Generator) -> Iterator[Someone]:
        from_s, to_s = (share * length_s for share in span)
        at_s = from_s
        while at_s < to_s - 0.5:
            one = self._oddity(rng)
            comes, goes = incidents.seen(one.way, self.view)
            ahead_s = float(rng.uniform(0.1, 0.6)) * (goes - comes) if at_s == 0 else 0.0
            yield Someone(one.way, at_s - comes - ahead_s, one.look, one.kind, one.make)
            at_s += max(goes - comes - ahead_s - 1.0, 0.5)

    def _oddity(self, rng: np.random.Generator) -> Someone:
        kind = str(rng.choice(["bicycle", "skater", "cart", "grass"], p=[0.6, 0.2, 0.15, 0.05]))
        track = self.tracks[int(rng.integers(len(self.tracks)))]
        low, high = {"bicycle": (2.6, 5.0), "skater": (2.2, 3.8), "cart": (2.0, 4.0), "grass": (1.1, 1.5)}[kind]
        way = _way(track, float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.1, 0.1)), rng.random() < 0.5)
        if kind == "grass":
            # Across the walkway, from grass to grass.
            across = Track(track.at(float(rng.uniform(-5, 5)), 0.0), track.angle + float(rng.uniform(0.9, 2.2)), 2.0)
            way = _way(across, 0.0, 0.0, rng.random() < 0.5)
        shade = float(rng.choice([0.25, 0.55, 0.8]))
        make = Make(2.5, 1.25, 0.8, 1.85, (-0.46, -0.42, 0.22, 0.3), (shade, shade, shade))
        return Someone(Way(way, float(rng.uniform(low, high))), 0.0, actors.look(rng), kind, make)

    def _drawn(self, there: Sequence[Someone], time_s: float) -> tuple[Plane, bool]:
        picture = self._background.copy()
        canvas = Canvas(picture, self._depth)
        present = [(moment, one) for one in there if (moment := one.way.at(time_s - one.starts_s)) is not None]
        present.sort(key=lambda item: -item[0].y)
        bodies = [_body(moment, one) for moment, one in present]
        sun = self.light.sun_direction
        if self.light.sun > 0:
            canvas.begin_shadow(self._mask)
            for (moment, one), body in zip(present, bodies, strict=True):
                if body:
                    people.cast_shadow(canvas, self.view, body, sun)
                else:
                    vehicles.cast_shadow(canvas, self.view, one.make, _place(moment), sun)
            canvas.end_shadow(self._sunlit, 0.4)
        is_odd = False
        for (moment, one), body in zip(present, bodies, strict=True):
            brightness = min(1.2, self.light.at(moment.x, moment.y) + 0.8 * self.light.sun)
            if body:
                box = people.draw(canvas, self.view, body, brightness, 0.0)
            else:
                box = vehicles.draw(canvas, self.view, one.make, _place(moment), brightness, 0.0)
            is_odd = is_odd or (one.kind != "walker" and _seen_share(box) >= _SEEN_SHARE)
        return picture[:HEIGHT], is_odd

    def _filmed(self, picture: Plane, rng: np.random.Generator) -> Plane:
        """Through an old camera: soft, noisy, a little unsteady in brightness."""
        wide = np.pad(picture.astype(np.float32), 1, mode="edge")
        soft = 0.25 * (wide[:-2] + wide[2:]) + 0.5 * wide[1:-1]
        soft = 0.25 * (soft[:, :-2] + soft[:, 2:]) + 0.5 * soft[:, 1:-1]
        soft = soft * np.float32(1 + 0.003 * rng.standard_normal())
        soft += np.float32(self.noise) * rng.standard_normal(soft.shape, np.float32)
        return np.clip(np.rint(soft), 0, 255).astype(np.uint8)


def _tracks(kind: str, ahead: float, rng: np.random.Generator) -> list[Track]:
    side = float(rng.choice([-1.0, 1.0]))
    middle = (0.0, ahead + float(rng.uniform(-2, 3)))
    along = Track(middle, float(rng.uniform(-0.12, 0.12)), float(rng.uniform(9, 16)))
    if kind == "along":
        return [along]
    if kind == "aslant":
        return [Track(middle, side * float(rng.uniform(0.45, 0.75)), float(rng.uniform(7, 11)))]
    return [along, Track((float(rng.uniform(-4, 4)), ahead), side * float(rng.uniform(1.1, 1.35)), 5.0)]


def _way(track: Track, aside: float, turn: float, is_back: bool) -> tuple[Point, ...]:
    """Along a walkway at its own slight angle, as far as the camera can see it: never below or behind it."""
    own = Track(track.at(0.0, aside), track.angle + turn, track.width)
    points = [own.at(float(along), 0.0) for along in range(-32, 33)]
    points = [point for point in points if 4.0 < point[1] < 75.0]
    ends = points[0], points[-1]
    return ends[::-1] if is_back else ends


def _place(moment: Moment) -> Place:
    return Place(moment.x, moment.y, moment.heading)


def _body(moment: Moment, one: Someone) -> list[Limb]:
    """Limbs to draw; none for a cart."""
    if one.kind == "cart":
        return []
    if one.kind == "bicycle":
        return _cyclist(moment, one.look)
    if one.kind == "skater":
        stance = Stance(moment.x, moment.y, moment.heading, 0.35, 0.25)
        cos, sin = math.cos(moment.heading), math.sin(moment.heading)
        ends = [(moment.x + cos * by, moment.y + sin * by, 0.08) for by in (-0.4, 0.4)]
        return [Limb(ends[0], 0.06, ends[1], 0.06, _TYRE, -1.0), *people.limbs(one.look, stance)]
    return people.limbs(one.look, Stance(moment.x, moment.y, moment.heading, moment.speed, moment.travelled_m))


def _cyclist(moment: Moment, look: Look) -> list[Limb]:
    """Somebody on a bicycle: wheels as rings, a frame, legs that turn the cranks."""
    cos, sin = math.cos(moment.heading), math.sin(moment.heading)

    def at(forward: float, up: float, aside: float = 0.0) -> tuple[float, float, float]:
        return moment.x + cos * forward - sin * aside, moment.y + sin * forward + cos * aside, up

    parts: list[Limb] = []

    def limb(a: tuple[float, float, float], b: tuple[float, float, float], radius: float, colour: tx.Colour) -> None:
        parts.append(Limb(a, radius, b, radius, colour, float(len(parts))))

    for hub in (-0.52, 0.52):
        turns = [2 * math.pi * step / 10 for step in range(11)]
        rim = [at(hub + 0.33 * math.cos(turn), 0.35 + 0.33 * math.sin(turn)) for turn in turns]
        for a, b in pairwise(rim):
            limb(a, b, 0.03, _TYRE)
    for first, second in (((-0.52, 0.35), (-0.18, 0.85)), ((0.0, 0.3), (-0.2, 0.9)), ((0.0, 0.3), (0.42, 0.85)),
                          ((-0.18, 0.82), (0.42, 0.85)), ((0.42, 1.0), (0.52, 0.35))):  # fmt: skip
        limb(at(*first), at(*second), 0.03, (0.3, 0.1, 0.1))
    crank = moment.travelled_m / 0.9
    for side in (0.0, math.pi):
        foot_f, foot_u = 0.17 * math.cos(crank + side), 0.3 - 0.17 * math.sin(crank + side)
        aside = 0.1 if side else -0.1
        foot, hip = at(foot_f, foot_u, aside), at(-0.18, 0.95, aside)
        knee = at(0.5 * (foot_f - 0.18) + 0.2, 0.5 * (foot_u + 0.95) + 0.05, aside)
        limb(hip, knee, 0.09, look.trousers)
        limb(knee, foot, 0.06, look.trousers)
        limb(at(0.2, 1.38, 2 * aside), at(0.42, 1.02, 2 * aside), 0.05, look.jacket)
    limb(at(-0.15, 1.0), at(0.16, 1.4), 0.17, look.jacket)
    limb(at(0.24, 1.62), at(0.24, 1.66), 0.11, look.hair)
    return parts


def _seen_share(box: BoxPx | None) -> float:
    """How much of a box is in the picture."""
    if box is None:
        return 0.0
    left, top, right, bottom = box
    width, height = max(right - left, 1e-6), max(bottom - top, 1e-6)
    seen = max(0.0, min(right, WIDTH) - max(left, 0)) * max(0.0, min(bottom, HEIGHT) - max(top, 0))
    return seen / (width * height)


def write(folder: Path, guide: Guide) -> None:
    """Writes the whole benchmark of a guide: pictures as JPEG, numbered from 1, and labels."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    plans = [("train", None)] * TRAIN_CLIPS + [("test", span) for span in SPANS]
    for number, (part, span) in enumerate(plans):
        name = f"{part}{number + 1 - (TRAIN_CLIPS if part == 'test' else 0):03d}"
        into = folder / part / name
        into.mkdir(parents=True, exist_ok=True)
        labels = []
        for index, (picture, is_odd) in enumerate(guide.clip(number, span)):
            Image.fromarray(picture).save(into / f"{index + 1:03d}.jpg", quality=guide.quality)
            labels.append(f"{int(is_odd)}\n")
        if span is not None:
            (folder / "labels" / f"{name}.csv").write_text("".join(labels))


def main() -> None:
    """Draws one guide."""
    parser = argparse.ArgumentParser(description="Draws a benchmark for normality.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0])
    parser.add_argument("--seed", type=int, default=0, help=f"from {HELD_OUT} on: held out, nothing is tuned on it")
    given = parser.parse_args()
    write(given.folder, Guide(given.kind, given.seed))


if __name__ == "__main__":
    main()
