"""GStreamer as a client: writes what its depayloader makes of a stream. Run by Debian's own Python, which has gi.

    /usr/bin/python3 gstreamer_client.py URL tcp|udp h264|h265|mjpeg COUNT FILE

FILE gets, for each unit, its length in four bytes and its bytes. What does not belong here: a judgement.
"""

import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

DEPAYLOADERS = {
    "h264": "rtph264depay ! video/x-h264,stream-format=byte-stream,alignment=au",
    "h265": "rtph265depay ! video/x-h265,stream-format=byte-stream,alignment=au",
    "mjpeg": "rtpjpegdepay",
}


def main() -> None:
    """Plays."""
    url, transport, codec, count, path = sys.argv[1:]
    Gst.init(None)
    pipeline = Gst.parse_launch(
        f"rtspsrc location={url} protocols={transport} latency=100 "
        f"! {DEPAYLOADERS[codec]} ! appsink name=out sync=false"
    )
    pipeline.set_state(Gst.State.PLAYING)
    out = pipeline.get_by_name("out")
    with Path(path).open("wb") as file:
        for _ in range(int(count)):
            sample = out.emit("try-pull-sample", 5 * Gst.SECOND)
            if sample is None:
                raise SystemExit("nothing came for five seconds")
            buffer = sample.get_buffer()
            data = buffer.extract_dup(0, buffer.get_size())
            file.write(len(data).to_bytes(4, "big") + data)
    pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
