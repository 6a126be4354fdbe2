"""Fan-out: what a delivered frame costs the broker, against C over raw Unix sockets and C++ gRPC in the same minute.

`python -m benchmarks.fanout --json` → {"loads": [{"rate": …, "ratio_raw": …, "ratio_cpp": …, "us_per_frame": …,
"delivered_share": …, "core": …, "p50_ms": …, "p99_ms": …, …}, …], …}, one entry a load: 6,000 frames/s (4 subscribers,
100 cameras, 15 frames/s), 24,000 (8, 100, 30) and 48,000 (16, 100, 30).

All servers get the same items of 30 KB from the same producer over one Unix socket, paced evenly, for the same number
of subscribers, one server after another:

    broker    the shipped hub, subscriptions, security and gRPC server in one process (`benchmarks.fanout_host`)
    cpp       C++ gRPC, one message a frame (peer/fanout_grpc.cc, BATCH 1): `ratio_cpp`
    cpp16     the same, joining up to 16 waiting frames into a message as the broker does: `ratio_cpp16`
    raw       C, writev, raw Unix sockets, joining up to 16 (peer/fanout_raw.c): `ratio_raw`

Figures are CPU of the serving process with all its threads by delivered frame; each is the median over repeats. gRPC
servers have the same readers: C++ where libgrpc++ is installed (a reader in Python would be the limit on two cores),
else Python, and then there is no `ratio_cpp`.

The load of 6,000 is also run through `python -m broker` as it stands, from RTSP cameras, with every frame's digest
verified by readers in Python: keys that begin with `whole_`. That figure holds ingest, minting and SHA-256, which the
peers have none of.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Child, Instance, instance, machine
from benchmarks.peers import Peers, build_peers, report_of, start, write_items
from benchmarks.relay import brokers, measure

# name: subscribers, cameras, frames per second
LOADS = {"6000": (4, 100, 15), "24000": (8, 100, 30), "48000": (16, 100, 30)}
_SETTLE_S = 3.0
_PATIENCE_S = 60.0


class Run:
    """One load through one server after another."""

    def __init__(self, made: Instance, peers: Peers, work: Path, load: tuple[int, int, int], seconds: float) -> None:
        self.made = made
        self.peers = peers
        self.work = work
        self.subscribers, self.cameras, self.fps = load
        self.seconds = seconds
        self.items = work / "items"
        self.socket = work / "producer.sock"

    def _readers(self, endpoint: str) -> list[Child]:
        token = self.made.token_file
        seconds = str(_SETTLE_S + self.seconds + 2.0)
        if self.peers.grpc is not None:
            command: list[str | Path] = [self.peers.grpc, "subscribe", endpoint, seconds, token]
        else:
            command = [sys.executable, "-m", "benchmarks.counter", endpoint, seconds, token]
        return [start("reader", command) for _ in range(self.subscribers)]

    def _feed(self, server: Child, readers: list[Child]) -> dict[str, Any]:
        """Feeds a server that has a socket; returns its figures and those of its readers."""
        try:
            time.sleep(_SETTLE_S)
            if server.process.poll() is not None:
                raise SystemExit(f"{server.name} ended with status {server.process.returncode}")
            rate = self.cameras * self.fps
            command = [self.peers.raw, "produce", self.socket, self.items, rate, self.seconds]
            begun_s = time.monotonic()
            subprocess.run([str(word) for word in command], check=True)
            clock_s = time.monotonic() - begun_s
            report = report_of(server, _PATIENCE_S)
            reports = [report_of(reader, _PATIENCE_S) for reader in readers if reader.name == "reader"]
        finally:
            for child in (server, *readers):
                child.stop()
        wanted = int(rate * self.seconds) * self.subscribers
        figures = {
            "us_per_frame": report["cpu_us"] / max(1, report["delivered"]),
            "core": report["cpu_us"] / clock_s / 1e6,
            "frames_per_message": report["delivered"] / max(1, report["messages"]),
            "delivered_share": sum(r["items"] for r in reports) / wanted if reports else report["delivered"] / wanted,
        }
        if reports:
            figures["p50_ms"] = statistics.median(r["p50_ms"] for r in reports)
            figures["p99_ms"] = max(r["p99_ms"] for r in reports)
        return figures

    def broker(self) -> dict[str, Any]:
        """The broker's fan-out."""
        self.made.configure({}, broker={"max_subscribers": 64})
        command = [sys.executable, "-m", "benchmarks.fanout_host", "--config", self.made.config_file,
                   "--socket", self.socket, "--cameras", self.cameras]  # fmt: skip
        self.socket.unlink(missing_ok=True)
        server = start("fanout_host", command)
        self.made.wait_for_socket(self.made.endpoint("broker"), server)
        return self._feed(server, self._readers(self.made.endpoint("broker")))

    def cpp(self, batch: int) -> dict[str, Any]:
        """C++ gRPC."""
        assert self.peers.grpc is not None
        endpoint = f"unix:{self.work}/cpp.sock"
        server = start("cpp", [self.peers.grpc, "serve", self.socket, endpoint, str(self.subscribers), str(batch)])
        return self._feed(server, self._readers(endpoint))

    def raw(self) -> dict[str, Any]:
        """C over raw Unix sockets, with its own readers."""
        server = start("raw", [self.peers.raw, "serve", self.socket, str(self.subscribers)])
        readers = [start("raw-reader", [self.peers.raw, "subscribe", self.socket]) for _ in range(self.subscribers)]
        return self._feed(server, readers)


