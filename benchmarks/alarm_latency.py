"""From frame to alarm: simulated cameras with scripted incidents through a whole embedded instance, as users run it.

`python -m benchmarks.alarm_latency --json` → p50_ms, p95_ms, p99_ms, incidents, found, false_per_camera_hour, coverage,
and how it was run.

Latency: from the broker's receipt of the frame on which the judge's condition was complete, to the alarm in the hands
of a gRPC client that watches events. That frame is derived from the judge's rules and the ledger: the first scored
frame that was received at least the rule's minimum duration after the anomaly's first. Both ends are read on this
host's monotonic clock. Each alarm of the time counts, false ones too.

An incident is found if an anomaly of the detector whose business it is overlaps its ground truth in time and, at its
peak frame, in place. Every other anomaly is false; those of detectors whose business no incident here is ("normality")
are counted by themselves. `--detectors health,normality` puts these on every camera; normality runs with a model that
learnt two minutes of the same place, one for each layout. Coverage: (frame, inspection) pairs for which the ledger
holds a score or a reason, of all pairs of frames that the broker handed out and inspections of their camera.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aggregate.client import Inspection, InspectionClient, RolloutStep
from benchmarks import coverage
from benchmarks.harness import Child, Instance, Simulation, cpu_us_of, instance, machine, percentile
from benchmarks.incident_desks import trained
from benchmarks.incident_scenes import FPS, TRAINING, normal_take
from benchmarks.observers import Alarm, Seen, observing
from broker.client import FrameId
from detector_pool.registry import detector_types
from mesh.errors import InvalidArgument
from simulator import log, truth
from trueframe.client import connect, connect_async
from trueframe.layout import layout_of
from trueframe.v1.events_pb2 import EVENT_KIND_ANOMALY

SCRIPT = (
    ("intrusion@16+10",),
    ("intrusion@22+9",),
    ("intrusion@8+10", "freeze@40+7"),
    ("intrusion@12+9", "signal-lost@47+5"),
    ("intrusion@20+11",),
    ("intrusion@12+9",),
    ("intrusion@30+10", "freeze@50+6"),
    ("intrusion@40+9", "signal-lost@10+4"),
)
"""What happens in a loop of a minute; cameras take these in turn."""
TAUGHT = "normality"
"""Needs a model of each place before it can look."""
TAUGHT_MINUTES = 2.0
SETTLE_S = 5.0
TAIL_S = 8.0
"""Longer than an anomaly needs to close, and a block to be written."""


@dataclass(slots=True)
class Run:
    """What one run gave. Latencies in milliseconds."""

    latencies: list[float] = field(default_factory=list)
    told: list[tuple[float, str]] = field(default_factory=list)
    """Each alarm's latency, with what it was and where the time went."""
    begun_to_alarm: list[float] = field(default_factory=list)
    hops: dict[str, list[float]] = field(default_factory=dict)
    places: list[float] = field(default_factory=list)
    incidents: int = 0
    found: int = 0
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)
    """Alarms of detectors whose business no incident is."""
    other_events: int = 0
    camera_hours: float = 0.0
    pairs: int = 0
    scored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unspoken: int = 0
    cpu_share: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def start_up(made: Instance, cameras: Simulation, detectors: Sequence[str]) -> Path:
    """Starts `trueframe up` on the simulated cameras, each motion inspection with its scene's region."""
    told = truth.read(cameras.log_dir)
    by_itself = [name for name in detectors if name != TAUGHT]
    lines = ["[aggregate]", f"default_detectors = {json.dumps(by_itself)}"]
    for camera in cameras.urls if "motion" in detectors else ():
        lines += ["[[inspections]]", f'id = "{camera}.motion"', f'camera = "{camera}"', "threshold = 0.0"]
        regions = [
            f'{{name = "{r["name"]}", use = "{r["use"]}", corners = {r["corners"]}}}' for r in told[camera]["regions"]
        ]
        lines.append(f"regions = [{', '.join(regions)}]")
    config = made.folder / "up.toml"
    config.write_text("\n".join(lines) + "\n")
    data, output = made.folder / "instance", made.folder / "up.log"
    command = [sys.executable, "-m", "trueframe", "up", "--headless", "--data", str(data), "--config", str(config)]
    command += [f"{camera}={url}" for camera, url in cameras.urls.items()]
    with output.open("wb") as said:
        child = Child("trueframe up", subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL))
    made.children.append(child)
    deadline = time.monotonic() + 120.0
    while "all parts run" not in output.read_text():
        if child.process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"trueframe up does not run: {output.read_text()[-2000:]}")
        time.sleep(0.1)
    return data


