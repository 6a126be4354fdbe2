"""The socket of one RTSP connection: what is read goes straight to the compiled parser and on to whoever takes units.

Belongs here: asyncio's BufferedProtocol, matching answers to requests, answering the camera's own requests. Does not
belong here: what requests mean (`session`), frames (`ingest`). No task and no queue stands between a read and a unit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from broker.core import InterleavedError, InterleavedParser, Unit
from broker.core.rtp import Depacketiser
from broker.errors import SourceFailure, SourceUnreachable, StreamMoved
from broker.rtsp import messages
from broker.rtsp.messages import MalformedMessage, Request, Response
from broker.rtsp.refusals import nonsense
from broker.sources.notation import RtspSource
from mesh.clocks import Clock
from mesh.logs import get_logger
from mesh.redact import redact

log = get_logger("broker.rtsp")

_SHOWN_BYTES = 64
_MAX_UNSENT_BYTES = 1 << 20
_MAX_UNANSWERED = 64
_BY_ITSELF = "The broker connects again by itself."


class RtspConnection(asyncio.BufferedProtocol):
    """One TCP connection to a camera. `failure` is done when it is of no further use, with the reason as result."""

    def __init__(self, source: RtspSource, clock: Clock, timeout_s: float) -> None:
        self._source = source
        self._clock = clock
        self._timeout_s = timeout_s
        self._parser = InterleavedParser()
        self._transport: asyncio.Transport | None = None
        self._cseq = 0
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        # Requests that were given up; their answers may still come.
        self._unanswered: set[int] = set()
        self._first_bytes = b""
        self._has_spoken_rtsp = False
        self._on_unit: Callable[[Unit], None] = lambda unit: None
        self._on_packet: Callable[[int, bytes], None] = lambda channel, packet: None
        self._buffer: memoryview = memoryview(b"")
        self.failure: asyncio.Future[SourceFailure] = asyncio.get_running_loop().create_future()

    # ---- for the session --------------------------------------------------------------------------------------------

    async def exchange(self, method: str, url: str, headers: list[tuple[str, str]]) -> Response:
        """Sends one request and returns its answer. Raises SourceFailure if none comes in time."""
        if self.failure.done() or self._transport is None:
            raise self._fresh_failure()
        self._cseq += 1
        cseq = self._cseq
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[cseq] = answer
        try:
            self._transport.write(messages.encode_request(method, url, cseq, headers))
            async with asyncio.timeout(self._timeout_s):
                either: list[asyncio.Future[Any]] = [answer, self.failure]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            if self._parser.skipped_bytes and not self._has_spoken_rtsp:
                raise nonsense(self._source, self._first_bytes) from None
            if len(self._unanswered) < _MAX_UNANSWERED:
                self._unanswered.add(cseq)
            reason = f"did not answer {method} within {self._timeout_s:g} s"
            raise SourceUnreachable(self._source.thing, reason, "Check the camera and the network.") from None
        finally:
            self._waiting.pop(cseq, None)
        if not answer.done():
            raise self._fresh_failure()
        return answer.result()

    def attach(
        self,
        channel: int,
        depacketiser: Depacketiser,
        on_unit: Callable[[Unit], None],
        on_packet: Callable[[int, bytes], None],
    ) -> None:
        """Gives units of `channel` to `on_unit`, and packets of every other channel to `on_packet`."""
        self._parser.attach(channel, depacketiser)
        self._on_unit = on_unit
        self._on_packet = on_packet

    @property
    def local_address(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """Our side of the connection, as sockets give it."""
        transport = self._transport
        if transport is None:
            raise self._fresh_failure()
        address: tuple[str, int] | tuple[str, int, int, int] = transport.get_extra_info("sockname")
        return address

    @property
    def peer_host(self) -> str:
        """The camera's address."""
        transport = self._transport
        if transport is None:
            raise self._fresh_failure()
        return str(transport.get_extra_info("peername")[0])

    def send_packet(self, channel: int, packet: bytes) -> None:
        """Sends an interleaved packet, unless the camera does not read what it is sent."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            return
        transport.write(b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet)

    def close(self) -> None:
        """Closes the connection; idempotent."""
        self._fail(SourceUnreachable(self._source.thing, "the connection was closed by the broker"))
        if self._transport is not None:
            self._transport.abort()

    # ---- for the event loop -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        # Not an assertion: uvloop's transports are of no asyncio class.
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Memory of the parser for the next read."""
        self._buffer = self._parser.get_buffer(sizehint)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Something was read: the time is taken now, before anything else is done."""
        now_ns = self._clock.monotonic_ns()
        if not self._has_spoken_rtsp and len(self._first_bytes) < _SHOWN_BYTES:
            self._first_bytes += bytes(self._buffer[: min(nbytes, _SHOWN_BYTES)])
        try:
            for event in self._parser.buffer_updated(nbytes, now_ns):
                if event[0] == "unit":
                    self._on_unit(event[2])
                elif event[0] == "packet":
                    self._on_packet(event[1], event[2])
                else:
                    self._take_message(event[1], event[2])
        except (InterleavedError, MalformedMessage):
            self._fail(nonsense(self._source, self._first_bytes))
        except Exception as error:  # A fault of ours must end this connection only.
            log.exception("connection failed", host=self._source.host)
            self._fail(SourceFailure(self._source.thing, f"internal fault ({type(error).__name__})"))

    def eof_received(self) -> bool:
        """The camera closed its side; so do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        if not self._first_bytes and exc is None:
            remedy = "Check the port" + ("." if self._source.is_tls else "; some cameras want rtsps://.")
            self._fail(SourceUnreachable(self._source.thing, "closed the connection without a word", remedy))
        elif self._has_spoken_rtsp or not self._first_bytes:
            reason = "closed the connection" if exc is None else f"the connection broke ({exc})"
            self._fail(SourceUnreachable(self._source.thing, reason, _BY_ITSELF))
        else:
            self._fail(nonsense(self._source, self._first_bytes))

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _fresh_failure(self) -> SourceFailure:
        known = (
            self.failure.result() if self.failure.done() else SourceUnreachable(self._source.thing, "is not connected")
        )
        if isinstance(known, StreamMoved):
            return StreamMoved(known.thing, known.reason, known.remedy, known.location, known.is_proxy)
        return type(known)(known.thing, known.reason, known.remedy)

    def _fail(self, failure: SourceFailure) -> None:
        if not self.failure.done():
            self.failure.set_result(failure)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    def _take_message(self, head: bytes, body: bytes) -> None:
        message = messages.parse_message(head + b"\r\n\r\n" + body)
        self._has_spoken_rtsp = True
        if isinstance(message, Request):
            self._answer(message)
            return
        cseq = message.cseq
        if cseq in self._unanswered:
            self._unanswered.discard(cseq)
            return
        if cseq not in self._waiting and len(self._waiting) == 1:
            # Some cameras leave CSeq out of refusals or count by themselves; with one request under way there is no
            # doubt.
            cseq = next(iter(self._waiting))
        answer = self._waiting.get(cseq) if cseq is not None else None
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _answer(self, request: Request) -> None:
        if request.method == "TEARDOWN":
            self._fail(
                SourceUnreachable(self._source.thing, "ended the session", "The broker connects again by itself.")
            )
            return
        if request.method == "REDIRECT":
            self._redirect(request)
            return
        if self._transport is None or request.cseq is None:
            return
        if request.method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER"):
            self._transport.write(messages.encode_response(200, "OK", request.cseq))
        elif self._transport.get_write_buffer_size() <= _MAX_UNSENT_BYTES:
            self._transport.write(messages.encode_response(501, "Not Implemented", request.cseq))

    def _redirect(self, request: Request) -> None:
        """The camera asks to be left for another place, or to be asked anew."""
        if self._transport is not None and request.cseq is not None:
            self._transport.write(messages.encode_response(200, "OK", request.cseq))
        location = request.headers.get("Location")
        reason = f"asks to be looked for at {redact(location)[:200]!r}" if location else "asks to be connected to anew"
        self._fail(StreamMoved(self._source.thing, reason, "The broker does that by itself.", location))