def run_load(peers: Peers, load: tuple[int, int, int], payload_bytes: int, seconds: float) -> dict[str, Any]:
    """All servers once; figures of the broker, and ratios."""
    with instance() as made, tempfile.TemporaryDirectory(prefix="trueframe-bench-") as folder:
        run = Run(made, peers, Path(folder), load, seconds)
        write_items(run.items, run.cameras, payload_bytes)
        servers: dict[str, Callable[[], dict[str, Any]]] = {"raw": run.raw}
        if peers.grpc is not None:
            servers |= {"cpp": lambda: run.cpp(1), "cpp16": lambda: run.cpp(16)}
        taken = run.broker()
        for name, server in servers.items():
            figures = server()
            taken[f"ratio_{name}"] = taken["us_per_frame"] / figures["us_per_frame"]
            taken |= {f"{name}_{key}": value for key, value in figures.items()}
    return taken


def run_whole(load: tuple[int, int, int], payload_bytes: int, seconds: float, raw_us: float) -> dict[str, Any]:
    """The shipped broker from RTSP cameras; every frame's digest is verified."""
    subscribers, cameras, fps = load
    with instance() as made:
        simulated = made.start_cameras(
            "--cameras", str(cameras), "--fps", str(fps), "--pad-bytes", str(payload_bytes)
        )  # fmt: skip
        with brokers(made, simulated, 1) as shards:
            time.sleep(5.0)  # every camera connects, the rings fill
            taken = measure(made, shards, simulated, subscribers, cameras * fps, seconds)
    us_per_frame = taken["broker_us_per_unit"] / subscribers
    return {
        "whole_us_per_frame": us_per_frame,
        "whole_ratio_raw": us_per_frame / raw_us,
        "whole_core": taken["broker_core"],
        "whole_delivered_share": taken["delivered_share"],
        "whole_different": taken["different"],
        "whole_lost": taken["lost"],
        "whole_p50_ms": taken["p50_ms"],
        "whole_p99_ms": taken["p99_ms"],
    }


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--load", choices=[*LOADS, "all"], default="all", help="frames/s delivered")
    parser.add_argument("--payload-bytes", type=int, default=30_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3, help="every figure is the median of its own")
    parser.add_argument("--no-whole", action="store_true", help="leave out the run from RTSP cameras")
    options = parser.parse_args()
    loads = []
    with tempfile.TemporaryDirectory(prefix="trueframe-peers-") as folder:
        peers = build_peers(Path(folder))
        for name in LOADS if options.load == "all" else [options.load]:
            runs = []
            for _ in range(options.repeats):
                run = run_load(peers, LOADS[name], options.payload_bytes, options.seconds)
                if name == "6000" and not options.no_whole:
                    run |= run_whole(LOADS[name], options.payload_bytes, options.seconds, run["raw_us_per_frame"])
                runs.append(run)
            figures = {key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0]}
            subscribers, cameras, fps = LOADS[name]
            loads.append({"rate": int(name), "subscribers": subscribers, "cameras": cameras, "fps": fps, **figures})
    result = {
        "loads": loads,
        "payload_bytes": options.payload_bytes,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "machine": machine(),
    }
    if options.json:
        print(json.dumps(result))
        return
    for load in loads:
        for key, value in load.items():
            print(f"{key:24} {value}")
        print()


if __name__ == "__main__":
    main()
