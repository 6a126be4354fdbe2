"""A subscriber process of a benchmark: reads one lossless stream over gRPC and checks every id and digest.

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
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--camera", action="append", default=[], help="only these cameras; all without it")
    parser.add_argument("--ages", type=Path, help="writes when each unit was sent, and how old it came, to this file")
    options = parser.parse_args()
    channel = connect_sync(options.endpoint, options.token_file)
    # The raw call: what is measured is the broker, so this side shall not cost more than it must.
    open_stream = bytes_stream_stream(channel, "trueframe.v1.BrokerService", "StreamFrames")
    request = StreamFramesRequest(cameras=options.camera, all_cameras=not options.camera, subscriber="benchmark")
    stream = open_stream(iter([request]))
    arrivals: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
    mismatched = holes = messages = 0
    gaps: Counter[str] = Counter()
    last: dict[tuple[str, int], int] = {}
    begin_ns = time.monotonic_ns() + int(options.warm_up * 1e9)
    end_ns = begin_ns + int(options.seconds * 1e9)
    # A stream that gives nothing must end too.
    watchdog = threading.Timer(options.warm_up + options.seconds + 5.0, stream.cancel)
    watchdog.daemon = True
    watchdog.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    for batch in batches(stream):
        now_ns = time.monotonic_ns()
        if now_ns > end_ns:
            break
        messages += now_ns >= begin_ns
        for item in BatchReader(batch):
            if not isinstance(item, WireFrame):
                if isinstance(item, Gap):
                    gaps[GapReason.Name(item.reason).removeprefix("GAP_REASON_").lower()] += 1
                continue
            key = (item.camera, item.epoch)
            holes += last.get(key, item.seq - 1) + 1 != item.seq
            last[key] = item.seq
            mismatched += hashlib.sha256(item.payload).digest() != item.digest
            arrivals[item.camera].append((item.digest, now_ns))
    stream.cancel()
    channel.close()
    logs = [path for path in sorted(options.logs.glob("*.sent")) if not options.camera or path.stem in options.camera]
    ages: list[tuple[int, float]] = []
    result = judge(logs, arrivals, begin_ns, end_ns, ages)
    if options.ages is not None:
        options.ages.write_text(json.dumps(ages))
    json.dump({**result, "mismatched": mismatched, "holes": holes, "gaps": gaps, "messages": messages}, sys.stdout)


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
