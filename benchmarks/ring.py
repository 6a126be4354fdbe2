"""Ring: what handing a picture to four readers costs, against a memcpy of its bytes and against multiprocessing.

`python -m benchmarks.ring --json` → {"publish_ratio_small": …, "publish_ratio_large": …, "wake_p50_us": …,
"wake_p99_us": …, "peer_ratio": …}. Small pictures are 1920x1080 (3.1 MB of I420), large ones 2560x1620 (6.2 MB).

* publish_ratio: CPU of publishing a picture (the shipped Outlet: settled, pins, copy, record, waking) over that of one
  memcpy of the same bytes into a rotating pool of as many slots, half an interval after it; medians.
* wake: from the moment a picture is whole in the ring to the moment a reader holds it, of all readers, small pictures.
  Each reader then looks at the picture: on few cores the last one waits for the looks of the others. `wake_one_reader`
  is the same with one.
* peer_ratio: CPU of writer and readers together for a picture, over that of the peer: a pool of
  multiprocessing.shared_memory segments, a picture copied in, its slot sent over a multiprocessing.Queue to each reader
  process, which has the segments mapped and reads in place (ring_peer.py). Same pictures, rate, slots and look.
* copies_per_reader: pictures whose planes did not lie in the ring's own memory, of every sixteenth a reader got.

Each run is ours, then the peer; every figure is the median over the runs.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.harness import machine, percentile
from benchmarks.ring_peer import run_peer
from broker.pixel.handover import ReaderSeat, serve_rings
from broker.pixel.outlet import Budget, Outlet
from broker.pixel.planes import Planes, planes_of
from mesh.tokens import Verifier, mint_token

SMALL, LARGE = (1920, 1080), (2560, 1620)
EPOCH = 1


class Desk:
    """rings.sock with one outlet, served by a thread of its own: the writer is the caller's thread."""

    def __init__(self, folder: Path, slots: int) -> None:
        self.path = folder / "rings.sock"
        key = Ed25519PrivateKey.generate()
        self.token = mint_token(key, "benchmark", "service")
        self.outlet = Outlet("bench", slots, Budget(1 << 32), 1)
        self._verifier = Verifier(key.public_key())
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        self._ready.wait(10)

    async def _serve(self) -> None:
        async with serve_rings(self.path, self._verifier, self._take_seat):
            self._ready.set()
            await self._stop.wait()

    async def _take_seat(self, camera: str, seat: ReaderSeat) -> Callable[[], None]:
        self.outlet.add(seat)
        return lambda: self.outlet.remove(seat)

    def close(self) -> None:
        """Ends the serving thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()


def sources(width: int, height: int) -> list[Planes]:
    """A few pictures in frames as a decoder allocates them; each is used in turn, as a decoder's pool is."""
    made = []
    for seed in range(4):
        noise = np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), np.uint8)
        made.append(planes_of(av.VideoFrame.from_ndarray(noise, format="yuv420p")))
    return made


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the readers did not come within 60 s")
        time.sleep(0.02)


