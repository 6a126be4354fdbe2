"""Incidents to be found: held-out simulated scenes, and real clips with faults put on them; each with its truth.

Seeds from 900,000 on are held out: nothing in this repository is tuned, trained or tried on them but what this
benchmark trains for itself. A camera's own normal footage (for what learns it) has seeds of its own, held out too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask
from detector_pool.picture import Shot
from mesh.ids import FrameId
from simulator.scene import filmed
from simulator.scene.lens import blurred, taken
from simulator.spec import IncidentSpec, SceneSpec

HELD_OUT = 900_000
"""Seeds below are for tuning, from here on for measuring."""
TRAINING, CALIBRATION, QUIET = 910_000, 920_000, 930_000
"""Offsets of seeds: footage to learn from, to calibrate on, and in which nothing happens."""
START_NS = 1_700_000_000_000_000_000
FPS = 10
WARM_S = 60.0
EVERY_S = 55.0
"""From the beginning of one incident to that of the next."""
PEOPLE = ("intrusion", "running", "wrong-way", "left-object", "crowd", "fall", "loitering", "freeze", "signal-lost")
SPOILT = ("blur", "cover", "dark", "glare", "noise")
MOVED = ("bump", "turn-away")
"""Drawn wider, and slower: in a take of their own."""
LENGTHS_S = {"intrusion": 12.0, "running": 8.0, "freeze": 15.0, "signal-lost": 8.0, "fall": 20.0}
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


def scene_takes(layout: str, seed: int) -> list[Take]:
    """A take of people's incidents, of spoilt pictures and of moves, each in an order that the seed decides."""
    return [_scene(layout, seed, _scripted(kinds, seed)) for kinds in (PEOPLE, SPOILT, MOVED)]


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


# Real clips

REAL = {"vtest": "vtest.avi", "car-park-gate": "car-detection.mp4", "passage": "one-by-one-person-detection.mp4"}
REAL_FAULTS = ("blur", "cover", "dark", "freeze", "bump")
_FAULT_S = 15.0


def real_normal(folder: Path, name: str) -> Take:
    """A real clip as it is: nothing abnormal is known to happen in it."""
    return _real(folder, name, "")


def real_fault(folder: Path, name: str, kind: str) -> Take:
    """A real clip whose last quarter of a minute shows a fault of the picture."""
    return _real(folder, name, kind)


def _real(folder: Path, name: str, kind: str) -> Take:
    path = folder / REAL[name]
    with av.open(str(path)) as container:
        frames = sum(packet.size > 0 for packet in container.demux(video=0))
        fps = float(container.streams.video[0].average_rate or FPS)
    begins = frames - round(_FAULT_S * fps)

    def pictures() -> Iterator[Shot]:
        held: Plane | None = None
        for index, y in enumerate(_luma(path)):
            shown = y
            if kind and index >= begins:
                held = y if held is None else held
                shown = held if kind == "freeze" else spoilt(y, kind, min(1.0, (index - begins + 1) / fps))
            yield Shot(FrameId(name, 1, index), START_NS + round(index / fps * 1e9), shown)

    def happened() -> list[Happened]:
        return [Happened(kind, begins, begins, frames - 1, {})] if kind else []

    return Take(name, 0, frames, fps, (), pictures, happened)


def spoilt(y: Plane, kind: str, amount: float) -> Plane:
    """The picture with a fault of that amount, 0 to 1, (h, w) uint8."""
    height, width = y.shape
    if kind == "blur":
        focus: Plane = np.clip(np.rint(blurred(y, 3 / 640 * width * amount)), 0, 255).astype(np.uint8)
        return focus
    if kind == "dark":
        dim: Plane = np.clip(16 + (y.astype(np.float32) - 16) * (1 - 0.65 * amount), 0, 255).astype(np.uint8)
        return dim
    if kind == "cover":
        covered = y.copy()
        covered[:, : round(width * 0.75 * amount)] = 40
        return covered
    turn, shift = np.deg2rad(3.0), 40 / 640 * width
    cos, sin = np.cos(turn), np.sin(turn)
    middle = np.array(((1, 0, width / 2), (0, 1, height / 2), (0, 0, 1.0)))
    moved = middle @ np.array(((cos, -sin, shift), (sin, cos, 0), (0, 0, 1.0))) @ np.linalg.inv(middle)
    return taken(y, np.linalg.inv(moved), width, height)


def _luma(path: Path) -> Iterable[Plane]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.ascontiguousarray(frame.to_ndarray(format="gray"))