def taught(layouts: Iterable[str]) -> dict[str, bytes]:
    """Models of normality as zips, by layout, each learnt from the place's ordinary traffic."""
    return {
        layout: trained(normal_take(layout, TRAINING, TAUGHT_MINUTES).pictures, layout, FPS).packed()
        for layout in dict.fromkeys(layouts)
    }


def put_normality(data: Path, layouts: Mapping[str, str], models: Mapping[str, bytes]) -> None:
    """Publishes the models and puts an inspection with its layout's on each camera."""
    with connect(data) as tf:
        for layout, packed in models.items():
            version, _ = tf.models.add(packed, model=f"{layout}.{TAUGHT}")
            tf.models.roll_out(version.model, RolloutStep.PROMOTE, version.digest)
        for camera, layout in layouts.items():
            order = Inspection(id=f"{camera}.{TAUGHT}", camera=camera, detector=TAUGHT, model=f"{layout}.{TAUGHT}")
            deadline_s = time.monotonic() + 60.0
            while True:
                try:
                    tf.inspections.put(order)
                    break
                except InvalidArgument:
                    # No worker has told yet that it knows this detector.
                    if time.monotonic() > deadline_s:
                        raise
                    time.sleep(0.5)


async def wait_warm(inspections: InspectionClient, count: int) -> dict[str, str]:
    """Returns when so many inspections score frames: inspection to camera. Raises SystemExit after two minutes."""
    deadline = time.monotonic() + 120.0
    while True:
        statuses = await inspections.list()
        warm = {status.inspection.id: status.inspection.camera for status in statuses if status.frames_scored}
        if len(warm) >= count:
            return warm
        if time.monotonic() > deadline:
            raise SystemExit(f"only {', '.join(sorted(warm)) or 'none'} of {count} inspections scores frames")
        await asyncio.sleep(0.5)


async def measure(cameras: Simulation, data: Path, seconds: float, detectors: int) -> Run:
    """Watches the instance for that time, then reads the ledger."""
    run = Run()
    service_token = layout_of(data).service_token
    async with connect_async(data) as client:
        endpoint = client.running.endpoints["aggregate"]
        async with InspectionClient(endpoint, service_token) as inspections:
            asked = await wait_warm(inspections, detectors * len(cameras.urls))
        async with observing(client, data, next(iter(cameras.urls))) as seen:
            await asyncio.sleep(SETTLE_S)
            start_ns, clock_s = time.time_ns(), time.monotonic()
            cpu_us = {name: cpu_us_of(pid) for name, pid in client.running.children.items()}
            await asyncio.sleep(seconds)
            clock_s = time.monotonic() - clock_s
            for name, before in cpu_us.items():
                run.cpu_share[name] = round((cpu_us_of(client.running.children[name]) - before) / clock_s / 1e6, 3)
            end_ns = time.time_ns()
            await asyncio.sleep(TAIL_S)
        run.failures += seen.failures
        run.camera_hours = len(cameras.urls) * clock_s / 3600
        ledger = await coverage.read_ledger(endpoint, service_token, asked)
    for camera in cameras.urls:
        minted = [frame.id for frame in seen.frames[camera] if start_ns <= frame.received_ns < end_ns]
        counted = coverage.count(minted, [book for book in ledger.values() if book.camera == camera])
        run.pairs += counted.pairs
        run.scored += counted.scored
        run.reasons += counted.reasons
        run.unspoken += counted.unspoken
    judge_alarms(run, seen, cameras, ledger, start_ns, end_ns)
    run.hops["picture"] = [age_ns / 1e6 for age_ns in seen.pictures_ns]
    return run


