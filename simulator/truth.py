"""What truth.json and the sent log say together: each incident as it was really sent, and whether something found it.

What belongs here: occurrences, by the camera's running numbers, and their overlap in time and place with what a
detector said. What does not: how a finding's frames lead to running numbers (their payload's stamp does: `sei`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.log import SentUnit

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in fractions of the picture."""
SEEN_BY: Mapping[str, Mapping[str, float]] = {
    "intrusion": {"motion": 1.0, "normality": 1.0},
    "running": {"normality": 1.0},
    "wrong-way": {"normality": 1.0},
    "left-object": {"normality": 20.0},
    "freeze": {"signal": 5.0},
    "signal-lost": {"signal": 2.0},
    "cover": {"health": 11.0},
    "bump": {"health": 11.0},
    "turn-away": {"health": 11.0},
    "blur": {"health": 14.0},
    "dark": {"health": 21.0},
    "glare": {"health": 21.0},
    "noise": {"health": 21.0},
}
"""The detectors whose business an incident is, and how many seconds it must last for each: what the detector waits for
by design (`signal` 3 s of rest; `health` 5 to 15 s of a fault, once it knows the camera), a few seconds to come about
and a second to be judged. Shorter ones are not held against it.

Motion sees what moves in its region, `normality` what moves as nothing moved before; frozen and empty pictures `health`
leaves to `signal`. No detector here sees a crowd, a fall or somebody who hangs about, nor a silent camera."""


def is_due(kind: str, detector: str, seconds: float) -> bool:
    """Whether a detector ("motion@1" or "motion") has to find an incident of this kind that lasts so long."""
    needed_s = SEEN_BY.get(kind, {}).get(detector.partition("@")[0])
    return needed_s is not None and seconds >= needed_s


@dataclass(frozen=True, slots=True)
class Found:
    """What somebody claims, in the camera's running numbers."""

    detector: str
    first: int
    peak: int
    last: int
    boxes: tuple[Box, ...] = ()
    """Where, at the peak."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An incident of the script, once round the loop."""

    camera: str
    kind: str
    first: int
    last: int
    """Running numbers of its first and last unit that were sent."""
    is_whole: bool
    """All of its frames were sent."""
    region: str | None
    boxes: Mapping[int, Box]
    """Where, by running number; empty for what concerns the whole picture."""

    def overlap(self, found: Found) -> float:
        """How well a finding tells this: 0 if time, place or detector differ, else the overlap of boxes at its peak.

        That is their intersection over union; 1 for an incident that has no place.
        """
        if found.detector.partition("@")[0] not in SEEN_BY.get(self.kind, {}) or not self.is_during(found):
            return 0.0
        if not self.boxes:
            return 1.0
        where = self.boxes.get(found.peak)
        return max((iou(box, where) for box in found.boxes), default=0.0) if where else 0.0

    def is_during(self, found: Found) -> bool:
        """Whether a finding touches its time, whoever claims it and wherever."""
        return found.first <= self.last and found.last >= self.first


def read(log_folder: Path) -> dict[str, Any]:
    """truth.json: what every camera shows, by camera."""
    cameras: dict[str, Any] = json.loads((log_folder / "truth.json").read_text())["cameras"]
    return cameras


def occurrences(camera: str, truth: Mapping[str, Any], sent: Iterable[SentUnit]) -> list[Occurrence]:
    """Every incident of a camera's script as often as it was sent, in order of sending."""
    frames = {unit.number: unit.frame_in_loop for unit in sent if unit.dropped_packets == 0}
    found = []
    for incident in truth["incidents"]:
        start, end = incident["start"], incident["end"]
        rounds: list[list[int]] = []
        for number, frame in sorted(frames.items()):
            if not start <= frame < end:
                continue
            # Two rounds are a loop apart; inside one, B-frames or lost units leave small steps.
            if not rounds or number - rounds[-1][-1] > truth["loop_frames"] / 2:
                rounds.append([])
            rounds[-1].append(number)
        for numbers in rounds:
            told = incident["boxes"] or []
            boxes = {number: told[frames[number] - start] for number in numbers} if told else {}
            found.append(
                Occurrence(
                    camera,
                    incident["kind"],
                    numbers[0],
                    numbers[-1],
                    len(numbers) == end - start,
                    incident["region"],
                    {number: (box[0], box[1], box[2], box[3]) for number, box in boxes.items() if box},
                )
            )
    return sorted(found, key=lambda occurrence: occurrence.first)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
