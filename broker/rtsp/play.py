"""One camera from beginning to end: connect, converse, receive, keep alive, say good-bye; by the transport that works,
at the place that the camera names.

Belongs here: the order of these, and what is tried when one of them fails at once. Does not belong here: waits between
attempts (`camera`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from broker.errors import SourceFailure, SourceRefused, SourceSilent, SourceUnreachable, StreamMoved, TransportRefused
from broker.feed import Feed
from broker.rtsp.connection import RtspConnection
from broker.rtsp.dial import dial
from broker.rtsp.pulse import Pulse
from broker.rtsp.receiver import Receiver
from broker.rtsp.route import Route
from broker.rtsp.session import RtspSession, VideoStream
from broker.rtsp.transports import Way, ways_to_try
from broker.rtsp.wires import open_wire
from broker.sources.notation import RtspSource
from mesh.redact import redact
from trueframe.v1.cameras_pb2 import TRANSPORT_TCP

_GOOD_BYE_S = 0.5
_KEEP_ALIVE_AT_LEAST_S = 1.0
_KEEP_ALIVE_AT_MOST_S = 30.0
# After PLAY, for the first datagram: while TCP can still be tried, and when nothing else is left. There it doubles with
# every wait in vain, because some cameras begin with their next key frame, half a minute away.
_FIRST_PACKET_S = 3.0
_FIRST_PACKET_AT_LAST_S = 60.0


class SetUpBroke(SourceUnreachable):
    """The connection ended over the question how packets should come."""


async def play_rtsp(source: RtspSource, feed: Feed, timeout_s: float) -> None:
    """Plays a camera into a feed. Always raises: SourceFailure when it cannot, or no longer; or cancellation.

    `timeout_s`: longest wait for the connection and for each answer.
    """
    route = Route(source)
    while True:
        try:
            await _play_some_way(route.source, feed, timeout_s)
        except StreamMoved as moved:
            feed.end_epoch(moved.end_reason, redact(str(moved)))
            route.follow(moved, feed.clock.monotonic_ns())


async def _play_some_way(source: RtspSource, feed: Feed, timeout_s: float) -> None:
    """By the first transport that the camera does not refuse and that packets come by."""
    ways = ways_to_try(source.transport, feed.transport_that_worked, feed.waits_in_vain)
    first: SourceFailure | None = None
    for way in ways:
        is_last = way == ways[-1]
        # Nothing is remembered of a way that failed; it is remembered again once packets come.
        feed.transport_that_worked = ""
        try:
            patience_s = min(_FIRST_PACKET_S, timeout_s)
            if is_last:
                patience_s = min(_FIRST_PACKET_AT_LAST_S, 2 * patience_s * 2.0 ** min(feed.waits_in_vain, 16))
            await _play(source, feed, timeout_s, way, patience_s)
        except (TransportRefused, SourceSilent, SetUpBroke) as error:
            feed.end_epoch(error.end_reason, redact(str(error)))
            if is_last:
                feed.waits_in_vain += isinstance(error, SourceSilent)
                raise _neither(source, first, error) from error
            first = error


def _neither(source: RtspSource, first: SourceFailure | None, last: SourceFailure) -> SourceFailure:
    """The failure when no transport is left."""
    if first is None:
        if source.transport == TRANSPORT_TCP and not source.is_tls:
            remedy = (
                f"{last.remedy.rstrip('.')}, or let the broker use UDP (`trueframe cameras set … --transport auto`)."
            )
            return type(last)(last.thing, last.reason, remedy)
        return last
    kinds = (type(first), type(last))
    kind = SourceSilent if SourceSilent in kinds else SourceUnreachable if SetUpBroke in kinds else SourceRefused
    remedy = last.remedy if isinstance(last, SourceSilent) else first.remedy
    reason = first.reason if first.reason == last.reason else f"{first.reason}, and {last.reason}"
    return kind(source.thing, reason, remedy)


async def _play(source: RtspSource, feed: Feed, timeout_s: float, way: Way, first_packet_s: float) -> None:
    """One connection, by one transport."""
    connection = await dial(source, lambda: RtspConnection(source, feed.clock, timeout_s), timeout_s)
    session = RtspSession(source, connection)
    with contextlib.ExitStack() as stack:
        try:
            video = await session.describe()
            feed.server, feed.claimed_frame_rate = session.server, video.media.frame_rate
            wire = stack.enter_context(contextlib.closing(open_wire(way, source, connection, feed)))
            try:
                stream = await wire.set_up(session)
            except SourceUnreachable as error:
                # Some cameras hang up on those who ask for what they do not have.
                raise SetUpBroke(error.thing, error.reason, error.remedy) from error
            # Stored before the first frame can arrive.
            ingest = await feed.open_epoch((1, stream.clock_rate), stream.parameter_sets, stream.codec)
            receiver = wire.receiver(stream, ingest)
            stack.callback(receiver.end)
            said = await session.play()
            if said is not None:
                receiver.depacketiser.begins_at(said)
            wire.refresh()
            await wire.first_packet(first_packet_s)
            feed.transport_used, feed.transport_that_worked = wire.name, way
            stack.callback(_judge, feed, receiver)
            feed.connected()
            pulse = Pulse(source.thing, feed, receiver, wire.look)
            stack.callback(pulse.stop)
            pulse.start()
            await _stay(connection, session, stream, receiver, wire.refresh)
        finally:
            if not connection.failure.done():
                with contextlib.suppress(TimeoutError, SourceFailure):
                    async with asyncio.timeout(_GOOD_BYE_S):
                        await session.tear_down()
            connection.close()


def _judge(feed: Feed, receiver: Receiver) -> None:
    """What a connection that played has taught, at its end."""
    if receiver.depacketiser.packets:
        feed.waits_in_vain = 0
    else:
        feed.waits_in_vain += 1
        feed.transport_that_worked = ""


async def _stay(
    connection: RtspConnection,
    session: RtspSession,
    stream: VideoStream,
    receiver: Receiver,
    refresh: Callable[[], None],
) -> None:
    """Keeps the session alive until the connection fails; raises that failure."""
    # Two signs of life take turns, and either may be the only one that counts.
    every_s = min(max(stream.session_timeout_s * 0.4, _KEEP_ALIVE_AT_LEAST_S), _KEEP_ALIVE_AT_MOST_S)
    while True:
        done, _ = await asyncio.wait([connection.failure], timeout=every_s)
        if done:
            raise connection.failure.result()
        refresh()
        packets = receiver.depacketiser.packets
        try:
            await session.keep_alive()
        except SourceUnreachable:
            # A camera that does not answer and goes on sending is left in peace. One that does neither is gone.
            if receiver.depacketiser.packets == packets:
                raise
