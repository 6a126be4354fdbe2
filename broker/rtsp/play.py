"""One RTSP connection from beginning to end: connect, converse, receive, keep alive, say good-bye."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket

from broker.core import canonical_from_nals
from broker.errors import SourceFailure, SourceUnreachable
from broker.ingest import Feed
from broker.rtsp.connection import RtspConnection
from broker.rtsp.receiver import Receiver
from broker.rtsp.session import RtspSession, VideoStream
from broker.sources.notation import RtspSource

_GOOD_BYE_S = 0.5
_KEEP_ALIVE_AT_LEAST_S = 2.0
_KEEP_ALIVE_AT_MOST_S = 30.0


async def play_rtsp(source: RtspSource, feed: Feed, timeout_s: float) -> None:
    """Plays a camera into a feed. Always raises: SourceFailure when it cannot, or no longer; or cancellation.

    `timeout_s`: longest wait for the connection and for each answer.
    """
    connection = await _connect(source, feed, timeout_s)
    session = RtspSession(source, connection)
    receiver: Receiver | None = None
    try:
        media = await session.describe()
        stream = await session.set_up(media)
        # Stored before the first frame can arrive.
        ingest = await feed.open_epoch((1, stream.clock_rate), canonical_from_nals(stream.parameter_sets))
        receiver = Receiver(
            stream,
            ingest,
            feed.counters,
            lambda packet: connection.send_packet(stream.rtcp_channel, packet),
            feed.clock_state,
        )
        connection.attach(stream.rtp_channel, receiver.depacketiser, receiver.unit, receiver.packet)
        await session.play()
        feed.connected()
        await _stay(connection, session, stream)
    finally:
        if not connection.failure.done():
            with contextlib.suppress(TimeoutError, SourceFailure):
                async with asyncio.timeout(_GOOD_BYE_S):
                    await session.tear_down()
        connection.close()
        if receiver is not None:
            receiver.end()


async def _connect(source: RtspSource, feed: Feed, timeout_s: float) -> RtspConnection:
    thing = f"camera at {source.host}:{source.port}"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: RtspConnection(source, feed.clock, timeout_s), source.host, source.port
            )
    except TimeoutError:
        reason = f"does not answer within {timeout_s:g} s"
        raise SourceUnreachable(thing, reason, "Check the address, the camera and the network.") from None
    except socket.gaierror as error:
        raise SourceUnreachable(
            thing, f"the host name cannot be resolved ({error.strerror})", "Check the name."
        ) from error
    except OSError as error:
        if error.errno == errno.ECONNREFUSED or isinstance(error, ConnectionRefusedError):
            raise SourceUnreachable(thing, "refuses the connection", "Check the port; is RTSP switched on?") from error
        # asyncio writes the address into the text of its own errors; the number tells what happened.
        reason = f"cannot be reached ({os.strerror(error.errno) if error.errno else error})"
        raise SourceUnreachable(thing, reason, "Check the address, the camera and the network.") from error
    return connection


async def _stay(connection: RtspConnection, session: RtspSession, stream: VideoStream) -> None:
    """Keeps the session alive until the connection fails; raises that failure."""
    every_s = min(max(stream.session_timeout_s * 0.45, _KEEP_ALIVE_AT_LEAST_S), _KEEP_ALIVE_AT_MOST_S)
    while True:
        done, _ = await asyncio.wait([connection.failure], timeout=every_s)
        if done:
            raise connection.failure.result()
        # A camera that does not answer and goes on sending frames is left in peace.
        with contextlib.suppress(SourceUnreachable):
            await session.keep_alive()
