"""Incidents over held-out scenes and real clips: what is found, how late, and what false alarms it costs.

`python -m benchmarks.incidents --json -o docs/results/incidents.json`

Simulated cameras of every layout show people's incidents and faults of the picture, one after the other, in an order
that the seed decides; seeds are at least 900,000 and used for nothing else. All detectors that are installed look at
them as in service and are judged alike; normality learns from ten minutes of the camera's ordinary traffic and is
calibrated on ten others. No encoder and no processes: what the picture shows is measured here, not how fast it travels
(`alarm_latency`).

An incident is found by a detector if one of its alarms was told between the incident's beginning and ten seconds
behind its end and, where both have a place, touches it. Such alarms, those of its people on their way, and those that
begin up to twenty seconds behind an incident (things come back, pictures recover) are no false ones; every other is.
Delay is from the first frame of the incident to the frame at which the judge opens the alarm.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from aggregate.calibration import calibrate
from benchmarks.harness import machine
from benchmarks.incident_desks import Alarm, Desk, Order, trained, watch
from benchmarks.incident_rules import SOURCES, text
from benchmarks.incident_scenes import (
    CALIBRATION,
    FPS,
    HELD_OUT,
    QUIET,
    REAL,
    REAL_FAULTS,
    TRAINING,
    Happened,
    Take,
    normal_take,
    real_fault,
    real_normal,
    scene_takes,
)
from detector_pool.registry import detector_types
from mesh.errors import InvalidArgument
from simulator.scene import LAYOUTS

BEHIND = round(10.0 * FPS)
RECOVERS = round(20.0 * FPS)
PER_HOUR = 2.0
"""False alarms per camera-hour that normality is calibrated to."""


@dataclass(slots=True)
class Kind:
    """What became of the incidents of one kind."""

    incidents: int = 0
    found: int = 0
    by: Counter[str] = field(default_factory=Counter)
    delays_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What was found in some takes."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    false: dict[str, list[str]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    hours: float = 0.0

    def take(self, take: Take, desks: Sequence[Desk]) -> None:
        """Sets the alarms of a take against its truth."""
        fps = take.fps
        happened = take.happened()
        explained: set[int] = set()
        alarms = [alarm for desk in desks for alarm in desk.alarms()]
        for one in happened:
            kind = self.kinds.setdefault(one.kind, Kind())
            kind.incidents += 1
            tellers = [alarm for alarm in alarms if tells(alarm, one)]
            explained |= {id(alarm) for alarm in alarms if tells(alarm, one) or belongs(alarm, one)}
            if not tellers:
                self.missed.append(f"{take.camera} seed {take.seed}: {one.kind} at {one.first / fps:.0f} s")
                continue
            kind.found += 1
            kind.by.update({alarm.detector for alarm in tellers})
            kind.delays_s.append(max(0, min(alarm.told for alarm in tellers) - one.first) / fps)
        for desk in desks:
            self.false.setdefault(desk.name, [])
        for alarm in alarms:
            if id(alarm) not in explained:
                where = f"{take.camera} seed {take.seed} at {alarm.first / fps:.0f} to {alarm.last / fps:.0f} s"
                self.false[alarm.detector].append(f"{where}: {alarm.score:.2f} {alarm.said}".rstrip())
        self.hours += take.frames / fps / 3600

    def join(self, other: Tally) -> None:
        """Takes what was found elsewhere as well."""
        for name, more in other.kinds.items():
            kind = self.kinds.setdefault(name, Kind())
            kind.incidents += more.incidents
            kind.found += more.found
            kind.by.update(more.by)
            kind.delays_s += more.delays_s
        for name, found in other.false.items():
            self.false.setdefault(name, []).extend(found)
        self.missed += other.missed
        self.hours += other.hours

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "camera_hours": round(self.hours, 3),
            "kinds": {
                name: {
                    "incidents": kind.incidents,
                    "found": kind.found,
                    "by": dict(sorted(kind.by.items())),
                    "median_delay_s": round(statistics.median(kind.delays_s), 1) if kind.delays_s else None,
                }
                for name, kind in self.kinds.items()
            },
            "false_per_camera_hour": {
                name: round(len(found) / self.hours, 2) if self.hours else None for name, found in self.false.items()
            },
            "missed": self.missed,
            "false": self.false,
        }


def tells(alarm: Alarm, happened: Happened) -> bool:
    """Whether an alarm was told of an incident, in time and in place."""
    if not happened.first <= alarm.told <= happened.last + BEHIND:
        return False
    if not happened.boxes or not alarm.boxes:
        return True
    nearest = min(happened.boxes, key=lambda at: abs(at - alarm.peak))
    return any(_touch(box, happened.boxes[nearest]) for box in alarm.boxes)


def belongs(alarm: Alarm, happened: Happened) -> bool:
    """Whether an alarm runs over an incident, or tells who comes to it, or what is left of it."""
    return alarm.first <= happened.last + RECOVERS and alarm.last >= happened.comes


def _touch(a: Sequence[float], b: Sequence[float]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def orders_for(layout: str, detectors: Iterable[str], minutes: float) -> list[Order]:
    """What each detector is told about a simulated camera. Normality learns and is calibrated first."""
    take = normal_take(layout, HELD_OUT, 1.0)
    restricted = [one for one in take.regions if one.name == "restricted"]
    orders = []
    for name in detectors:
        if name == "normality":
            orders.append(_learnt(layout, minutes))
        elif name == "rules":
            orders.append(Order(name, take.regions, {"rules": text(layout), "sources": SOURCES}))
        else:
            orders.append(Order(name, restricted if name == "motion" else ()))
    return orders


def _learnt(layout: str, minutes: float) -> Order:
    model = trained(normal_take(layout, TRAINING, minutes).pictures, layout, FPS)
    (desk,) = watch(normal_take(layout, CALIBRATION, minutes), [Order("normality", model=model)])
    calibrated = calibrate(desk.scores, desk.times_ns, PER_HOUR)
    print(f"{layout}: normality {calibrated.sentence}", file=sys.stderr)
    return Order("normality", model=model, threshold=calibrated.threshold)


def simulated(options: argparse.Namespace, detectors: Sequence[str]) -> tuple[Tally, Tally]:
    """Incidents, and hours in which nothing happens, over all layouts; several of these side by side."""
    incidents, quiet = Tally(), Tally()
    layouts = options.layouts.split(",")
    # Fresh processes: what onnxruntime started does not survive a fork.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for found in pool.map(of_layout, layouts, repeat(options), repeat(tuple(detectors))):
            incidents.join(found[0])
            quiet.join(found[1])
    return incidents, quiet


def of_layout(layout: str, options: argparse.Namespace, detectors: Sequence[str]) -> tuple[Tally, Tally]:
    """One layout's."""
    incidents, quiet = Tally(), Tally()
    orders = orders_for(layout, detectors, options.train_minutes)
    for seed in range(HELD_OUT, HELD_OUT + options.seeds):
        for take in scene_takes(layout, seed):
            incidents.take(take, watch(take, orders))
        take = normal_take(layout, QUIET + seed - HELD_OUT, options.quiet_minutes)
        quiet.take(take, watch(take, orders))
        print(f"{layout} seed {seed}: {len(incidents.missed)} missed so far", file=sys.stderr, flush=True)
    return incidents, quiet


