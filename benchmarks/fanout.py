"""Fan-out: what a delivered frame costs the shipped broker, against C over raw Unix sockets in the same minute.

`python -m benchmarks.fanout --json` → {"loads": [{"rate": …, "delivered_share": …, "us_per_frame": …, "ratio_raw": …,
"p50_ms": …, "p99_ms": …}]}. The peer (peer/fanout_raw.c) gets the very items that the broker sent, over one Unix
socket, and does the same batching for the same number of subscribers. Both figures are CPU of the serving process
with all its threads, ingest included (for the broker: RTSP, SHA-256, minting), by delivered frame. `ratio_fanout`
sets the ingest aside on the broker's side: its CPU without subscribers, taken in the same run, is subtracted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Child, Instance, instance, machine
from benchmarks.relay import measure
from broker.client import SyncBrokerClient, WireFrame

PEER_SOURCE = Path(__file__).parent / "peer" / "fanout_raw.c"
CAPTURED_ITEMS = 400


def build_peer(folder: Path) -> Path:
    """Compiles the peer. Raises SystemExit with the remedy if there is no compiler."""
    binary = folder / "fanout_raw"
    try:
        subprocess.run(["gcc", "-O2", "-o", str(binary), str(PEER_SOURCE)], check=True)
    except FileNotFoundError:
        raise SystemExit("the C peer needs gcc. On Debian: sudo apt-get install gcc libc6-dev") from None
    return binary


def capture_items(made: Instance, path: Path) -> None:
    """Writes items that the broker really sends to a file in the peer's form."""
    client = SyncBrokerClient(made.endpoint("broker"), made.folder / "data" / "keys" / "service.token")
    captured = 0
    with path.open("wb") as file:
        for item in client.stream(all_cameras=True, subscriber="capture"):
            if isinstance(item, WireFrame):
                file.write(struct.pack("<I", len(item.raw)) + item.raw)
                captured += 1
            if captured >= CAPTURED_ITEMS:
                break
    client.close()


def run_peer(binary: Path, items: Path, rate: float, subscribers: int, seconds: float) -> dict[str, Any]:
    """The same load through the C peer; returns what it reports of itself."""
    socket = items.with_suffix(".sock")
    children: list[Child] = []
    try:
        serve = Child("serve", subprocess.Popen([binary, "serve", socket, str(subscribers)], stdout=subprocess.PIPE))
        children.append(serve)
        children.extend(Child("subscribe", subprocess.Popen([binary, "subscribe", socket])) for _ in range(subscribers))
        subprocess.run([binary, "produce", socket, items, str(rate), str(seconds)], check=True)
        text, _ = serve.process.communicate(timeout=60)
    finally:
        for child in children:
            child.stop()
    report: dict[str, Any] = json.loads(text)
    return report


def run_once(cameras: int, fps: int, subscribers: int, payload_bytes: int, seconds: float) -> dict[str, Any]:
    """One pair: the broker, then the peer, with the same items."""
    with instance() as made, tempfile.TemporaryDirectory() as work:
        binary = build_peer(Path(work))
        simulated = made.start_cameras(
            "--cameras", str(cameras), "--fps", str(fps), "--pad-bytes", str(payload_bytes)
        )  # fmt: skip
        made.configure(simulated.urls)
        broker = made.start_service("broker")
        made.wait_for_socket(made.endpoint("broker"), broker)
        time.sleep(5.0)  # every camera connects, the rings fill
        idle_us, idle_s = broker.cpu_us(), time.monotonic()
        time.sleep(seconds / 2)
        ingest_us_per_s = (broker.cpu_us() - idle_us) / (time.monotonic() - idle_s)
        taken = measure(made, broker, simulated, subscribers, seconds)
        items = Path(work) / "items"
        capture_items(made, items)
        simulated.child.stop()
        broker.stop()
        peer = run_peer(binary, items, cameras * fps, subscribers, seconds)
    reports = taken["reports"]
    rate = cameras * fps * subscribers
    us_per_frame = taken["cpu_us"] / (rate * taken["clock_s"])
    raw_us = peer["cpu_us"] / max(1, peer["delivered"])
    bad = sum(r["different"] + r["mismatched"] + r["holes"] for r in reports)
    return {
        "delivered_share": sum(r["delivered"] for r in reports) / max(1, sum(r["sent"] for r in reports)),
        "different": bad,
        "gaps_told": sum(sum(r["gaps"].values()) for r in reports),
        "us_per_frame": us_per_frame,
        "ingest_us_per_unit": ingest_us_per_s / (cameras * fps),
        "raw_us_per_frame": raw_us,
        "ratio_raw": us_per_frame / raw_us,
        "ratio_fanout": (taken["cpu_us"] / taken["clock_s"] - ingest_us_per_s) / rate / raw_us,
        "core": taken["cpu_us"] / taken["clock_s"] / 1e6,
        "p50_ms": statistics.median(r["p50_ms"] for r in reports),
        "p99_ms": max(r["p99_ms"] for r in reports),
        "frames_per_message": sum(r["delivered"] for r in reports) / max(1, sum(r["messages"] for r in reports)),
    }


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cameras", type=int, default=100)
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--subscribers", type=int, default=4)
    parser.add_argument("--payload-bytes", type=int, default=30_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3, help="pairs; every figure is the median of its own")
    options = parser.parse_args()
    pairs = [
        run_once(options.cameras, options.fps, options.subscribers, options.payload_bytes, options.seconds)
        for _ in range(options.repeats)
    ]
    load: dict[str, Any] = {"rate": options.cameras * options.fps * options.subscribers}
    load |= {key: round(statistics.median(pair[key] for pair in pairs), 4) for key in pairs[0]}
    load |= {key: sum(pair[key] for pair in pairs) for key in ("different", "gaps_told")}
    result = {
        "loads": [load],
        "payload_bytes": options.payload_bytes,
        "subscribers": options.subscribers,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "machine": machine(),
    }
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in load.items():
            print(f"{key:20} {value}")


if __name__ == "__main__":
    main()
