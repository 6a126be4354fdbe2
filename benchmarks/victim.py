"""A subscriber that misbehaves: opens a stream of all cameras when told to, then reads nothing, or is killed.

It is started before it is needed and waits for a line on stdin, so that starting Python falls into no measurement.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mesh.channel import connect_sync
from mesh.grpc_bytes import bytes_stream_stream
from trueframe.v1.broker_pb2 import StreamFramesRequest


def main() -> None:
    """Misbehaves until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("token_file", type=Path)
    parser.add_argument("kind", choices=["stalled", "killed"])
    options = parser.parse_args()
    channel = connect_sync(options.endpoint, options.token_file)
    open_stream = bytes_stream_stream(channel, "trueframe.v1.BrokerService", "StreamFrames")
    print("ready", flush=True)
    sys.stdin.readline()
    stream = open_stream(iter([StreamFramesRequest(all_cameras=True, subscriber=options.kind)]))
    next(iter(stream))
    print("open", flush=True)
    if options.kind == "stalled":
        time.sleep(3600)
    for _ in stream:
        pass


if __name__ == "__main__":
    main()
