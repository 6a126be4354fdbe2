"""HTTP(S) cameras: Motion JPEG as multipart/x-mixed-replace, each picture minted the moment its last byte was read.

Belongs here: the connection, authentication, redirects, and what answers mean. Does not belong here: the body's form
(`http_body`), whom to believe over TLS (`broker.rtsp.tls`), identity and times of frames (`ingest`).

FFmpeg's client would give a picture out when the next one begins, and asyncio's streams after a task switch; here the
read, the end of the picture and the frame's id are one call stack, as for RTSP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from broker.errors import SourceFailure, SourceRefused, SourceSpokeNonsense, SourceUnauthorised, SourceUnreachable
from broker.feed import Feed
from broker.ingest import Ingest
from broker.rtsp.auth import Authenticator
from broker.rtsp.dial import dial
from broker.sources.http_body import ChunkedBody, Head, JpegParts, MalformedHttp, parse_head
from broker.sources.notation import HttpSource, parse_source
from mesh.clocks import Clock
from mesh.errors import InvalidArgument
from mesh.logs import get_logger
from mesh.redact import redact
from trueframe.v1 import frames_pb2

log = get_logger("broker.http")

USER_AGENT = "trueframe"
_MAX_REDIRECTS = 5
_MAX_TRIES = 3
_TIME_BASE = (1, 90_000)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def play_http(source: HttpSource, feed: Feed, timeout_s: float) -> None:
    """Plays a camera into a feed. Always raises: SourceFailure when it cannot, or no longer; or cancellation.

    `timeout_s`: longest wait for a connection and for the head of each answer.
    """
    connection, head = await _request_stream(source, feed.clock, timeout_s)
    try:
        _check(connection.source, head)
        feed.server = "".join(c for c in head.headers.get("Server") if c.isprintable())[:200]
        feed.transport_used = "https" if connection.source.is_tls else "http"
        ingest = await feed.open_epoch(_TIME_BASE, b"", frames_pb2.CODEC_MJPEG)
        feed.connected()
        connection.receive(head, _Intake(feed, ingest, head))
        raise await connection.failure
    finally:
        connection.close()


class _Intake:
    """The body of one answer on its way to frames."""

    def __init__(self, feed: Feed, ingest: Ingest, head: Head) -> None:
        self._feed = feed
        self._ingest = ingest
        self._parts = JpegParts(head.boundary)
        self._refused = 0
        self._others = 0
        self._opened_ns = feed.clock.monotonic_ns()

    def take(self, data: bytes, monotonic_ns: int) -> None:
        """Bytes of the body that were read at a moment."""
        parts = self._parts
        pictures = parts.feed(data)
        if parts.refused != self._refused:
            self._ingest.refuse(parts.refused - self._refused)
            self._refused = parts.refused
        if parts.other_parts != self._others:
            self._feed.counters.audio_packets_dropped += parts.other_parts - self._others
            self._others = parts.other_parts
        for picture in pictures:
            # What came with the answer's head waited for the epoch to be stored.
            arrived_ns = max(monotonic_ns, self._opened_ns)
            self._ingest.unit(picture, None, False, False, arrived_ns, None, None)


class HttpConnection(asyncio.Protocol):
    """One connection and one request. `failure` is done when it is of no further use, with the reason as result."""

    def __init__(self, source: HttpSource, clock: Clock) -> None:
        loop = asyncio.get_running_loop()
        self.source = source
        self.head: asyncio.Future[Head] = loop.create_future()
        self.failure: asyncio.Future[SourceFailure] = loop.create_future()
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._received_ns = 0
        self._take: Callable[[bytes, int], None] | None = None
        self._chunks: ChunkedBody | None = None

    async def request(self, authorization: str | None, timeout_s: float) -> Head:
        """Asks for the stream and returns the head of the answer; the body waits. Raises SourceFailure."""
        source = self.source
        lines = [
            f"GET {source.target} HTTP/1.1",
            f"Host: {urlsplit(source.url).netloc}",
            f"User-Agent: {USER_AGENT}",
            "Accept: multipart/x-mixed-replace, */*;q=0.5",
            "Connection: close",
        ]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        assert self._transport is not None
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace"))
        either: list[asyncio.Future[Any]] = [self.head, self.failure]
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if self.head.done():
            return self.head.result()
        if self.failure.done():
            raise self.failure.result()
        reason = f"did not answer within {timeout_s:g} s"
        raise SourceUnreachable(source.thing, reason, "Check the camera and the network.")

    def receive(self, head: Head, intake: _Intake) -> None:
        """Lets the body flow: each piece is taken with the time at which it was read."""
        self._take = intake.take
        self._chunks = ChunkedBody() if head.is_chunked else None
        waiting, self._received = self._received, b""
        if waiting:
            self._body(waiting, self._received_ns)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Closes the connection; idempotent."""
        self._fail(SourceUnreachable(self.source.thing, "the connection was closed by the broker"))

    # ---- for the event loop -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Something was read: the time is taken now, before anything else is done."""
        now_ns = self._clock.monotonic_ns()
        if self._take is not None:
            self._body(data, now_ns)
            return
        self._received += data
        self._received_ns = now_ns
        if self.head.done():
            return  # a piece that was under way when reading was paused
        try:
            parsed = parse_head(self._received)
        except MalformedHttp:
            self._fail(nonsense(self.source, self._received))
            return
        if parsed is not None:
            head, self._received = parsed
            if self._transport is not None:
                self._transport.pause_reading()
            self.head.set_result(head)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        if self._take is None and self._received and not self.head.done():
            self._fail(nonsense(self.source, self._received))
            return
        reason = "closed the connection" if exc is None else f"the connection broke ({exc})"
        self._fail(SourceUnreachable(self.source.thing, reason, "The broker connects again by itself."))

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _body(self, data: bytes, now_ns: int) -> None:
        assert self._take is not None
        try:
            if self._chunks is not None:
                data = self._chunks.feed(data)
            if data:
                self._take(data, now_ns)
        except MalformedHttp as error:
            self._fail(SourceSpokeNonsense(self.source.thing, f"sent {error} in its stream", "Restart the camera."))
        except Exception as error:  # A fault of ours must end this connection only.
            log.exception("connection failed", host=self.source.host)
            self._fail(SourceFailure(self.source.thing, f"internal fault ({type(error).__name__})"))
        if self._chunks is not None and self._chunks.has_ended:
            reason, remedy = "ended the stream", "The broker connects again by itself."
            self._fail(SourceUnreachable(self.source.thing, reason, remedy))

    def _fail(self, failure: SourceFailure) -> None:
        if not self.failure.done():
            self.failure.set_result(failure)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()


