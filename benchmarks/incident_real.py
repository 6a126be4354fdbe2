"""Incidents in real clips: what happens in them, and faults put on their last quarter of a minute.

`HAPPENS` was written down by looking at the pictures. There are no zones in these clips: rules look at the whole
picture, so what needs a place (intrusion, wrong way) is not asked of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.incident_counting import outcome, summary
from benchmarks.incident_desks import Order, watch
from benchmarks.incident_rules import SOURCES
from benchmarks.incident_scenes import FPS, START_NS, Happened, Take
from detector_pool.picture import Shot
from mesh.ids import FrameId
from simulator.scene.lens import blurred, taken

Plane = NDArray[np.uint8]

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
    path = folder / CLIPS[name]
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
        if kind:
            return [Happened(kind, begins, begins, frames - 1, {})]
        return [
            Happened(what, round(first * fps), round(first * fps), round(last * fps), {})
            for what, first, last, _ in HAPPENS.get(name, ())
        ]

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


EVERYWHERE = {
    "running": "object faster than 1.7 body heights/s",
    "fall": "object falls",
    "left-object": "object left for 12 s",
}
HAPPENS: dict[str, tuple[tuple[str, float, float, str], ...]] = {
    "vtest": (),
    "car-park-gate": (),
    "passage": (),
    "avenue-08": (("running", 0.0, 1.4, "a child hops and runs; that is the whole clip"),),
    "avenue-17": (
        ("throwing", 3.0, 17.0, "a man in white swings his arms as if he threw something up, again and again"),
    ),
    "avenue-18": (("throwing", 3.0, 10.0, "the same man throws something up"),),
    "avenue-19": (("wrong-way", 0.0, 9.8, "a man comes straight at the camera where others cross the picture"),),
}
"""By clip: kind, from and to (seconds), and what is seen. In the first three people walk, stand and read, or cars
drive: nothing that a rule is about."""
CLIPS = REAL | {
    f"avenue-{number}": f"avenue_partial/testing_videos/{number}.avi" for number in ("08", "17", "18", "19")
}


def real(folder: Path, detectors: Sequence[str]) -> dict[str, Any]:
    """Faults put on clips, whether they are found; and the clips as they are. What is not there is left out."""
    whole = [name for name in detectors if name in ("signal", "health")]
    faults, plain, notes = [], [], []
    for name in CLIPS:
        if not (folder / CLIPS[name]).exists():
            notes.append(f"{name} is not there")
            continue
        take = real_normal(folder, name)
        orders = [Order(one) for one in whole]
        if "rules" in detectors:
            rules = "".join(f"{kind}: {rule}\n" for kind, rule in EVERYWHERE.items())
            orders.append(Order("rules", (), {"rules": rules, "sources": SOURCES}, rules=tuple(EVERYWHERE)))
        alarms = {name: told for desk in watch(take, orders) for name, told in desk.alarms().items()}
        plain.append(outcome(name, 0, take.frames, take.fps, take.happened(), alarms))
        print(f"{name}: {plain[-1]}", file=sys.stderr, flush=True)
        for kind in REAL_FAULTS if whole and name in REAL else ():
            take = real_fault(folder, name, kind)
            alarms = {
                name: told
                for desk in watch(take, [Order(one) for one in whole])
                for name, told in desk.alarms().items()
            }
            faults.append(outcome(f"{name} {kind}", 0, take.frames, take.fps, take.happened(), alarms))
    happens = {name: [list(one) for one in told] for name, told in HAPPENS.items()}
    return {"faults": summary(faults), "as_they_are": summary(plain), "what_happens": happens, "notes": notes}
