"""Relay: simulated RTSP cameras through the shipped broker to its subscribers, every unit accounted for.

`python -m benchmarks.relay --json` → lost, different, broker_us_per_unit, broker_core, p50_ms, p99_ms, rss_mb, and how
it was run. CPU is that of the broker process with all its threads and children while subscribers are measured. A unit
is one access unit of one camera, however many subscribers get it; every subscriber compares every unit with the
sender's log by number and SHA-256.

From 20 seconds of measurement on it tells whether memory is flat: `rss_growth_mb` is the least-squares slope times the
time left, `rss_range_mb` what lies between the largest and the smallest. For that the rings hold 15 s
(`--ring-seconds`): rings that are still filling grow, as they should.

With `--brokers N` the same cameras also go through N broker processes that share them, and every subscriber reads a
stream of each. Which comes first changes from run to run. `shards` has their figures, `ratio_cpu` and `ratio_p99` are
those of the shards over those of one process, medians of pairs.

`lost` is what was not in a subscriber's hands half a second after the end; `overruns` are gaps that the broker told
because a reader fell behind its rings. `sent_share` is how much of its units the simulator got out, `simulator_core`,
`subscribers_core` and `machine_busy` (of all cores, whoever uses them) say whether the broker or the machine was the
limit.

With `--peer` the same cameras then go through a restreamer to as many viewers of each (`benchmarks.restream`):
`ratio_peer` is the broker's CPU over the restreamer's, both by delivered unit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import restream
from benchmarks.harness import Child, Instance, MachineTime, Simulation, instance, machine, slope

WARM_UP_S = 3.0
FLAT_FROM_S = 20.0
SUMMED = ("lost", "different", "overruns", "units")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the brokers that share the cameras."""

    made: Instance
    broker: Child


@contextlib.contextmanager
def brokers(made: Instance, cameras: Simulation, count: int, **settings: Any) -> Iterator[list[Shard]]:
    """So many brokers, each with its share of the cameras, until the end of the block. `settings`: of [broker]."""
    with contextlib.ExitStack() as ending:
        started = []
        for number in range(count):
            folder = made.beside(f"{count}-{number}-{time.monotonic_ns()}")
            share = dict(list(cameras.urls.items())[number::count])
            folder.configure(share, broker=settings)
            started.append(Shard(folder, folder.start_service("broker")))
            ending.callback(started[-1].broker.stop)
        for shard in started:
            shard.made.wait_for_socket(shard.made.endpoint("broker"), shard.broker)
        yield started


