#!/usr/bin/python3
"""Serve Motion JPEG files in an endless loop as multipart/x-mixed-replace on 127.0.0.1, muxed by GStreamer.

Run it with the Python that has gi, and with PyAV on PYTHONPATH, as `rtsp_loop_server.py`. `/one.jpg` is a single
picture; every other path that is no stream is answered 404.

usage: mjpeg_http_server.py PORT name=file.avi [name2=file2.avi ...]
"""

import http.server
import select
import sys
import threading
import time
from typing import ClassVar

import av
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import GLib, Gst, GstApp  # noqa: E402, F401

Gst.init(None)
NS = 1_000_000_000
PIPELINE = (
    "appsrc name=v is-live=true format=time block=true max-bytes=2000000 caps=image/jpeg"
    " ! multipartmux boundary=frame-of-gstreamer ! multifdsink name=sink sync=false"
)


class Stream:
    """One pipeline that plays a file again and again to all who are connected."""

    def __init__(self, path: str):
        self.path = path
        self.pipeline = Gst.parse_launch(PIPELINE)
        self.sink = self.pipeline.get_by_name("sink")
        self.pipeline.set_state(Gst.State.PLAYING)
        threading.Thread(target=self.feed, args=(self.pipeline.get_by_name("v"),), daemon=True).start()

    def feed(self, source) -> None:
        number, started = 0, time.monotonic()
        while True:
            with av.open(self.path) as container:
                video = container.streams.video[0]
                period = 1 / float(video.average_rate)
                for packet in container.demux(video):
                    if not packet.size:
                        continue
                    time.sleep(max(0.0, started + number * period - time.monotonic()))
                    buffer = Gst.Buffer.new_wrapped(bytes(packet))
                    buffer.pts = int(number * period * NS)
                    number += 1
                    if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                        return


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with a stream, and leaves the socket to GStreamer."""

    streams: ClassVar[dict[str, Stream]] = {}

    def do_GET(self) -> None:
        stream = self.streams.get(self.path.lstrip("/"))
        if self.path == "/one.jpg":
            with av.open(next(iter(self.streams.values())).path) as container:
                picture = bytes(next(container.demux(video=0)))
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(picture)))
            self.end_headers()
            self.wfile.write(picture)
            return
        if stream is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame-of-gstreamer")
        self.end_headers()
        self.wfile.flush()
        stream.sink.emit("add", self.connection.fileno())  # makes it non-blocking
        while select.select([self.connection], [], []) and self.connection.recv(4096):
            pass  # until the viewer goes
        stream.sink.emit("remove", self.connection.fileno())

    def log_message(self, *_) -> None:
        """Says nothing."""


def main() -> None:
    port, *streams = sys.argv[1:]
    for stream in streams:
        name, path = stream.split("=", 1)
        Handler.streams[name] = Stream(path)
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


main()