def run_ours(width: int, height: int, options: argparse.Namespace) -> dict[str, Any]:
    """Publishes paced pictures to reader processes; each picture is followed by its memcpy."""
    pictures = sources(width, height)
    size = width * height * 3 // 2
    plain = [np.random.default_rng(seed).integers(0, 256, size, np.uint8) for seed in range(4)]
    pool = [np.ones(size, np.uint8) for _ in range(options.slots)]
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        desk = Desk(Path(folder), options.slots)
        outlet = desk.outlet
        outlet.begin_epoch(EPOCH, -1, width, height)
        command = [sys.executable, "-m", "benchmarks.ring_reader", str(desk.path), desk.token, str(options.pictures)]
        readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(options.readers)]
        try:
            _wait_for(lambda: outlet.readers == options.readers)
            time.sleep(0.3)  # they map, and fall asleep
            publish_ns, copy_ns, total_ns = [], [], 0

            def publish(seq: int) -> None:
                began = time.thread_time_ns()
                outlet.picture(
                    pictures[seq % 4], seq=seq, received_ns=seq, monotonic_ns=time.monotonic_ns(), inexact=False
                )
                publish_ns.append(time.thread_time_ns() - began)

            def copy(seq: int) -> None:
                target, source = pool[seq % options.slots].ctypes.data, plain[seq % 4].ctypes.data
                began = time.thread_time_ns()
                ctypes.memmove(target, source, size)
                copy_ns.append(time.thread_time_ns() - began)

            due = time.monotonic()
            for seq in range(options.pictures):
                # Each by itself at its own half of the interval, so that both find a machine that has just slept, and
                # no memcpy stands in the way of the readers that were woken.
                for step in (publish, copy):
                    due += 0.5 / options.fps
                    time.sleep(max(0.0, due - time.monotonic()))
                    step(seq)
            total_ns = sum(publish_ns)
            reports = [json.loads(reader.communicate(timeout=60)[0]) for reader in readers]
        finally:
            for reader in readers:
                reader.kill()
                reader.wait()
            desk.close()
    waits = [wait / 1000 for report in reports for wait in report["waits_ns"]]
    told = sum(report["pictures"] for report in reports)
    return {
        "publish_ratio": statistics.median(publish_ns) / statistics.median(copy_ns),
        "publish_us": statistics.median(publish_ns) / 1000,
        "memcpy_us": statistics.median(copy_ns) / 1000,
        "wake_p50_us": percentile(waits, 0.5),
        "wake_p99_us": percentile(waits, 0.99),
        "reader_us": sum(report["cpu_us"] for report in reports) / max(1, told),
        "cpu_us_per_picture": (total_ns / 1000 + sum(report["cpu_us"] for report in reports)) / options.pictures,
        "copies_per_reader": 16 * sum(report["copies"] for report in reports) / max(1, told),
        "seen_share": told / (options.pictures * options.readers),
        "torn": sum(report["torn"] for report in reports),
    }


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--fps", type=float, default=50.0)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=300, help="of each run")
    parser.add_argument("--repeats", type=int, default=5, help="runs; every figure is the median of its own")
    options = parser.parse_args()
    runs = []
    for _ in range(options.repeats):
        small, peer = run_ours(*SMALL, options), run_peer(*SMALL, options)
        one = argparse.Namespace(**{**vars(options), "readers": 1})
        alone, peer_alone = run_ours(*SMALL, one), run_peer(*SMALL, one)
        large, peer_large = run_ours(*LARGE, options), run_peer(*LARGE, options)
        run = {
            "publish_ratio_small": small["publish_ratio"],
            "publish_ratio_large": large["publish_ratio"],
            "wake_p50_us": small["wake_p50_us"],
            "wake_p99_us": small["wake_p99_us"],
            "peer_ratio": small["cpu_us_per_picture"] / peer["cpu_us_per_picture"],
            "peer_ratio_large": large["cpu_us_per_picture"] / peer_large["cpu_us_per_picture"],
            "wake_one_reader_p50_us": alone["wake_p50_us"],
            "wake_one_reader_p99_us": alone["wake_p99_us"],
            "peer_wake_one_reader_p50_us": peer_alone["wake_p50_us"],
            "peer_wake_one_reader_p99_us": peer_alone["wake_p99_us"],
            "peer_wake_p50_us": peer["wake_p50_us"],
            "peer_wake_p99_us": peer["wake_p99_us"],
        }
        for name, part in (("small", small), ("large", large)):
            keys = ("publish_us", "memcpy_us", "reader_us", "copies_per_reader", "seen_share", "torn")
            run |= {f"{key}_{name}": part[key] for key in keys}
        run |= {"peer_publish_us_small": peer["publish_us"], "peer_reader_us_small": peer["reader_us"]}
        run |= {"peer_seen_share_small": peer["seen_share"]}
        runs.append(run)
    result: dict[str, Any] = {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
    result |= {
        "readers": options.readers,
        "fps": options.fps,
        "slots": options.slots,
        "pictures": options.pictures,
        "repeats": options.repeats,
        "machine": machine(),
    }
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:26} {value}")


if __name__ == "__main__":
    main()
