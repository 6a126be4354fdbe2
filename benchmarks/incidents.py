"""Incidents over held-out scenes and real clips: what is found, how late, and what false alarms it costs.

`python -m benchmarks.incidents -o docs/results/incidents.json`

Simulated cameras of every layout show people's incidents and faults of the picture, one after the other, in an order
that the seed decides, and quiet minutes between. All detectors that are installed look at the same pictures as in
service and are judged alike; normality learns from some minutes of the camera's ordinary traffic and is calibrated on
others. No encoder and no processes: what the picture shows is measured here, not how fast it travels (`alarm_latency`).
How is counted stands in `incident_counting`.

Each take is written down when it is over (`takes.jsonl` in the work folder), so a run may end at any time and goes on
where it was. `--real FOLDER` looks at real clips instead (`incident_real`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aggregate.calibration import calibrate
from benchmarks.harness import machine
from benchmarks.incident_counting import outcome, summary
from benchmarks.incident_desks import Order, trained, watch
from benchmarks.incident_real import real
from benchmarks.incident_rules import RULES, SOURCES, text
from benchmarks.incident_scenes import (
    CALIBRATION,
    FPS,
    HELD_OUT,
    QUIET,
    TRAINING,
    Take,
    incident_take,
    normal_take,
)
from detector_pool.models import open_files
from detector_pool.registry import detector_types
from simulator.scene import LAYOUTS

PER_HOUR = 2.0
"""False alarms per camera-hour that normality is calibrated to."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is asked for."""

    work: Path
    layouts: Sequence[str]
    detectors: Sequence[str]
    seeds: int
    train_minutes: float
    quiet_minutes: float


def takes_of(run: Run) -> Iterator[tuple[str, str, int]]:
    """Layout, part and number of all takes: every layout and kind once before any comes a second time."""
    of_pictures = ("spoilt", "moved") if "health" in run.detectors else ()
    for number in range(run.seeds):
        for part in ("people", "quiet", *of_pictures):
            for layout in run.layouts:
                yield layout, part, number


def take_of(layout: str, part: str, number: int, run: Run) -> Take:
    """The pictures."""
    if part == "quiet":
        return normal_take(layout, QUIET + number, run.quiet_minutes)
    return incident_take(layout, HELD_OUT + number, part)


def orders_for(layout: str, run: Run) -> list[Order]:
    """What each detector is told about a simulated camera. Normality learns and is calibrated first."""
    regions = normal_take(layout, HELD_OUT, 1.0).regions
    orders = []
    for name in run.detectors:
        if name == "normality":
            orders.append(_learnt(layout, run))
        elif name == "rules":
            orders.append(Order(name, regions, {"rules": text(), "sources": SOURCES}, rules=tuple(RULES)))
        else:
            orders.append(Order(name, [one for one in regions if name == "motion" and one.name == "restricted"]))
    return orders


def _learnt(layout: str, run: Run) -> Order:
    """The model of a run that was broken off is there already."""
    folder = run.work / layout
    calibrated = folder / "calibrated.json"
    if not calibrated.exists():
        model = trained(normal_take(layout, TRAINING, run.train_minutes).pictures, layout, FPS, folder / "model")
        (desk,) = watch(normal_take(layout, CALIBRATION, run.train_minutes), [Order("normality", model=model)])
        found = calibrate(desk.scores, desk.times_ns, PER_HOUR)
        calibrated.write_text(json.dumps({"threshold": found.threshold, "said": found.sentence}))
    told = json.loads(calibrated.read_text())
    return Order("normality", model=open_files(folder / "model"), threshold=told["threshold"])


def watched(run: Run, until_s: float) -> Iterable[dict[str, Any]]:
    """All outcomes that there are, after as many more takes as fit."""
    book = run.work / "takes.jsonl"
    done = {tuple(one["take"]): one for one in map(json.loads, book.read_text().splitlines())} if book.exists() else {}
    orders: dict[str, list[Order]] = {}
    for layout, part, number in takes_of(run):
        if (layout, part, number) in done:
            continue
        if time.monotonic() > until_s:
            break
        if layout not in orders:
            orders[layout] = orders_for(layout, run)
        take = take_of(layout, part, number, run)
        alarms = {name: told for desk in watch(take, orders[layout]) for name, told in desk.alarms().items()}
        one = outcome(layout, take.seed, take.frames, take.fps, take.happened(), alarms)
        one["take"] = [layout, part, number]
        with book.open("a") as out:
            out.write(json.dumps(one) + "\n")
        done[layout, part, number] = one
        print(f"{layout} {part} {number}", file=sys.stderr, flush=True)
    return done.values()


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("-o", "--output", type=Path, help="write it to this file too; another part of it there stays")
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache/trueframe/incidents", help="folder of what was done so far"
    )
    parser.add_argument("--seeds", type=int, default=2, help="held-out seeds of each layout")
    parser.add_argument("--stop-after", type=float, default=600.0, help="minutes after which no take begins any more")
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    parser.add_argument("--detectors", default="motion,signal,health,normality,rules")
    parser.add_argument(
        "--train-minutes", type=float, default=10.0, help="that normality learns from, and is calibrated on"
    )
    parser.add_argument("--quiet-minutes", type=float, default=15.0, help="in which nothing happens, for each seed")
    parser.add_argument("--real", type=Path, help="look at the real clips in this folder instead")
    options = parser.parse_args()
    wanted = options.detectors.split(",")
    there = [name for name in wanted if name in detector_types()]
    options.work.mkdir(parents=True, exist_ok=True)
    if options.real is not None:
        result: dict[str, Any] = {"real": real(options.real, there)}
    else:
        run = Run(
            options.work, options.layouts.split(","), there, options.seeds, options.train_minutes, options.quiet_minutes
        )
        result = {
            "simulated": summary(watched(run, time.monotonic() + options.stop_after * 60)),
            "seeds": f"incidents {HELD_OUT}, learning {TRAINING}, calibration {CALIBRATION}, quiet {QUIET} and on",
            "normality_calibrated_to_per_hour": PER_HOUR,
            "train_minutes": options.train_minutes,
        }
    result |= {"detectors": there, "not_measured": [name for name in wanted if name not in there], "machine": machine()}
    if options.output is not None:
        before = json.loads(options.output.read_text()) if options.output.exists() else {}
        options.output.write_text(json.dumps(before | result, indent=1, ensure_ascii=False) + "\n")
    if options.json:
        print(json.dumps(result))
    elif "simulated" in result:
        show(result["simulated"])


def show(found: dict[str, Any]) -> None:
    """The tables."""
    print("| incident | found | median delay | by | missed |\n|---|---|---|---|---|")
    for name, kind in found["kinds"].items():
        by = ", ".join(f"{detector} {count}" for detector, count in sorted(kind["by"].items()))
        delay = "" if kind["median_delay_s"] is None else f"{kind['median_delay_s']} s"
        print(f"| {name} | {kind['found']} of {kind['incidents']} | {delay} | {by} | {'; '.join(kind['missed'])} |")
    print(f"\n{found['quiet_hours']} quiet camera-hours\n\n| detector | false alarms per camera-hour |\n|---|---|")
    for name, rate in found["false_per_quiet_hour"].items():
        print(f"| {name} | {rate} |")


if __name__ == "__main__":
    main()
