"""A viewer: one connection that a camera's pictures are sent over.

What belongs here: sequence numbers, what faults do to packets, and TCP interleaved and UDP as ways out. What does not:
requests (`rtsp_server`), HTTP's way out (`http_viewer`), what is sent and when (`camera`).
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import struct
import time
from dataclasses import dataclass
from itertools import pairwise

from simulator import rtcp
from simulator.faults import HITS, Fault
from simulator.packets import UnitPackets
from simulator.show import Sendable

WRITE_BUFFER_BYTES = 4 << 20
"""Units that would have to wait behind more than this are dropped for that viewer, and logged as dropped."""
_RTP_AND_INTERLEAVED_BYTES = 16
_JUNK_CHANNEL = 201
_STRAY = (b"\r\n", b"\r\n\r\n", b"\x00", b"\xff\xfe\xfd", b"stray")
"""No dollar sign begins a packet here, and no line looks like an answer."""


@dataclass(slots=True)
class Sending:
    """What became of one unit."""

    packets: int
    dropped: int
    monotonic_ns: int


class Viewer:
    """One playing connection. Subclasses know how bytes leave."""

    channel = 0

    def __init__(self, connection: int, start_position: int) -> None:
        self.connection = connection
        self.start_position = start_position
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self.packets_sent = 0
        self.octets_sent = 0
        self.packets_dropped = 0
        self.next_report_ns = 0
        self.manners: frozenset[str] = frozenset()
        """Bad manners (`traits.SLOPPY`) that concern packets."""
        self._fault = Fault()
        self._dice = random.Random(0)
        self._held: list[bytes] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._is_ending = False

    def set_fault(self, fault: Fault) -> None:
        """From now on packets are hit as this fault says."""
        if self._held:
            self._release()  # else later units would overtake them
        self._fault, self._dice = fault, fault.dice()

    def cut_short(self) -> None:
        """The next unit ends inside a packet, and the connection with it."""
        self._is_ending = True

    def close(self) -> None:
        """Sends nothing more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._held.clear()

    def send_unit(self, unit: Sendable, number: int, sent_ns: int, rtp_timestamp: int, ntp: int = 0) -> Sending:
        """Hands one unit's packets to the socket, less those that a fault or a full buffer takes."""
        assert isinstance(unit, UnitPackets)
        count = unit.count
        data = unit.stamped(number, sent_ns, self.sequence, rtp_timestamp, self.ssrc, self.channel, ntp)
        self.sequence = self.sequence + count & 0xFFFF
        if self._is_ending:
            self._send_half(data, unit.offsets)
            return Sending(count, count, time.monotonic_ns())
        if self._is_full():
            self.packets_dropped += count
            return Sending(count, count, time.monotonic_ns())
        if self._fault.kind in HITS or self.manners:
            dropped, moment = self._send_hit(unit, data)
        elif self._fault.kind == "burst":
            dropped, moment = self._hold(unit, data), time.monotonic_ns()
        else:
            dropped, moment = self._send_all(unit, data)
        self.packets_sent += count - dropped
        self.packets_dropped += dropped
        self.octets_sent += unit.payload_bytes
        return Sending(count, dropped, moment)

    def _send_hit(self, unit: UnitPackets, data: bytes) -> tuple[int, int]:
        kind, share = self._fault.kind, self._fault.share
        if kind == "garbage":
            self._send_raw(os.urandom(1024))
            return unit.count, time.monotonic_ns()
        hit = 0
        kept: list[bytes] = []
        for start, end in pairwise(unit.offsets):
            packet = data[start:end]
            if kind == "junk" or self.manners:
                kept += self._junk(kind)
            if kind not in HITS or kind == "junk" or self._dice.random() >= share:
                kept.append(packet)
            elif kind == "reorder":
                kept.insert(max(0, len(kept) - 1), packet)
            elif kind == "duplicate":
                kept += [packet, packet]
            elif kind == "delay":
                self._later(packet)
            else:
                hit += 1
                if kind == "corrupt":
                    body = start + _RTP_AND_INTERLEAVED_BYTES
                    kept.append(data[start:body] + self._dice.randbytes(end - body))
        return hit, self._send_packets(kept)

    def _junk(self, kind: str) -> list[bytes]:
        """What a sloppy camera writes before a packet, now and then."""
        found: list[bytes] = []
        if (kind == "junk" or "junk" in self.manners) and self._dice.random() < 0.3:
            body = self._dice.randbytes(self._dice.randrange(60))
            found.append(struct.pack(">BBH", 0x24, _JUNK_CHANNEL, len(body)) + body)
        if (kind == "junk" or "junk-bytes" in self.manners) and self._dice.random() < 0.2:
            found.append(self._dice.choice(_STRAY))
        return found

    def _later(self, packet: bytes) -> None:
        timer = asyncio.get_running_loop().call_later(self._fault.by_s, self._late, packet)
        self._timers.add(timer)
        if len(self._timers) > 1000:
            now = asyncio.get_running_loop().time()
            self._timers = {one for one in self._timers if one.when() >= now}

    def _late(self, packet: bytes) -> None:
        if not self._is_full():
            self._send_packets([packet])

    def _hold(self, unit: UnitPackets, data: bytes) -> int:
        """Keeps a unit back until the burst; returns how many packets found no room."""
        if sum(map(len, self._held)) + len(data) > WRITE_BUFFER_BYTES:
            return unit.count
        if not self._held:
            self._timers.add(asyncio.get_running_loop().call_later(self._fault.by_s, self._release))
        self._held += [data[start:end] for start, end in pairwise(unit.offsets)]
        return 0

    def _release(self) -> None:
        held, self._held = self._held, []
        if not self._is_full():
            self._send_packets(held)

    def report(self, utc_ns: int, rtp_timestamp: int) -> None:
        """Sends a sender report: this UTC time is that RTP timestamp."""
        self._send_rtcp(rtcp.sender_report(self.ssrc, utc_ns, rtp_timestamp, self.packets_sent, self.octets_sent))

    def send_audio(self, packet: bytes, channel: int) -> None:
        """Sends an RTP packet of the second track."""
        raise TypeError("a viewer is TcpViewer, UdpViewer or HttpViewer")

    def _is_full(self) -> bool:
        raise TypeError("a viewer is TcpViewer, UdpViewer or HttpViewer")

    def _send_all(self, unit: UnitPackets, data: bytes) -> tuple[int, int]:
        """Sends every packet; returns how many failed and when the last was handed over."""
        raise TypeError("a viewer is TcpViewer, UdpViewer or HttpViewer")

    def _send_packets(self, packets: list[bytes]) -> int:
        """Sends these, each with its interleaved header; returns when the last was handed over."""
        raise TypeError("a viewer is TcpViewer, UdpViewer or HttpViewer")

    def _send_half(self, data: bytes, offsets: tuple[int, ...]) -> None:
        """Sends the beginning of a unit and ends the connection."""
        raise TypeError("a viewer is TcpViewer, UdpViewer or HttpViewer")

    def _send_raw(self, data: bytes) -> None:
        raise TypeError("a viewer is TcpViewer, UdpViewer or HttpViewer")

    def _send_rtcp(self, data: bytes) -> None:
        raise TypeError("a viewer is TcpViewer, UdpViewer or HttpViewer")