def readers(made: Instance, shards: list[Shard], cameras: Simulation, count: int, seconds: float) -> list[Child]:
    """Starts subscriber processes; returns when each has opened its streams."""
    started = []
    for number in range(count):
        command = [
            sys.executable, "-m", "benchmarks.reader", "--logs", str(cameras.log_dir),
            "--warm-up", str(WARM_UP_S), "--seconds", str(seconds),
        ]  # fmt: skip
        for shard in shards:
            command += ["--endpoint", shard.made.endpoint("broker"), "--token-file", str(shard.made.token_file)]
        child = Child(f"reader-{number}", subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        made.children.append(child)
        started.append(child)
    for child in started:
        assert child.process.stdout is not None
        child.process.stdout.readline()
    return started


def measure(
    made: Instance, shards: list[Shard], cameras: Simulation, subscribers: int, rate: int, seconds: float
) -> dict[str, Any]:
    """One measurement: the CPU of the brokers and of who is beside them, and what each subscriber got.

    `rate`: units per second of all cameras together.
    """
    started = readers(made, shards, cameras, subscribers, seconds)
    parts = {
        "broker": [shard.broker for shard in shards],
        "simulator": [cameras.child],
        "subscribers": started,
    }

    def used_us() -> dict[str, float]:
        return {name: sum(child.cpu_us() for child in children) for name, children in parts.items()}

    time.sleep(WARM_UP_S)
    before_us, busy, clock_s = used_us(), MachineTime.now(), time.monotonic()
    memory: list[tuple[float, float]] = []
    while (elapsed_s := time.monotonic() - clock_s) < seconds - 1.0:
        memory.append((elapsed_s, sum(shard.broker.rss_bytes() for shard in shards) / 1e6))
        time.sleep(min(1.0, seconds - 1.0 - elapsed_s))
    after_us, busy_share, clock_s = used_us(), busy.share_until_now(), time.monotonic() - clock_s
    reports = []
    for child in started:
        text, _ = child.process.communicate(timeout=120)
        reports.append(json.loads(text))
    cores = {f"{name}_core": (after_us[name] - before_us[name]) / clock_s / 1e6 for name in parts}
    return {
        "lost": sum(r["lost"] + r["holes"] for r in reports),
        "different": sum(r["different"] + r["mismatched"] for r in reports),
        "overruns": sum(r["gaps"].get("overrun", 0) for r in reports),
        "units": sum(r["sent"] for r in reports),
        "delivered_share": sum(r["delivered"] for r in reports) / max(1, sum(r["sent"] for r in reports)),
        "broker_us_per_unit": cores["broker_core"] * 1e6 / rate,
        **cores,
        "machine_busy": busy_share,
        "sent_share": statistics.fmean(r["sent"] for r in reports) / (rate * (seconds - 0.5)),
        "p50_ms": statistics.median(r["p50_ms"] for r in reports),
        "p99_ms": max(r["p99_ms"] for r in reports),
        **memory_of(memory),
    }


def memory_of(samples: list[tuple[float, float]]) -> dict[str, float]:
    """What became of the resident memory; growth and range only where it was watched for long enough."""
    figures = {"rss_mb": samples[-1][1]}
    settled = [sample for sample in samples if sample[0] >= FLAT_FROM_S]
    if len(settled) >= 10:
        values = [value for _, value in settled]
        figures["rss_growth_mb"] = slope(settled) * (settled[-1][0] - settled[0][0])
        figures["rss_range_mb"] = max(values) - min(values)
    return figures


def run_once(options: argparse.Namespace, turn: int) -> dict[str, Any]:
    """One run from nothing: cameras, broker, subscribers; then, or before, the shards; then the peer."""
    with instance() as made:
        cameras = made.start_cameras(
            "--cameras", str(options.cameras), "--fps", str(options.fps), "--pad-bytes", str(options.payload_bytes)
        )  # fmt: skip
        counts = [1] if options.brokers == 1 else [1, options.brokers]
        taken = {}
        rate = options.cameras * options.fps
        for count in counts if turn % 2 == 0 else reversed(counts):
            with brokers(made, cameras, count, ring_seconds=options.ring_seconds) as shards:
                taken[count] = measure(made, shards, cameras, options.subscribers, rate, options.seconds)
        figures = taken[1]
        if options.brokers > 1:
            shared = figures["shards"] = taken[options.brokers]
            figures["ratio_cpu"] = shared["broker_core"] / figures["broker_core"]
            figures["ratio_p99"] = shared["p99_ms"] / figures["p99_ms"]
        if options.peer:
            seconds = min(options.seconds, 20.0)
            peer = restream.run_peer(made, cameras.urls, options.subscribers, seconds)
            wanted = rate * options.subscribers
            figures["peer_core"] = peer["core"]
            figures["peer_delivered_share"] = peer["units"] / seconds / wanted
            figures["ratio_peer"] = figures["broker_core"] / wanted / (peer["core"] / (peer["units"] / seconds))
    return figures


def over_runs(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of what every run has; sums of what was lost."""
    figures: dict[str, Any] = {}
    for key, first in runs[0].items():
        values = [run[key] for run in runs]
        if isinstance(first, dict):
            figures[key] = over_runs(values)
        else:
            figures[key] = sum(values) if key in SUMMED else round(statistics.median(values), 4)
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
    parser.add_argument("--brokers", type=int, default=1, help="then so many broker processes that share the cameras")
    parser.add_argument("--peer", action="store_true", help="then the same cameras through GStreamer's RTSP server")
    parser.add_argument("--repeats", type=int, default=3, help="runs; figures are medians, losses are sums")
    options = parser.parse_args()
    if options.peer and not restream.is_there():
        raise SystemExit("the peer needs GStreamer's RTSP server and its Python binding: make deps-real")
    result = over_runs([run_once(options, turn) for turn in range(options.repeats)])
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
