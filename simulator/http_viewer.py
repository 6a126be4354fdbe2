"""A viewer over HTTP: every picture is a part of one endless multipart/x-mixed-replace answer.

What belongs here: the parts' form, good and bad, and what faults do to them. What does not: requests (`http_server`).
"""

from __future__ import annotations

import asyncio
import os
import time

from simulator.show import Sendable
from simulator.traits import Traits
from simulator.viewers import WRITE_BUFFER_BYTES, Sending, Viewer

_DASHES = "--"
_NAMES = {
    "plain": "frame",
    "quoted": "frame",
    "dashes": "frame",
    "odd": "=_Part 1'(2)+,-./:=?",
}


def content_type(traits: Traits) -> str:
    """The answer's Content-Type."""
    name = _NAMES[traits.boundary]
    told = {"plain": name, "dashes": _DASHES + name}.get(traits.boundary, f'"{name}"')
    return f"multipart/x-mixed-replace;boundary={told}"


class HttpViewer(Viewer):
    """Pictures as parts."""

    def __init__(self, connection: int, start_position: int, transport: asyncio.Transport, traits: Traits) -> None:
        super().__init__(connection, start_position)
        self._transport = transport
        self._boundary = _DASHES + _NAMES[traits.boundary]
        self._traits = traits
        self._is_first = True

    def send_unit(self, unit: Sendable, number: int, sent_ns: int, rtp_timestamp: int, ntp: int = 0) -> Sending:
        """Hands one picture to the socket, unless a fault or a full buffer takes it."""
        picture = unit.canonical(number, sent_ns)
        kind = self._fault.kind
        is_hit = kind in ("lose", "corrupt") and self._dice.random() < self._fault.share
        if self._is_ending:
            part = self._part(picture)
            self._write(part[: len(part) // 2])
            self._transport.close()
            return Sending(1, 1, time.monotonic_ns())
        if kind == "garbage":
            self._write(os.urandom(1024))
        if kind == "garbage" or self._is_full() or (is_hit and kind == "lose"):
            self.packets_dropped += 1
            return Sending(1, 1, time.monotonic_ns())
        if is_hit:
            half = len(picture) // 2
            picture = picture[:half] + self._dice.randbytes(len(picture) - half)
        part = self._part(picture)
        moment = time.monotonic_ns()
        if kind == "burst":
            self._keep(part)
        else:
            self._write(part)
        self.packets_sent += 1
        self.packets_dropped += is_hit
        return Sending(1, int(is_hit), moment)

    def _part(self, picture: bytes) -> bytes:
        manners = self._traits.manners
        end = "\n" if "lf-parts" in manners else "\r\n"
        lines = [self._boundary, "Content-Type: image/jpeg"]
        if "no-length" not in manners:
            lines.append(f"Content-Length: {len(picture)}")
        if "case" in manners:
            lines[1:] = [line.swapcase().replace(": ", ":") for line in lines[1:]]
        junk = b""
        if "junk" in manners:
            junk = b"this text is a preamble\r\n" if self._is_first else b"\r\n\r\n"
        self._is_first = False
        return junk + end.join([*lines, "", ""]).encode() + picture + end.encode()

    def _keep(self, part: bytes) -> None:
        if not self._held:
            self._timers.add(asyncio.get_running_loop().call_later(self._fault.by_s, self._release))
        if sum(map(len, self._held)) + len(part) <= WRITE_BUFFER_BYTES:
            self._held.append(part)

    def _send_packets(self, packets: list[bytes]) -> int:
        self._write(b"".join(packets))
        return time.monotonic_ns()

    def _is_full(self) -> bool:
        return self._transport.is_closing() or self._transport.get_write_buffer_size() > WRITE_BUFFER_BYTES

    def _write(self, data: bytes) -> None:
        step = len(data) if self._fault.kind != "dribble" else 150
        for at in range(0, len(data), max(step, 1)):
            piece = data[at : at + step]
            if "chunked" in self._traits.manners:
                piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
            self._transport.write(piece)

    def _send_rtcp(self, data: bytes) -> None:
        """HTTP has no reports."""
