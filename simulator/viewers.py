"""A viewer: one connection that a camera's pictures are sent over, TCP interleaved or UDP.

What belongs here: sequence numbers, the bounded write buffer, faults that hit packets, sender reports. What does not:
RTSP requests (`rtsp`), what is sent and when (`camera`).
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import struct
import time
from dataclasses import dataclass
from itertools import pairwise

from simulator import rtcp
from simulator.faults import Fault
from simulator.packets import UnitPackets

WRITE_BUFFER_BYTES = 4 << 20
"""Units that would have to wait behind more than this are dropped for that viewer, and logged as dropped."""
_RTP_AND_INTERLEAVED_BYTES = 16


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
        self._fault = Fault()
        self._dice = random.Random(0)

    def set_fault(self, fault: Fault) -> None:
        """From now on packets are hit as this fault says."""
        self._fault, self._dice = fault, fault.dice()

    def send_unit(self, unit: UnitPackets, number: int, sent_ns: int, rtp_timestamp: int) -> Sending:
        """Hands one unit's packets to the socket, less those that a fault or a full buffer takes."""
        count = unit.count
        data = unit.stamped(number, sent_ns, self.sequence, rtp_timestamp, self.ssrc, self.channel)
        self.sequence = self.sequence + count & 0xFFFF
        if self._is_full():
            self.packets_dropped += count
            return Sending(count, count, time.monotonic_ns())
        if self._fault.kind in ("lose", "corrupt", "reorder", "garbage"):
            dropped, moment = self._send_hit(unit, data)
        else:
            dropped, moment = self._send_all(unit, data)
        self.packets_sent += count - dropped
        self.packets_dropped += dropped
        self.octets_sent += unit.payload_bytes
        return Sending(count, dropped, moment)

    def _send_hit(self, unit: UnitPackets, data: bytes) -> tuple[int, int]:
        if self._fault.kind == "garbage":
            self._send_raw(os.urandom(1024))
            return unit.count, time.monotonic_ns()
        hit = 0
        kept: list[bytes] = []
        for start, end in pairwise(unit.offsets):
            if self._dice.random() >= self._fault.share:
                kept.append(data[start:end])
                continue
            if self._fault.kind == "reorder":
                kept.insert(max(0, len(kept) - 1), data[start:end])
                continue
            hit += 1
            if self._fault.kind == "corrupt":
                body = start + _RTP_AND_INTERLEAVED_BYTES
                kept.append(data[start:body] + self._dice.randbytes(end - body))
        return hit, self._send_packets(kept)

    def report(self, utc_ns: int, rtp_timestamp: int) -> None:
        """Sends a sender report: this UTC time is that RTP timestamp."""
        self._send_rtcp(rtcp.sender_report(self.ssrc, utc_ns, rtp_timestamp, self.packets_sent, self.octets_sent))

    def _is_full(self) -> bool:
        raise TypeError("a viewer is TcpViewer or UdpViewer")

    def _send_all(self, unit: UnitPackets, data: bytes) -> tuple[int, int]:
        """Sends every packet; returns how many failed and when the last was handed over."""
        raise TypeError("a viewer is TcpViewer or UdpViewer")

    def _send_packets(self, packets: list[bytes]) -> int:
        """Sends these, each with its interleaved header; returns when the last was handed over."""
        raise TypeError("a viewer is TcpViewer or UdpViewer")

    def _send_raw(self, data: bytes) -> None:
        raise TypeError("a viewer is TcpViewer or UdpViewer")

    def _send_rtcp(self, data: bytes) -> None:
        raise TypeError("a viewer is TcpViewer or UdpViewer")


class TcpViewer(Viewer):
    """Pictures interleaved with RTSP on one TCP connection; one write per unit."""

    def __init__(self, connection: int, start_position: int, transport: asyncio.Transport, channel: int) -> None:
        super().__init__(connection, start_position)
        self.channel = channel
        self._transport = transport

    def _is_full(self) -> bool:
        return self._transport.is_closing() or self._transport.get_write_buffer_size() > WRITE_BUFFER_BYTES

    def _send_all(self, unit: UnitPackets, data: bytes) -> tuple[int, int]:
        moment = time.monotonic_ns()
        self._transport.write(data)
        return 0, moment

    def _send_packets(self, packets: list[bytes]) -> int:
        moment = time.monotonic_ns()
        self._transport.write(b"".join(packets))
        return moment

    def _send_raw(self, data: bytes) -> None:
        self._transport.write(data)

    def _send_rtcp(self, data: bytes) -> None:
        if not self._is_full():
            self._transport.write(struct.pack(">BBH", 0x24, self.channel + 1, len(data)) + data)


class UdpViewer(Viewer):
    """Pictures as datagrams. What the receiver's own buffer drops, this side cannot know."""

    def __init__(
        self,
        connection: int,
        start_position: int,
        sockets: tuple[socket.socket, socket.socket],
        peer: tuple[str, int, int],
    ) -> None:
        super().__init__(connection, start_position)
        self._rtp, self._rtcp = sockets
        host, rtp_port, rtcp_port = peer
        self._rtp_peer, self._rtcp_peer = (host, rtp_port), (host, rtcp_port)

    def _is_full(self) -> bool:
        return False

    def _send_all(self, unit: UnitPackets, data: bytes) -> tuple[int, int]:
        view = memoryview(data)
        offsets = unit.offsets
        moment = failed = 0
        for start, end in pairwise(offsets):
            moment = time.monotonic_ns()
            failed += not _sent(self._rtp, view[start + 4 : end], self._rtp_peer)
        return failed, moment

    def _send_packets(self, packets: list[bytes]) -> int:
        moment = time.monotonic_ns()
        for packet in packets:
            moment = time.monotonic_ns()
            if not _sent(self._rtp, packet[4:], self._rtp_peer):
                self.packets_dropped += 1
        return moment

    def _send_raw(self, data: bytes) -> None:
        _sent(self._rtp, data, self._rtp_peer)

    def _send_rtcp(self, data: bytes) -> None:
        _sent(self._rtcp, data, self._rtcp_peer)


def _sent(sock: socket.socket, data: bytes | memoryview, peer: tuple[str, int]) -> bool:
    """Whether the kernel took the datagram; a peer that is gone or a full buffer is an ordinary loss."""
    try:
        sock.sendto(data, peer)
    except OSError:
        return False
    return True
