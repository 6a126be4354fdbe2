"""Relay: simulated RTSP cameras through the shipped broker to its subscribers, every unit accounted for.

`python -m benchmarks.relay --json` → lost, different, broker_us_per_unit, broker_core, p50_ms, p99_ms, rss_mb, and how
it was run. CPU is that of the broker process with all its threads and children while subscribers are measured. A unit
is one access unit of one camera, however many subscribers get it; every subscriber compares every unit with the
sender's log by number and SHA-256.

From 20 seconds of measurement on it tells whether memory is flat: `rss_growth_mb` is the least-squares slope times the
time left, `rss_range_mb` what lies between the largest and the smallest. For that the rings hold 15 s
(`--ring-seconds`): rings that are still filling grow, as they should.

With `--peer` the same cameras then go through a restreamer to as many viewers of each (`benchmarks.restream`):
`ratio_peer` is the broker's CPU over the restreamer's, both by delivered unit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import restream
from benchmarks.harness import Child, Instance, Simulation, instance, machine, slope

WARM_UP_S = 3.0
FLAT_FROM_S = 20.0


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
    memory: list[tuple[float, float]] = []
    while (elapsed_s := time.monotonic() - clock_s) < seconds - 1.0:
        memory.append((elapsed_s, broker.rss_bytes() / 1e6))
        time.sleep(min(1.0, seconds - 1.0 - elapsed_s))
    cpu_us, clock_s = broker.cpu_us() - cpu_us, time.monotonic() - clock_s
    reports = []
    for child in started:
        text, _ = child.process.communicate(timeout=120)
        reports.append(json.loads(text))
    return {"cpu_us": cpu_us, "clock_s": clock_s, "memory": memory, "reports": reports}


def memory_of(samples: list[tuple[float, float]]) -> dict[str, float]:
    """What became of the resident memory; growth and range only where it was watched for long enough."""
    figures = {"rss_mb": samples[-1][1]}
    settled = [sample for sample in samples if sample[0] >= FLAT_FROM_S]
    if len(settled) >= 10:
        values = [value for _, value in settled]
        figures["rss_growth_mb"] = slope(settled) * (settled[-1][0] - settled[0][0])
        figures["rss_range_mb"] = max(values) - min(values)
    return figures


def run_once(options: argparse.Namespace) -> dict[str, Any]:
    """One run from nothing: cameras, broker, subscribers; then the peer."""
    with instance() as made:
        cameras = made.start_cameras(
            "--cameras", str(options.cameras), "--fps", str(options.fps), "--pad-bytes", str(options.payload_bytes)
        )  # fmt: skip
        made.configure(cameras.urls, broker={"ring_seconds": options.ring_seconds})
        broker = made.start_service("broker")
        made.wait_for_socket(made.endpoint("broker"), broker)
        taken = measure(made, broker, cameras, options.subscribers, options.seconds)
        broker.stop()
        peer = None
        if options.peer:
            peer = restream.run_peer(made, cameras.urls, options.subscribers, min(options.seconds, 20.0))
    reports = taken["reports"]
    rate = options.cameras * options.fps
    core = taken["cpu_us"] / taken["clock_s"] / 1e6
    figures = {
        "lost": sum(r["lost"] + r["holes"] for r in reports),
        "different": sum(r["different"] + r["mismatched"] for r in reports),
        "units": sum(r["sent"] for r in reports),
        "broker_us_per_unit": core * 1e6 / rate,
        "broker_core": core,
        "p50_ms": statistics.median(r["p50_ms"] for r in reports),
        "p99_ms": max(r["p99_ms"] for r in reports),
        **memory_of(taken["memory"]),
    }
    if peer is not None:
        delivered = peer["units"] / min(options.seconds, 20.0)
        figures["peer_core"] = peer["core"]
        figures["peer_delivered_share"] = delivered / (rate * options.subscribers)
        figures["ratio_peer"] = core / (rate * options.subscribers) / (peer["core"] / delivered)
    return figures


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--subscribers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--payload-bytes", type=int, default=0, help="units are padded to this size; 0: as coded")
    parser.add_argument("--ring-seconds", type=float, default=15.0)
    parser.add_argument("--peer", action="store_true", help="then the same cameras through GStreamer's RTSP server")
    parser.add_argument("--repeats", type=int, default=3, help="runs; figures are medians, losses are sums")
    options = parser.parse_args()
    if options.peer and not restream.is_there():
        raise SystemExit("the peer needs GStreamer's RTSP server and its Python binding: make deps-real")
    runs = [run_once(options) for _ in range(options.repeats)]
    summed = ("lost", "different", "units")
    result: dict[str, Any] = {key: sum(run[key] for run in runs) for key in summed}
    result |= {key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0] if key not in summed}
    result |= {key: value for key, value in vars(options).items() if key not in ("json", "peer")}
    if options.peer:
        result["peer"] = restream.NAME
    result["machine"] = machine()
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:20} {value}")


if __name__ == "__main__":
    main()
