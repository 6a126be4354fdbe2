"""A light reader of StreamFrames in Python, for machines without libgrpc++: counts items and notes how old each is.

What `fanout_grpc subscribe` does, and no more: it verifies nothing (`benchmarks.reader` does).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import struct
import sys
import threading
import time
from pathlib import Path

import grpc

from benchmarks.harness import percentile
from mesh.channel import connect_sync
from mesh.grpc_bytes import bytes_stream_stream
from trueframe.v1.broker_pb2 import StreamFramesRequest

# Begins and ends of epochs are shorter than any frame of a load.
_SHORTEST_FRAME = 1000


def ages_ns(batch: bytes, now_ns: int) -> list[int]:
    """How long ago each frame of a batch was sent: the producer's time stands in the last eight bytes of each item."""
    ages = []
    at = 0
    while at < len(batch):
        at += 1  # the tag of field 1
        length = shift = 0
        while True:
            byte = batch[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += length
        if length >= _SHORTEST_FRAME:
            ages.append(now_ns - struct.unpack_from("<q", batch, at - 8)[0])
    return ages


def main() -> None:
    """Reads for so long and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("seconds", type=float)
    parser.add_argument("token_file", type=Path)
    options = parser.parse_args()
    channel = connect_sync(options.endpoint, options.token_file)
    open_stream = bytes_stream_stream(channel, "trueframe.v1.BrokerService", "StreamFrames")
    stream = open_stream(iter([StreamFramesRequest(all_cameras=True, subscriber="bench")]))
    watchdog = threading.Timer(options.seconds, stream.cancel)
    watchdog.daemon = True
    watchdog.start()
    ages: list[int] = []
    messages = received = 0
    with contextlib.suppress(grpc.RpcError):
        for batch in stream:
            ages += ages_ns(batch, time.monotonic_ns())
            messages += 1
            received += len(batch)
    milliseconds = [age / 1e6 for age in ages]
    result: dict[str, float] = {"items": len(ages), "messages": messages, "bytes": received}
    result |= {"p50_ms": percentile(milliseconds, 0.5), "p99_ms": percentile(milliseconds, 0.99)}
    json.dump(result | {"cpu_us": time.process_time_ns() / 1000}, sys.stdout)


if __name__ == "__main__":
    main()
