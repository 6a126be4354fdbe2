"""Incidents to be found in held-out simulated scenes, each with its truth.

Seeds from 7,310,001 on are held out: nothing in this repository is tuned, trained or tried on them but what this
benchmark trains for itself (rules were tuned on 201 and 211; 7,310,000 was looked at). A camera's own normal footage,
for what learns it, has seeds of its own, held out too. Pictures are drawn in the size of a camera's second stream and
go to the detectors as they are drawn: nothing is encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask
from detector_pool.picture import Shot
from mesh.ids import FrameId
from simulator.scene import filmed
from simulator.spec import IncidentSpec, SceneSpec

HELD_OUT = 7_310_001
TRAINING, CALIBRATION, QUIET = 7_320_000, 7_330_000, 7_340_000
"""From where on: incidents; footage to learn from, to calibrate on, and in which nothing happens."""
START_NS = 1_700_000_000_000_000_000
FPS = 10
WARM_S = 60.0
EVERY_S = 55.0
"""From the beginning of one incident to that of the next."""
PEOPLE = ("intrusion", "running", "wrong-way", "left-object", "crowd", "fall", "loitering", "freeze", "signal-lost")
SPOILT = ("blur", "cover", "dark", "glare", "noise")
MOVED = ("bump", "turn-away")
"""Drawn wider, and slower: in a take of their own."""
LENGTHS_S = {"intrusion": 12.0, "running": 8.0, "freeze": 15.0, "signal-lost": 8.0, "fall": 20.0, "loitering": 45.0}
LENGTH_S = 30.0

Plane = NDArray[np.uint8]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Happened:
    """An incident as it was shown. `boxes`: left, top, right, bottom in fractions, by frame; empty without a place."""

    kind: str
    comes: int
    """Frame at which those who act in it come into the picture."""
    first: int
    last: int
    boxes: dict[int, Box]


@dataclass(frozen=True, slots=True)
class Take:
    """Some minutes of one camera. `happened` is complete once all pictures were taken."""

    camera: str
    seed: int
    frames: int
    fps: float
    regions: tuple[RegionMask, ...]
    """The scene's own: the restricted area, the square, the one-way line."""
    pictures: Callable[[], Iterator[Shot]]
    happened: Callable[[], list[Happened]]


PARTS = {"people": PEOPLE, "spoilt": SPOILT, "moved": MOVED}


def incident_take(layout: str, seed: int, part: str) -> Take:
    """A take of people's incidents, of spoilt pictures or of moves, in an order that the seed decides."""
    return _scene(layout, seed, _scripted(PARTS[part], seed))


def normal_take(layout: str, seed: int, minutes: float) -> Take:
    """Ordinary traffic in which nothing happens."""
    return _scene(layout, seed, (), minutes * 60)


def _scripted(kinds: tuple[str, ...], seed: int) -> tuple[IncidentSpec, ...]:
    order = np.random.default_rng([seed, 11]).permutation(len(kinds))
    return tuple(
        IncidentSpec(kinds[int(index)], WARM_S + number * EVERY_S, LENGTHS_S.get(kinds[int(index)], LENGTH_S))
        for number, index in enumerate(order)
    )


def _scene(layout: str, seed: int, incidents: tuple[IncidentSpec, ...], seconds: float = 0.0) -> Take:
    length_s = seconds or WARM_S + len(incidents) * EVERY_S
    spec = SceneSpec(layout, seed=seed, fps=FPS, loop_s=length_s, incidents=incidents)
    scene = filmed(spec)
    told = scene.truth()
    regions = tuple(
        RegionMask(one["use"] == "ignore", tuple((x, y) for x, y in one["corners"]), one["name"], one["use"] == "line")
        for one in (*told["regions"], *told["places"])
    )

    def pictures() -> Iterator[Shot]:
        for index in range(spec.frames):
            yield _shot(f"{layout}-{seed}", index, scene.picture(index), spec.width, spec.height)

    def happened() -> list[Happened]:
        found = []
        for script, one in zip(scene.incidents, scene.truth()["incidents"], strict=True):
            boxes = {one["start"] + at: box for at, box in enumerate(one["boxes"] or ()) if box}
            if one["end"] > one["start"]:
                places = {at: (box[0], box[1], box[2], box[3]) for at, box in boxes.items()}
                found.append(Happened(one["kind"], round(script.start_s * FPS), one["start"], one["end"] - 1, places))
        return found

    return Take(layout, seed, spec.frames, FPS, regions, pictures, happened)


def _shot(camera: str, index: int, i420: Plane, width: int, height: int) -> Shot:
    half = height // 2
    u, v = i420[height:].reshape(2, half, width // 2)
    return Shot(FrameId(camera, 1, index), START_NS + round(index / FPS * 1e9), i420[:height], u=u, v=v)
