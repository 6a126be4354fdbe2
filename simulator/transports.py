"""Ways out for packets: interleaved on a TCP connection, and UDP.

What belongs here: how bytes reach the socket, and the bounded write buffer. What does not: what faults do to packets
(`viewers`), which sessions there are (`rtsp_server`).
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from itertools import pairwise

from simulator.packets import UnitPackets
from simulator.viewers import WRITE_BUFFER_BYTES, Viewer


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
        self._send_raw(data)
        return 0, moment

    def _send_packets(self, packets: list[bytes]) -> int:
        moment = time.monotonic_ns()
        self._send_raw(b"".join(packets))
        return moment

    def _send_raw(self, data: bytes) -> None:
        if self._fault.kind != "dribble":
            self._transport.write(data)
            return
        at = 0
        while at < len(data):
            # The kernel is told to send every write at once (asyncio switches Nagle's algorithm off).
            size = self._dice.randrange(1, 200)
            self._transport.write(data[at : at + size])
            at += size

    def _send_half(self, data: bytes, offsets: tuple[int, ...]) -> None:
        self._transport.write(data[: (offsets[-2] + offsets[-1]) // 2])
        self._transport.close()

    def _send_rtcp(self, data: bytes) -> None:
        if not self._is_full():
            self._transport.write(struct.pack(">BBH", 0x24, self.channel + 1, len(data)) + data)

    def send_audio(self, packet: bytes, channel: int) -> None:
        """Sends an RTP packet of the second track, interleaved on this channel."""
        if not self._is_full():
            self._transport.write(struct.pack(">BBH", 0x24, channel, len(packet)) + packet)


Sockets = tuple[socket.socket, socket.socket]
"""RTP and RTCP, on neighbouring ports."""


class UdpViewer(Viewer):
    """Pictures as datagrams. What the receiver's own buffer drops, this side cannot know."""

    def __init__(
        self,
        connection: int,
        start_position: int,
        sockets: Sockets,
        peer: tuple[str, int, int],
        control: asyncio.Transport,
        audio: tuple[socket.socket, tuple[str, int]] | None = None,
    ) -> None:
        super().__init__(connection, start_position)
        self._rtp, self._rtcp = sockets
        host, rtp_port, rtcp_port = peer
        self._rtp_peer, self._rtcp_peer = (host, rtp_port), (host, rtcp_port)
        self._control = control
        self._audio = audio

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
            if packet[:1] != b"$" or packet[1] != self.channel:
                continue  # stray bytes of a stream have no place between datagrams
            moment = time.monotonic_ns()
            if not _sent(self._rtp, packet[4:], self._rtp_peer):
                self.packets_dropped += 1
        return moment

    def _send_half(self, data: bytes, offsets: tuple[int, ...]) -> None:
        self._send_packets([data[start:end] for start, end in pairwise(offsets[:-1])])
        self._control.abort()

    def _send_raw(self, data: bytes) -> None:
        _sent(self._rtp, data, self._rtp_peer)

    def _send_rtcp(self, data: bytes) -> None:
        _sent(self._rtcp, data, self._rtcp_peer)

    def send_audio(self, packet: bytes, channel: int) -> None:
        """Sends an RTP packet of the second track to the ports that were set up for it."""
        if self._audio:
            _sent(self._audio[0], packet, self._audio[1])


def _sent(sock: socket.socket, data: bytes | memoryview, peer: tuple[str, int]) -> bool:
    """Whether the kernel took the datagram; a peer that is gone or a full buffer is an ordinary loss."""
    try:
        sock.sendto(data, peer)
    except OSError:
        return False
    return True


def udp_pair(host: str) -> Sockets:
    """Two sockets on neighbouring ports, the first one even. Raises OSError when there are none."""
    for _ in range(100):
        rtp = _udp_socket(host, 0)
        port = rtp.getsockname()[1]
        if port % 2 == 0:
            try:
                return rtp, _udp_socket(host, port + 1)
            except OSError:
                rtp.close()
                continue
        rtp.close()
    raise OSError("no pair of free UDP ports was found")


def _udp_socket(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