def judge_alarms(
    run: Run, seen: Seen, cameras: Simulation, ledger: dict[str, coverage.Book], start_ns: int, end_ns: int
) -> None:
    """Sets alarms against the truth, and takes their latencies."""
    told = truth.read(cameras.log_dir)
    for camera in cameras.urls:
        frames = {frame.id: frame for frame in seen.frames[camera]}
        received = {frame.number: frame for frame in seen.frames[camera]}
        alarms = [
            alarm
            for alarm in seen.alarms.values()
            if alarm.event.camera == camera and start_ns <= alarm.event.started_ns < end_ns
        ]
        run.other_events += sum(alarm.event.kind != EVENT_KIND_ANOMALY for alarm in alarms)
        alarms = [alarm for alarm in alarms if alarm.event.kind == EVENT_KIND_ANOMALY]
        happened = truth.occurrences(camera, told[camera], log.read(log.path_of(cameras.log_dir, camera)))
        explained: set[str] = set()
        for occurrence in happened:
            first, last = received.get(occurrence.first), received.get(occurrence.last)
            overlaps = {a.event.id: occurrence.overlap(as_found(a, frames)) for a in alarms}
            told_of = [alarm for alarm in alarms if overlaps[alarm.event.id] > 0]
            explained.update(alarm.event.id for alarm in told_of)
            # One that the beginning or end of the measurement cuts in two is nobody's merit and nobody's fault.
            if not (first and last and occurrence.is_whole):
                continue
            if not start_ns <= first.received_ns <= last.received_ns < end_ns:
                continue
            run.incidents += 1
            if not told_of:
                run.missed.append(f"{camera} {occurrence.kind} {first.id} to {last.id}")
                continue
            run.found += 1
            alarm = min(told_of, key=lambda one: one.monotonic_ns)
            run.begun_to_alarm.append((alarm.monotonic_ns - first.monotonic_ns) / 1e6)
            if occurrence.boxes:
                run.places.append(max(overlaps.values()))
        for alarm in alarms:
            if alarm.event.id not in explained:
                event = alarm.latest
                is_judged = event.detector.partition("@")[0] in truth.SEEN_BY.values()
                told_of_nothing = run.false if is_judged else run.unjudged
                told_of_nothing.append(f"{event.detector} {FrameId.from_proto(event.first)} to {event.last.seq}")
            take_latency(run, seen, alarm, ledger)


def as_found(alarm: Alarm, frames: dict[FrameId, Any]) -> truth.Found:
    """The event, as it came last, in the camera's running numbers."""
    event = alarm.latest
    first, peak, last = (
        frames[key].number if key in frames else -1
        for key in (FrameId.from_proto(frame) for frame in (event.first, event.peak, event.last))
    )
    boxes = tuple((box.x, box.y, box.x + box.width, box.y + box.height) for box in event.boxes)
    return truth.Found(event.detector, first, peak, last, boxes)


def take_latency(run: Run, seen: Seen, alarm: Alarm, ledger: dict[str, coverage.Book]) -> None:
    """The time from the frame that completed the condition to the alarm, and to the places on the way."""
    event = alarm.event
    min_duration_ns = detector_types()[event.detector.partition("@")[0]].judging.min_duration_ns
    book = ledger[f"{event.camera}.{event.detector.partition('@')[0]}"]
    first = FrameId.from_proto(event.first)
    for frame in seen.frames[event.camera]:
        if frame.id < first or frame.received_ns - event.started_ns < min_duration_ns:
            continue
        if not book.has_score(frame.id):
            continue
        latency_ms = (alarm.monotonic_ns - frame.monotonic_ns) / 1e6
        judged_ns, bus_ns = seen.on_bus.get(event.id, (0, 0))
        moments_ns = {"judged": judged_ns, "bus": bus_ns, "event_stored": event.changed_ns}
        hops = {name: (at_ns - frame.received_ns) / 1e6 for name, at_ns in moments_ns.items() if at_ns}
        for name, value_ms in hops.items():
            run.hops.setdefault(name, []).append(value_ms)
        way = ", ".join(f"{name} {value_ms:.0f}" for name, value_ms in hops.items())
        run.latencies.append(latency_ms)
        run.told.append((latency_ms, f"{latency_ms:.0f} ms {event.detector} {first} on {frame.id.seq}: {way}"))
        return
    run.failures.append(f"no frame completes the condition of {event.id} ({first})")


