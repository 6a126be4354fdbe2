"""How packets reach the broker once a camera plays: inside the RTSP connection, or over UDP. One object for either.

Belongs here: what the two ways do differently between SETUP and the end. Does not belong here: requests (`session`),
sockets (`connection`, `udp`), what packets mean (`receiver`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from broker.errors import SourceFailure, SourceSilent
from broker.feed import Feed
from broker.ingest import Ingest
from broker.rtsp.connection import RtspConnection
from broker.rtsp.receiver import Receiver
from broker.rtsp.session import RtspSession, VideoStream
from broker.rtsp.transports import Way
from broker.rtsp.udp import UdpPair, UdpSink
from broker.sources.notation import RtspSource

# A packet may come so much later than the one behind it, in packets and in time. Networks reorder within a burst.
REORDER_PACKETS = 64
REORDER_NS = 40_000_000


class InterleavedWire:
    """Packets inside the RTSP connection."""

    def __init__(self, source: RtspSource, connection: RtspConnection, feed: Feed) -> None:
        self.name = "tls" if source.is_tls else "tcp"
        self._connection = connection
        self._feed = feed

    async def set_up(self, session: RtspSession) -> VideoStream:
        """SETUP of the stream. Raises SourceFailure."""
        return await session.set_up_interleaved()

    def receiver(self, stream: VideoStream, ingest: Ingest) -> Receiver:
        """A receiver that packets go to from now on."""
        connection, feed = self._connection, self._feed
        rtcp_channel = stream.rtcp_channel

        def adopt(channel: int) -> None:
            nonlocal rtcp_channel
            rtcp_channel = min(channel + 1, 255)
            connection.attach(channel, receiver.depacketiser, receiver.unit, packet)

        def packet(channel: int, data: bytes) -> None:
            receiver.packet(channel, data, feed.clock.monotonic_ns())

        receiver = Receiver(
            stream,
            ingest,
            feed.counters,
            lambda report: connection.send_packet(rtcp_channel, report),
            feed.clock_state,
            adopt=adopt,
        )
        connection.attach(stream.rtp_channel, receiver.depacketiser, receiver.unit, packet)
        return receiver

    async def first_packet(self, timeout_s: float) -> None:
        """Nothing to wait for: the connection that the answer came by carries packets too."""

    def refresh(self) -> None:
        """Nothing to keep open."""

    def look(self) -> None:
        """Nothing to look at."""

    def close(self) -> None:
        """Nothing of its own."""


class DatagramWire:
    """Packets over UDP, from the camera's address only. Raises SourceUnreachable when no ports are left."""

    name = "udp"

    def __init__(self, source: RtspSource, connection: RtspConnection, feed: Feed) -> None:
        self._source = source
        self._connection = connection
        self._feed = feed
        self._host = connection.peer_host
        self._pair = UdpPair(connection.local_address)
        self._sinks: list[UdpSink] = []
        self._stream: VideoStream | None = None
        self._dropped = self._foreign = 0

    async def set_up(self, session: RtspSession) -> VideoStream:
        """SETUP of the stream to ports of ours. Raises SourceFailure."""
        self._stream = await session.set_up_datagrams(self._pair.ports, self._sink_ports)
        return self._stream

    def receiver(self, stream: VideoStream, ingest: Ingest) -> Receiver:
        """A receiver that packets go to from now on."""
        feed = self._feed
        receiver = Receiver(
            stream,
            ingest,
            feed.counters,
            self._pair.send_report,
            feed.clock_state,
            reorder_packets=REORDER_PACKETS,
            reorder_ns=REORDER_NS,
        )

        def fault(error: Exception) -> None:
            feed.on_failure(SourceFailure(self._source.thing, f"internal fault ({type(error).__name__})"))

        self._pair.listen(
            receiver.depacketiser,
            stream.payload_type,
            feed.clock,
            [self._host, *([stream.agreed.source] if stream.agreed.source else [])],
            receiver.unit,
            lambda packet: receiver.report(packet, feed.clock.monotonic_ns()),
            fault,
        )
        self.refresh()
        return receiver

    async def first_packet(self, timeout_s: float) -> None:
        """Returns when the first packet came. Raises SourceSilent if none does, or why the connection ended."""
        either: list[asyncio.Future[Any]] = [self._pair.first_packet, self._connection.failure]
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if self._pair.first_packet.done():
            return
        if self._connection.failure.done():
            raise self._connection.failure.result()
        # No ports and no seconds: they differ each time, and the same failure again is no news.
        reason = "plays over UDP, and no packet arrives"
        if self._pair.foreign_datagrams:
            reason += " from its address; those of others are not heard"
        remedy = f"Let UDP from {self._host} through the firewalls to the broker, or use TCP."
        raise SourceSilent(self._source.thing, reason, remedy)

    def refresh(self) -> None:
        """Sends something towards the camera, so that what is in between goes on letting its packets through."""
        if self._stream is not None:
            agreed = self._stream.agreed
            self._pair.punch(agreed.source or self._host, agreed.server_ports, self._stream.payload_type)

    def look(self) -> None:
        """Once a second: what the kernel dropped is told and counted, and what came from others."""
        counters, pair = self._feed.counters, self._pair
        pair.warn_of_drops(self._feed.camera)
        dropped, foreign = pair.dropped_by_kernel, pair.foreign_datagrams
        counters.datagrams_dropped += dropped - self._dropped
        counters.foreign_datagrams += foreign - self._foreign
        self._dropped, self._foreign = dropped, foreign
        counters.audio_packets_dropped += sum(sink.newly_dropped() for sink in self._sinks)

    def close(self) -> None:
        """Closes the sockets; idempotent."""
        self._pair.close()
        for sink in self._sinks:
            sink.close()

    def _sink_ports(self) -> tuple[int, int]:
        sink = UdpSink(self._connection.local_address)
        self._sinks.append(sink)
        return sink.ports


def open_wire(way: Way, source: RtspSource, connection: RtspConnection, feed: Feed) -> InterleavedWire | DatagramWire:
    """The wire of this transport."""
    return DatagramWire(source, connection, feed) if way == "udp" else InterleavedWire(source, connection, feed)