def real(folder: Path, detectors: Sequence[str]) -> dict[str, Any]:
    """Real clips: faults put on their last quarter of a minute, and what is raised on them as they are."""
    faults, plain = Tally(), Tally()
    on_whole_pictures = [name for name in detectors if name in ("signal", "health")]
    notes = []
    for name in REAL:
        for kind in REAL_FAULTS:
            take = real_fault(folder, name, kind)
            faults.take(take, watch(take, [Order(one) for one in on_whole_pictures]))
        take = real_normal(folder, name)
        orders = [Order(one) for one in on_whole_pictures]
        if "normality" in detectors:
            half = take.frames // 2

            def first_half(take: Take = take, half: int = half) -> Iterable[Any]:
                return (shot for shot in take.pictures() if shot.id.seq < half)

            try:
                orders.append(Order("normality", model=trained(first_half, name, take.fps)))
            except InvalidArgument as error:
                notes.append(f"{name}: normality is not measured: {error}")
        plain.take(take, watch(take, orders))
    return {"faults": faults.record(), "as_they_are": plain.record(), "notes": notes}


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("-o", "--output", type=Path, help="write it to this file too")
    parser.add_argument("--seeds", type=int, default=2, help="held-out seeds of each layout")
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    parser.add_argument("--jobs", type=int, default=1, help="layouts side by side")
    parser.add_argument("--detectors", default="motion,signal,health,normality,rules")
    parser.add_argument(
        "--train-minutes", type=float, default=10.0, help="that normality learns from, and is calibrated on"
    )
    parser.add_argument("--quiet-minutes", type=float, default=15.0, help="in which nothing happens, for each seed")
    parser.add_argument("--real", type=Path, default=Path("../shared/footage"), help="folder of real clips")
    options = parser.parse_args()
    wanted = options.detectors.split(",")
    there = [name for name in wanted if name in detector_types()]
    began_s = time.monotonic()
    incidents, quiet = simulated(options, there)
    result: dict[str, Any] = {
        "simulated": incidents.record(),
        "quiet": quiet.record(),
        "real": real(options.real, there) if options.real.is_dir() else "not measured: no such folder",
        "detectors": there,
        "not_measured": [name for name in wanted if name not in there],
        "held_out": f"seeds {HELD_OUT} to {HELD_OUT + options.seeds - 1}; training, calibration and quiet hours: "
        f"seeds from {TRAINING}, {CALIBRATION} and {QUIET} on",
        "normality_calibrated_to_per_hour": PER_HOUR,
        "train_minutes": options.train_minutes,
        "layouts": options.layouts.split(","),
        "seconds": round(time.monotonic() - began_s),
        "machine": machine(),
    }
    if options.output is not None:
        options.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    if options.json:
        print(json.dumps(result))
        return
    show(result)


def show(result: dict[str, Any]) -> None:
    """The tables."""
    for title in ("simulated", "quiet"):
        part = result[title]
        print(f"{title}: {part['camera_hours']} camera-hours")
        for name, kind in part["kinds"].items():
            by = ", ".join(f"{detector} {count}" for detector, count in kind["by"].items())
            print(f"  {name:12} {kind['found']:3} of {kind['incidents']:3}  {kind['median_delay_s'] or '-'} s  {by}")
        for name, rate in part["false_per_camera_hour"].items():
            print(f"  false alarms of {name}: {rate} per camera-hour")


if __name__ == "__main__":
    main()
