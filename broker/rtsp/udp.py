"""The two UDP sockets of one stream, RTP on an even port and RTCP on the next: opened, read, written.

Belongs here: ports, buffers, who may send, the first packet towards the camera that opens firewalls on the way. Does
not belong here: what packets mean (`receiver`), reading many at once (`broker.core.datagrams`), whether UDP is the
right choice (`play`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address

from broker.core import Unit
from broker.core.datagrams import DatagramReader
from broker.core.rtp import Depacketiser
from broker.errors import SourceUnreachable
from mesh.clocks import Clock
from mesh.logs import get_logger, rate_limited

log = get_logger("broker.rtsp.udp")

# A key frame of a large picture comes as one burst of a few hundred packets; the loop may be 50 ms late.
RECEIVE_BUFFER_BYTES = 4 << 20
_SINK_BUFFER_BYTES = 2048
_PAIR_TRIES = 64
_RTCP_AT_ONCE = 16
_LONGEST_RTCP = 2048
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8


class UdpPair:
    """A pair of ports at `local`, the address that the RTSP connection has on this side. Close it when done."""

    def __init__(self, local: tuple[str, int] | tuple[str, int, int, int], buffer_bytes: int = RECEIVE_BUFFER_BYTES):
        self._local = local
        self._rtp, self._rtcp = _open_pair(local)
        for sock in (self._rtp, self._rtcp):
            _enlarge(sock, buffer_bytes if sock is self._rtp else min(buffer_bytes, 1 << 18))
        self._loop = asyncio.get_running_loop()
        self._reader: DatagramReader | None = None
        self._addresses: list[bytes] = []
        self._on_unit: Callable[[Unit], None] = lambda unit: None
        self._on_report: Callable[[bytes], None] = lambda packet: None
        self._on_fault: Callable[[Exception], None] = lambda error: None
        self._depacketiser: Depacketiser | None = None
        self._clock: Clock | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._targets: tuple[tuple[object, ...] | None, tuple[object, ...] | None] = (None, None)
        self._is_connected = False
        self._drops_told = 0
        self.first_packet: asyncio.Future[None] = self._loop.create_future()
        self.foreign_reports = 0

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of RTP and RTCP."""
        return self._rtp.getsockname()[1], self._rtcp.getsockname()[1]

    def listen(
        self,
        depacketiser: Depacketiser,
        payload_type: int,
        clock: Clock,
        senders: list[str],
        on_unit: Callable[[Unit], None],
        on_report: Callable[[bytes], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        """Begins to read. Only `senders` (addresses) are heard. `on_fault` hears of a fault of ours, after which no
        more is read.
        """
        self._addresses = [ip_address(address.partition("%")[0]).packed for address in senders]
        self._clock = clock
        self._depacketiser = depacketiser
        self._on_unit, self._on_report, self._on_fault = on_unit, on_report, on_fault
        self._reader = DatagramReader(self._rtp.fileno(), depacketiser, self._addresses, payload_type)
        self._loop.add_reader(self._rtp.fileno(), self._rtp_is_readable)
        self._loop.add_reader(self._rtcp.fileno(), self._rtcp_is_readable)

    def punch(self, host: str, ports: tuple[int, int] | None, payload_type: int) -> None:
        """Sends something from both ports to the camera's, so that firewalls and NAT let its packets through.

        `ports`: those of the camera; None if it did not say, then nothing is sent.
        """
        if ports is None:
            return
        self._targets = (self._address(host, ports[0]), self._address(host, ports[1]))
        # An RTP header without a payload: servers throw it away.
        self._send(self._rtp, struct.pack("!BBHII", 0x80, payload_type & 0x7F, 0, 0, 0), self._targets[0])
        # A receiver report about nobody.
        self.send_report(struct.pack("!BBHI", 0x80, 201, 1, 0))

    def send_report(self, packet: bytes) -> None:
        """Sends an RTCP packet to the camera; nothing if it never said where to."""
        self._send(self._rtcp, packet, self._targets[1])

    @property
    def datagrams(self) -> int:
        """Datagrams of RTP that were taken."""
        return self._reader.datagrams if self._reader else 0

    @property
    def foreign_datagrams(self) -> int:
        """Datagrams of others, or that are no RTP, that were thrown away."""
        return (self._reader.foreign_datagrams if self._reader else 0) + self.foreign_reports

    @property
    def dropped_by_kernel(self) -> int:
        """Datagrams that the kernel threw away since the socket was opened, for want of room in its buffer."""
        with contextlib.suppress(OSError, struct.error):
            memory = self._rtp.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
            return int(struct.unpack_from("=I", memory, 4 * _SK_MEMINFO_DROPS)[0])
        return 0

    def warn_of_drops(self, camera: str) -> None:
        """Logs, seldom, that this host is too slow or its buffers are too small: loss that no network caused."""
        dropped = self.dropped_by_kernel
        if dropped > self._drops_told and rate_limited(f"udp drops {camera}", 10.0):
            new, self._drops_told = dropped - self._drops_told, dropped
            log.warning(
                "datagrams did not fit into the socket's buffer",
                camera=camera,
                datagrams=new,
                buffer_bytes=self._rtp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
                remedy=f"Raise net.core.rmem_max to {RECEIVE_BUFFER_BYTES} or more.",
            )

    def close(self) -> None:
        """Closes both sockets; idempotent."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for sock in (self._rtp, self._rtcp):
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock.fileno())
                sock.close()

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _rtp_is_readable(self) -> None:
        assert self._reader is not None
        assert self._clock is not None
        try:
            self._give(self._reader.drain(self._clock.monotonic_ns))
        except Exception as error:
            self._fault(error)
            return
        if not self._is_connected and self._reader.peer_port:
            self._lock_on()

    def _give(self, units: list[Unit]) -> None:
        for unit in units:
            self._on_unit(unit)
        # A packet that is waited for must not be waited for until the next one comes.
        if self._expiry is None and self._depacketiser is not None and self._depacketiser.deadline_ns is not None:
            assert self._clock is not None
            wait_s = (self._depacketiser.deadline_ns - self._clock.monotonic_ns()) / 1e9
            self._expiry = self._loop.call_later(max(0.0, wait_s), self._expire)

    def _expire(self) -> None:
        self._expiry = None
        if self._depacketiser is None or self._clock is None or self._rtp.fileno() < 0:
            return
        try:
            self._give(self._depacketiser.expire(self._clock.monotonic_ns()))
        except Exception as error:
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        """A fault of ours must end this connection only."""
        log.exception("datagrams failed")
        self.close()
        self._on_fault(error)

    def _lock_on(self) -> None:
        """From now on the kernel keeps everybody else's datagrams out: nobody can fill the buffer."""
        self._is_connected = True
        reader = self._reader
        assert reader is not None
        assert reader.peer_address is not None
        address = self._address(str(ip_address(reader.peer_address)), reader.peer_port)
        with contextlib.suppress(OSError):
            self._rtp.connect(address)
        if not self.first_packet.done():
            self.first_packet.set_result(None)

    def _rtcp_is_readable(self) -> None:
        for _ in range(_RTCP_AT_ONCE):
            try:
                packet, sender = self._rtcp.recvfrom(_LONGEST_RTCP)
            except OSError:
                return
            if ip_address(str(sender[0]).partition("%")[0]).packed not in self._addresses:
                self.foreign_reports += 1
                continue
            if not self.first_packet.done():
                # A report that gets through shows that packets would.
                self.first_packet.set_result(None)
            try:
                self._on_report(packet)
            except Exception as error:
                self._fault(error)
                return

    def _address(self, host: str, port: int) -> tuple[object, ...]:
        # A link-local address needs the interface that the RTSP connection goes over.
        return (host, port, *self._local[2:])

    def _send(self, sock: socket.socket, packet: bytes, target: tuple[object, ...] | None) -> None:
        if target is None or sock.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            if sock is self._rtp and self._is_connected:
                sock.send(packet)
            else:
                sock.sendto(packet, target)


class UdpSink:
    """A pair that nobody reads: a server that insists on sending audio too may send it there."""

    def __init__(self, local: tuple[str, int] | tuple[str, int, int, int]) -> None:
        self._pair = UdpPair(local, _SINK_BUFFER_BYTES)
        self._counted = 0

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of RTP and RTCP."""
        return self._pair.ports

    def newly_dropped(self) -> int:
        """Datagrams that the kernel threw away since the last call; the first few lie in its buffer, uncounted."""
        dropped = self._pair.dropped_by_kernel
        new, self._counted = dropped - self._counted, dropped
        return new

    def close(self) -> None:
        """Closes both sockets; idempotent."""
        self._pair.close()


def _open_pair(local: tuple[str, int] | tuple[str, int, int, int]) -> tuple[socket.socket, socket.socket]:
    """Two bound sockets, the first on an even port. Raises SourceUnreachable when there are none left."""
    for _ in range(_PAIR_TRIES):
        first = _bound(local, 0)
        if first is None:
            continue
        port = first.getsockname()[1]
        # Servers count up from an even port (RFC 3550, 11); an odd one found is made the second of its pair.
        second = _bound(local, port ^ 1)
        if second is not None:
            return (first, second) if port % 2 == 0 else (second, first)
        first.close()
    raise SourceUnreachable(f"local address {local[0]}", "has no pair of free UDP ports left", "Close other programs.")


def _bound(local: tuple[str, int] | tuple[str, int, int, int], port: int) -> socket.socket | None:
    sock = socket.socket(socket.AF_INET6 if ":" in local[0] else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((local[0], port, *local[2:]))
    except OSError:
        sock.close()
        return None
    return sock


def _enlarge(sock: socket.socket, size: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        # Without the right to go beyond net.core.rmem_max the kernel gives what it may.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
