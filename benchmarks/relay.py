"""Relay: simulated RTSP cameras through the shipped broker to one subscriber, every unit accounted for.

`python -m benchmarks.relay --json` → lost, different, broker_us_per_unit, p50_ms, p99_ms, rss_mb, and how it was run.
CPU is that of the broker process with all its threads and children while the subscriber is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.harness import Child, Instance, Simulation, instance, machine

WARM_UP_S = 3.0


def readers(made: Instance, cameras: Simulation, count: int, seconds: float) -> list[Child]:
    """Starts subscriber processes; returns when each has opened its stream."""
    started = []
    for number in range(count):
        command = [
            sys.executable, "-m", "benchmarks.reader", "--endpoint", made.endpoint("broker"),
            "--token-file", str(made.folder / "data" / "keys" / "service.token"),
            "--logs", str(cameras.log_dir), "--warm-up", str(WARM_UP_S), "--seconds", str(seconds),
        ]  # fmt: skip
        child = Child(f"reader-{number}", subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        made.children.append(child)
        started.append(child)
    for child in started:
        assert child.process.stdout is not None
        child.process.stdout.readline()
    return started


def measure(made: Instance, broker: Child, cameras: Simulation, subscribers: int, seconds: float) -> dict[str, Any]:
    """One measurement with a number of subscribers: the broker's CPU, and what each subscriber got."""
    started = readers(made, cameras, subscribers, seconds)
    time.sleep(WARM_UP_S)
    cpu_us, clock_s = broker.cpu_us(), time.monotonic()
    time.sleep(seconds - 1.0)
    cpu_us, clock_s = broker.cpu_us() - cpu_us, time.monotonic() - clock_s
    reports = []
    for child in started:
        text, _ = child.process.communicate(timeout=120)
        reports.append(json.loads(text))
    return {"cpu_us": cpu_us, "clock_s": clock_s, "rss_bytes": broker.rss_bytes(), "reports": reports}


def run_once(camera_count: int, fps: int, seconds: float, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """One run from nothing: cameras, broker, one subscriber."""
    with instance() as made:
        cameras = made.start_cameras("--cameras", str(camera_count), "--fps", str(fps), *more)
        made.configure(cameras.urls)
        broker = made.start_service("broker")
        made.wait_for_socket(made.endpoint("broker"), broker)
        taken = measure(made, broker, cameras, 1, seconds)
    report = taken["reports"][0]
    units = camera_count * fps * taken["clock_s"]
    return {
        "lost": report["lost"] + report["holes"],
        "different": report["different"] + report["mismatched"],
        "units": report["sent"],
        "broker_us_per_unit": round(taken["cpu_us"] / units, 1),
        "p50_ms": round(report["p50_ms"], 3),
        "p99_ms": round(report["p99_ms"], 3),
        "rss_mb": round(taken["rss_bytes"] / 1e6, 1),
    }


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--repeats", type=int, default=3, help="runs; figures are medians, losses are sums")
    options = parser.parse_args()
    runs = [run_once(options.cameras, options.fps, options.seconds) for _ in range(options.repeats)]
    result: dict[str, Any] = {key: sum(run[key] for run in runs) for key in ("lost", "different", "units")}
    for key in ("broker_us_per_unit", "p50_ms", "p99_ms", "rss_mb"):
        result[key] = statistics.median(run[key] for run in runs)
    result |= {"cameras": options.cameras, "fps": options.fps, "seconds": options.seconds, "repeats": options.repeats}
    result["machine"] = machine()
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:20} {value}")


if __name__ == "__main__":
    main()