async def _request_stream(source: HttpSource, clock: Clock, timeout_s: float) -> tuple[HttpConnection, Head]:
    """Asks until something else than a challenge or a redirect is answered. Raises SourceFailure."""
    for _ in range(_MAX_REDIRECTS + 1):
        connection, head = await _authenticated(source, clock, timeout_s)
        if head.status not in _REDIRECTS:
            return connection, head
        connection.close()
        source = _redirected(source, head)
    thing = source.thing
    raise SourceRefused(thing, f"redirects more than {_MAX_REDIRECTS} times", "Give the final URL as the source.")


async def _authenticated(source: HttpSource, clock: Clock, timeout_s: float) -> tuple[HttpConnection, Head]:
    authenticator = Authenticator(source.credentials) if source.credentials else None
    for _ in range(_MAX_TRIES):
        connection = await dial(source, lambda: HttpConnection(source, clock), timeout_s)
        try:
            authorization = authenticator.header("GET", source.target) if authenticator else None
            head = await connection.request(authorization, timeout_s)
        except BaseException:
            connection.close()
            raise
        if head.status != 401:
            return connection, head
        connection.close()
        if authenticator is None or not authenticator.accept(head.headers.all("WWW-Authenticate")):
            break
    raise _unauthorised(source)


def _redirected(source: HttpSource, head: Head) -> HttpSource:
    """Where a redirect leads. Credentials go along to the same host only, and never out of an encryption."""
    target = urljoin(source.url, head.headers.get("Location").strip())
    shown = redact(target)[:200]
    try:
        there = parse_source(target, tls_sha256=source.tls_sha256 if target.lower().startswith("https:") else "")
    except InvalidArgument as error:
        raise SourceRefused(source.thing, f"redirects to {shown!r}, which {error.reason}") from error
    if not isinstance(there, HttpSource):
        raise SourceRefused(source.thing, f"redirects to {shown!r}", "Give that URL as the source.")
    if source.is_tls and not there.is_tls:
        reason = f"redirects out of the encryption, to {shown!r}"
        raise SourceRefused(source.thing, reason, "Give that URL as the source if this is meant.")
    return replace(there, credentials=source.credentials if there.host == source.host else None)


def _check(source: HttpSource, head: Head) -> None:
    """Refuses every answer that is not a stream of pictures."""
    thing, kind = source.thing, head.content_type
    if head.status == 200 and kind.startswith("multipart/"):
        return
    path = urlsplit(source.url).path or "/"
    if head.status == 403:
        raise SourceUnauthorised(thing, "forbids this stream to this user", "Give the user that right.")
    if head.status in (404, 410):
        raise SourceRefused(thing, f"has no stream at the path {path!r}", "Correct the path in the source.")
    if head.status == 503:
        raise SourceRefused(thing, "serves no further viewer now (503)", "Close other connections to it.")
    if head.status != 200:
        raise SourceRefused(thing, f"answered with {redact(f'{head.status} {head.reason}'.strip()[:120])!r}")
    if kind in ("image/jpeg", "image/jpg"):
        reason = f"gives one picture and not a stream at the path {path!r}"
        raise SourceRefused(thing, reason, "Give the URL of its MJPEG stream (multipart/x-mixed-replace), or rtsp://.")
    shown = redact(kind[:80]) or "nothing that it names"
    reason = f"gives {shown} at the path {path!r}, not a stream of pictures (multipart/x-mixed-replace)"
    raise SourceRefused(thing, reason, "Give the URL of its MJPEG stream, or of its RTSP stream.")


def _unauthorised(source: HttpSource) -> SourceUnauthorised:
    if source.credentials is None:
        # Not a whole URL: its credentials would be taken out of this very text.
        remedy = "Put them into the source, in front of the host: USER:PASSWORD@HOST."
        return SourceUnauthorised(source.thing, "asks for a user and a password", remedy)
    return SourceUnauthorised(
        source.thing, "refuses the user or the password", "Correct the credentials in the source."
    )


def nonsense(source: HttpSource, received: bytes) -> SourceSpokeNonsense:
    """The failure for a peer that is no HTTP server; its first bytes tell a human what it may be."""
    start = received[:24].decode("ascii", "replace").split("\r")[0].split("\n")[0]
    shown = "".join(c if c.isprintable() else "." for c in start)
    return SourceSpokeNonsense(source.thing, f"does not speak HTTP (it said {shown!r})", "Check the port and scheme.")
