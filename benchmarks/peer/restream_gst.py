#!/usr/bin/python3
"""The relay's peer: GStreamer's RTSP server as a restreamer, one connection to each camera, any number of viewers.

usage: restream_gst.py SOURCES.json        {"cam-1": "rtsp://…", …}; prints its port as one line when it serves

Run it with Debian's own python3, which has gi. Per camera: rtspsrc over TCP, depayload, payload, shared media; nothing
is transcoded, no jitter buffer waits. All of the work is done in GStreamer's C threads; Python only starts them.
"""

import json
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    '( rtspsrc location="{url}" protocols=tcp latency=0 do-rtcp=true ! rtph264depay'
    " ! rtph264pay name=pay0 pt=96 mtu=1400 config-interval=-1 aggregate-mode=zero-latency )"
)


def main() -> None:
    """Serves until it is ended."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    server.set_backlog(512)
    # A DESCRIBE waits for its camera; with the one thread of the default, everybody would wait for everybody.
    server.get_thread_pool().set_max_threads(8)
    mounts = server.get_mount_points()
    for camera, url in json.loads(Path(sys.argv[1]).read_text()).items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(PIPELINE.format(url=url))
        factory.set_shared(True)
        factory.set_latency(0)
        factory.set_suspend_mode(GstRtspServer.RTSPSuspendMode.NONE)
        mounts.add_factory(f"/{camera}", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
