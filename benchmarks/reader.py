"""A subscriber process of a benchmark: reads a lossless stream of each broker and checks every id and digest.

Prints one JSON object at its end. Latency is from the sender's log (same host, one monotonic clock) to the moment at
which the batch was in this process's hands.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from benchmarks.harness import percentile
from broker.client import BatchReader, WireFrame
from mesh.channel import connect_sync
from mesh.grpc_bytes import bytes_stream_stream
from simulator.log import read as read_log
from trueframe.v1.broker_pb2 import StreamFramesRequest
from trueframe.v1.frames_pb2 import Gap, GapReason


def main() -> None:
    """Reads for `--seconds` after `--warm-up`, then judges what came against the sender's log."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", action="append", required=True, help="once for each broker")
    parser.add_argument("--token-file", action="append", type=Path, required=True, help="one for each --endpoint")
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--camera", action="append", default=[], help="only these cameras; all without it")
    parser.add_argument("--ages", type=Path, help="writes when each unit was sent, and how old it came, to this file")
    options = parser.parse_args()
    begin_ns = time.monotonic_ns() + int(options.warm_up * 1e9)
    end_ns = begin_ns + int(options.seconds * 1e9)
    readings = [
        Reading(endpoint, token, options.camera, begin_ns, end_ns)
        for endpoint, token in zip(options.endpoint, options.token_file, strict=True)
    ]
    sys.stdout.write("started\n")
    sys.stdout.flush()
    threads = [threading.Thread(target=reading.run) for reading in readings[1:]]
    for thread in threads:
        thread.start()
    readings[0].run()
    for thread in threads:
        thread.join()
    arrivals: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
    gaps: Counter[str] = Counter()
    for reading in readings:
        gaps += reading.gaps
        for camera, units in reading.arrivals.items():
            arrivals[camera] += units
    logs = [path for path in sorted(options.logs.glob("*.sent")) if not options.camera or path.stem in options.camera]
    ages: list[tuple[int, float]] = []
    result = judge(logs, arrivals, begin_ns, end_ns, ages)
    if options.ages is not None:
        options.ages.write_text(json.dumps(ages))
    sums = {name: sum(getattr(reading, name) for reading in readings) for name in ("mismatched", "holes", "messages")}
    json.dump({**result, **sums, "gaps": gaps}, sys.stdout)


class Reading:
    """The stream of one broker until `end_ns` (monotonic), and what came of it. Messages count from `begin_ns` on."""

    def __init__(self, endpoint: str, token_file: Path, cameras: list[str], begin_ns: int, end_ns: int) -> None:
        self.arrivals: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
        self.gaps: Counter[str] = Counter()
        self.mismatched = self.holes = self.messages = 0
        self._begin_ns, self._end_ns = begin_ns, end_ns
        self._channel = connect_sync(endpoint, token_file)
        # The raw call: what is measured is the broker, so this side shall not cost more than it must.
        open_stream = bytes_stream_stream(self._channel, "trueframe.v1.BrokerService", "StreamFrames")
        request = StreamFramesRequest(cameras=cameras, all_cameras=not cameras, subscriber="benchmark")
        self._stream = open_stream(iter([request]))
        # A stream that gives nothing must end too.
        self._watchdog = threading.Timer((end_ns - time.monotonic_ns()) / 1e9 + 5.0, self._stream.cancel)
        self._watchdog.daemon = True
        self._watchdog.start()

    def run(self) -> None:
        """Reads."""
        last: dict[tuple[str, int], int] = {}
        for batch in batches(self._stream):
            now_ns = time.monotonic_ns()
            if now_ns > self._end_ns:
                break
            self.messages += now_ns >= self._begin_ns
            for item in BatchReader(batch):
                if not isinstance(item, WireFrame):
                    if isinstance(item, Gap):
                        self.gaps[GapReason.Name(item.reason).removeprefix("GAP_REASON_").lower()] += 1
                    continue
                key = (item.camera, item.epoch)
                self.holes += last.get(key, item.seq - 1) + 1 != item.seq
                last[key] = item.seq
                self.mismatched += hashlib.sha256(item.payload).digest() != item.digest
                self.arrivals[item.camera].append((item.digest, now_ns))
        self._stream.cancel()
        self._channel.close()


def batches(stream: Any) -> Iterator[bytes]:
    """The messages of a call until it ends, however it does."""
    with contextlib.suppress(grpc.RpcError):
        yield from stream


def judge(
    logs: list[Path],
    arrivals: dict[str, list[tuple[bytes, int]]],
    begin_ns: int,
    end_ns: int,
    ages: list[tuple[int, float]],
) -> dict[str, Any]:
    """Compares what arrived with what was sent inside the window, but for its last half second.

    Fills `ages`: when each unit was sent (monotonic, ns), and how old it came (ms).
    """
    sent_units = lost = different = 0
    settled_ns = end_ns - 500_000_000
    for path in logs:
        got = dict(arrivals.get(path.stem, []))
        known = set()
        for unit in read_log(path):
            known.add(unit.digest)
            if not begin_ns <= unit.sent_monotonic_ns <= settled_ns:
                continue
            sent_units += 1
            arrived_ns = got.get(unit.digest)
            if arrived_ns is None:
                lost += 1
            else:
                ages.append((unit.sent_monotonic_ns, (arrived_ns - unit.sent_monotonic_ns) / 1e6))
        different += sum(digest not in known for digest in got)
    latencies_ms = [age_ms for _, age_ms in ages]
    return {
        "sent": sent_units,
        "delivered": sent_units - lost,
        "lost": lost,
        "different": different,
        "p50_ms": percentile(latencies_ms, 0.50),
        "p99_ms": percentile(latencies_ms, 0.99),
        "max_ms": max(latencies_ms, default=0.0),
    }


if __name__ == "__main__":
    main()
