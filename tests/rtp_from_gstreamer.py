#!/usr/bin/python3
"""Lets GStreamer pack units into RTP: a peer for the depacketisers that knows nothing of them.

Run it with the Python that has gi (Debian: /usr/bin/python3). Units come on standard input and records go to standard
output, each behind its length (4 bytes, big-endian). A pipeline has an `appsrc name=in` if it takes units, an
`appsink name=packets`, and perhaps an `appsink name=units` for units that it makes itself. A record begins with `P`
for an RTP packet, `U` for a unit.

usage: rtp_from_gstreamer.py PIPELINE
"""

from __future__ import annotations

import struct
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def read(length: int) -> bytes:
    return sys.stdin.buffer.read(length)


def main() -> int:
    """Runs the pipeline until its end."""
    Gst.init(None)
    pipeline = Gst.parse_launch(sys.argv[1])
    sinks = {letter: pipeline.get_by_name(name) for letter, name in ((b"P", "packets"), (b"U", "units"))}
    sinks = {letter: sink for letter, sink in sinks.items() if sink is not None}
    for sink in sinks.values():
        sink.set_property("sync", False)
    pipeline.set_state(Gst.State.PLAYING)
    source = pipeline.get_by_name("in")
    number = 0
    while source is not None and len(head := read(4)) == 4:
        buffer = Gst.Buffer.new_wrapped(read(struct.unpack("!I", head)[0]))
        buffer.pts = buffer.dts = number * Gst.SECOND // 10
        buffer.duration = Gst.SECOND // 10
        source.emit("push-buffer", buffer)
        number += 1
    if source is not None:
        source.emit("end-of-stream")
    for letter, sink in sinks.items():
        while (sample := sink.emit("pull-sample")) is not None:
            buffer = sample.get_buffer()
            data = letter + buffer.extract_dup(0, buffer.get_size())
            sys.stdout.buffer.write(struct.pack("!I", len(data)) + data)
    message = pipeline.get_bus().timed_pop_filtered(0, Gst.MessageType.ERROR)
    if message is not None:
        print(message.parse_error(), file=sys.stderr)
    pipeline.set_state(Gst.State.NULL)
    return 0 if message is None else 1


if __name__ == "__main__":
    sys.exit(main())