def run_once(cameras: int, fps: int, seconds: float, detectors: Sequence[str]) -> Run:
    """One run from nothing."""
    with instance() as made:
        script = [f"cam-{n + 1}={text}" for n in range(cameras) for text in SCRIPT[n % len(SCRIPT)]]
        arguments = [word for text in script for word in ("--incident", text)]
        simulated = made.start_cameras("--cameras", str(cameras), "--fps", str(fps), *arguments)
        layouts = {camera: told["layout"] for camera, told in truth.read(simulated.log_dir).items()}
        # Before anything is measured: learning takes the processor for itself.
        models = taught(layouts.values()) if TAUGHT in detectors else {}
        data = start_up(made, simulated, detectors)
        if models:
            put_normality(data, layouts, models)
        return asyncio.run(measure(simulated, data, seconds, len(detectors)))


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median and the slow end."""
    return {f"p{share}": round(percentile(values, share / 100), 1) for share in (50, 95, 99)}


def result_of(runs: Sequence[Run]) -> dict[str, Any]:
    """All runs together."""
    latencies = [value for run in runs for value in run.latencies]
    pairs = sum(run.pairs for run in runs)
    spoken = sum(run.scored + run.reasons.total() for run in runs)
    hours = sum(run.camera_hours for run in runs)
    false = [text for run in runs for text in run.false]
    hops = {name: [v for run in runs for v in run.hops.get(name, ())] for run in runs for name in run.hops}
    places = [value for run in runs for value in run.places]
    return {
        **{f"{name}_ms": value for name, value in spread(latencies).items()},
        "alarms": len(latencies),
        "incidents": sum(run.incidents for run in runs),
        "found": sum(run.found for run in runs),
        "false_per_camera_hour": round(len(false) / hours, 2) if hours else 0.0,
        "coverage": round(spoken / pairs, 6) if pairs else 0.0,
        "pairs": pairs,
        "scored": sum(run.scored for run in runs),
        "reasons": dict(sum((run.reasons for run in runs), Counter[str]())),
        "unspoken": sum(run.unspoken for run in runs),
        "begun_to_alarm_ms": spread([value for run in runs for value in run.begun_to_alarm]),
        "hops_ms": {name: spread(values) for name, values in hops.items()},
        "slowest": [text for _, text in sorted((one for run in runs for one in run.told), reverse=True)[:5]],
        "place_iou": round(statistics.median(places), 3) if places else None,
        "missed": [text for run in runs for text in run.missed],
        "false": false,
        "unjudged_alarms": sum(len(run.unjudged) for run in runs),
        "other_events": sum(run.other_events for run in runs),
        "cpu_share": {n: round(statistics.mean(r.cpu_share.get(n, 0.0) for r in runs), 3) for n in runs[0].cpu_share},
        "failures": [text for run in runs for text in run.failures],
    }


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--repeats", type=int, default=1, help="runs; percentiles are over the alarms of all")
    parser.add_argument("--detectors", default="motion,signal", help="on every camera; normality is taught first")
    options = parser.parse_args()
    detectors = tuple(dict.fromkeys(options.detectors.split(",")))
    load = machine()
    result = result_of(
        [run_once(options.cameras, options.fps, options.seconds, detectors) for _ in range(options.repeats)]
    )
    result |= {"cameras": options.cameras, "fps": options.fps, "seconds": options.seconds, "repeats": options.repeats}
    result |= {"detectors": list(detectors)}
    result |= {"machine": load, "load_1m_after": machine()["load_1m"]}
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:22} {value}")


if __name__ == "__main__":
    main()
