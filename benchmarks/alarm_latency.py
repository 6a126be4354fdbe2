"""From frame to alarm: simulated cameras with scripted incidents through a whole embedded instance, as users run it.

`python -m benchmarks.alarm_latency --json` → p50_ms, p95_ms, p99_ms, incidents, found, false_per_camera_hour, coverage,
and how it was run.

Latency: from the broker's receipt of the frame on which the judge's condition was complete, to the alarm in the hands
of a gRPC client that watches events. That frame is derived from the judge's rules and the ledger: the first scored
frame that was received at least the rule's minimum duration after the anomaly's first. Both ends are read on this
host's monotonic clock. Each alarm of the time counts, false ones too. What a detector waits for by itself, before its
score rises, is part of `begun_to_alarm_ms` only.

`detectors` in the result has each one's incidents, found, latencies and false alarms (`alarm_tally` says how they are
counted). `--detectors motion,signal,health,normality` puts these on every camera; with `health` faults of the picture
happen that last as long as it waits. Normality runs with a model for each layout that learnt two minutes of what a
camera there sends: coded, decoded, and with the counter burnt in that moves in every picture; a model that never saw
the counter would call every frame abnormal. Its thresholds are calibrated on five other minutes to one false alarm an
hour. Both are made before anything is measured; `--models FOLDER` keeps them for the next run.

Coverage: (frame, inspection) pairs for which the ledger holds a score or a reason, of all pairs of frames that the
broker handed out and inspections of their camera.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aggregate.client import Inspection, InspectionClient, RolloutStep
from benchmarks import coverage
from benchmarks.alarm_tally import Run, judge_alarms, result_of
from benchmarks.harness import Child, Instance, Simulation, cpu_us_of, instance, machine
from benchmarks.observers import observing
from benchmarks.taught_places import Taught, taught
from mesh.errors import InvalidArgument
from simulator import truth
from trueframe.client import connect, connect_async
from trueframe.layout import layout_of

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
FAULTS = {0: "cover@38+14", 1: "blur@38+17", 4: "cover@40+14", 5: "blur@34+17"}
"""What happens besides, by place in the script, where `health` looks: it waits longer than a freeze lasts here."""
TAUGHT = "normality"
"""Needs a model of each place before it can look."""
SETTLE_S = 5.0
TAIL_S = 8.0
"""Longer than an anomaly needs to close, and a block to be written."""


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


def put_normality(data: Path, layouts: Mapping[str, str], models: Mapping[str, Taught]) -> None:
    """Publishes the models and puts an inspection with its layout's, and its threshold, on each camera."""
    with connect(data) as tf:
        for layout, one in models.items():
            version, _ = tf.models.add(one.packed, model=f"{layout}.{TAUGHT}")
            tf.models.roll_out(version.model, RolloutStep.PROMOTE, version.digest)
        for camera, layout in layouts.items():
            order = Inspection(
                id=f"{camera}.{TAUGHT}",
                camera=camera,
                detector=TAUGHT,
                model=f"{layout}.{TAUGHT}",
                threshold=models[layout].threshold,
            )
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


async def measure(cameras: Simulation, data: Path, seconds: float, detectors: Sequence[str]) -> Run:
    """Watches the instance for that time, then reads the ledger."""
    run = Run()
    for name in detectors:
        run.share(name)
    service_token = layout_of(data).service_token
    async with connect_async(data) as client:
        endpoint = client.running.endpoints["aggregate"]
        async with InspectionClient(endpoint, service_token) as inspections:
            asked = await wait_warm(inspections, len(detectors) * len(cameras.urls))
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


def script(cameras: int, detectors: Sequence[str]) -> list[str]:
    """What happens on each camera, as `--incident` takes it."""
    found = []
    for number in range(cameras):
        turn = number % len(SCRIPT)
        besides = (FAULTS[turn],) if "health" in detectors and turn in FAULTS else ()
        found += [f"cam-{number + 1}={text}" for text in (*SCRIPT[turn], *besides)]
    return found


def run_once(cameras: int, fps: int, seconds: float, detectors: Sequence[str], models: Path) -> Run:
    """One run from nothing but models."""
    with instance() as made:
        arguments = [word for text in script(cameras, detectors) for word in ("--incident", text)]
        simulated = made.start_cameras("--cameras", str(cameras), "--fps", str(fps), *arguments)
        layouts = {camera: told["layout"] for camera, told in truth.read(simulated.log_dir).items()}
        # Before anything is measured: learning takes the processor for itself.
        places = taught(layouts.values(), fps, models) if TAUGHT in detectors else {}
        data = start_up(made, simulated, detectors)
        if places:
            put_normality(data, layouts, places)
        return asyncio.run(measure(simulated, data, seconds, detectors))


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--repeats", type=int, default=1, help="runs; percentiles are over the alarms of all")
    parser.add_argument("--detectors", default="motion,signal", help="on every camera; normality is taught first")
    parser.add_argument("--models", type=Path, help="models of normality are kept here, and taken from here")
    options = parser.parse_args()
    detectors = tuple(dict.fromkeys(options.detectors.split(",")))
    load = machine()
    with tempfile.TemporaryDirectory(prefix="trueframe-models-") as folder:
        models = options.models or Path(folder)
        result = result_of(
            [run_once(options.cameras, options.fps, options.seconds, detectors, models) for _ in range(options.repeats)]
        )
    result |= {"cameras": options.cameras, "fps": options.fps, "seconds": options.seconds, "repeats": options.repeats}
    result |= {"machine": load, "load_1m_after": machine()["load_1m"]}
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:22} {value}")


if __name__ == "__main__":
    main()
