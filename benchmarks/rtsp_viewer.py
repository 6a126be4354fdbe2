"""A viewer of many RTSP streams in one process: plays each over TCP and counts what comes.

Prints `started` when every stream plays, and one JSON object at its end. Units are counted by the compiled core. What
does not belong here: anything of the broker's own client, which does far more.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from broker.core import H264Depacketiser, InterleavedParser

_TIMEOUT_S = 30.0
_READ_BYTES = 1 << 18
# A restreamer takes its time to connect to a camera.
_AT_ONCE = 32


class Stream:
    """One playing stream."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._parser = InterleavedParser()
        self._cseq = 0
        self._session = ""
        self.units = 0
        address = urlsplit(url)
        self.connection = socket.create_connection((address.hostname, address.port), timeout=_TIMEOUT_S)

    def play(self) -> None:
        """Plays. Raises SystemExit naming the stream if the server refuses."""
        _, body = self._ask("DESCRIBE", self._url, "Accept: application/sdp")
        video = body.partition(b"\nm=video")[2].partition(b"\nm=")[0].decode()
        control = next(line.partition(":")[2].strip() for line in video.splitlines() if "a=control:" in line)
        target = control if control.startswith("rtsp") else f"{self._url.rstrip('/')}/{control}"
        head, _ = self._ask("SETUP", target, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        lines = [line.partition(b":")[2] for line in head.splitlines() if line.lower().startswith(b"session:")]
        self._session = lines[0].partition(b";")[0].strip().decode()
        self._parser.attach(0, H264Depacketiser())
        self._ask("PLAY", self._url, "Range: npt=0.000-")

    def _ask(self, method: str, url: str, *headers: str) -> tuple[bytes, bytes]:
        self._cseq += 1
        session = [f"Session: {self._session}"] if self._session else []
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._cseq}", *session, *headers, "", ""]
        self.connection.sendall("\r\n".join(lines).encode())
        while True:
            answer = self.read()
            if answer is None:
                continue
            if b" 200 " not in answer[0].splitlines()[0]:
                raise SystemExit(f"{self._url} answers {method} with {answer[0].splitlines()[0]!r}")
            return answer

    def read(self) -> tuple[bytes, bytes] | None:
        """Takes what is there; a message if one came. Raises SystemExit when the server ends the connection."""
        data = self.connection.recv(_READ_BYTES)
        if not data:
            raise SystemExit(f"{self._url} ended")
        message = None
        for event in self._parser.feed(data, time.monotonic_ns()):
            if event[0] == "unit":
                self.units += 1
            elif event[0] == "message":
                message = (event[1], event[2])
        return message


def main() -> None:
    """Plays all, counts for so long behind the warm-up, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", type=Path, help="JSON file: camera to URL")
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        streams = list(pool.map(Stream, json.loads(options.urls.read_text()).values()))
        list(pool.map(Stream.play, streams))
    selector = selectors.DefaultSelector()
    for stream in streams:
        selector.register(stream.connection, selectors.EVENT_READ, stream)
    print("started", flush=True)
    begin_s = time.monotonic() + options.warm_up
    end_s = begin_s + options.seconds
    before = 0
    is_counting = False
    while (now_s := time.monotonic()) < end_s:
        if not is_counting and now_s >= begin_s:
            before, is_counting = sum(stream.units for stream in streams), True
        for key, _ in selector.select(0.1):
            key.data.read()
    json.dump({"units": sum(stream.units for stream in streams) - before}, sys.stdout)


if __name__ == "__main__":
    main()
