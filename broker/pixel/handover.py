"""rings.sock: hands picture rings to readers on this machine.

A Unix stream socket (mode 0600). Each side sends lines of JSON; unknown keys are ignored. One connection is one reader
of one camera; closing it, by death too, ends the reader. docs/design/0007-pixels.md tells why.

    reader → {"protocol": 2, "token": "…", "camera": "gate", "name": "worker-1", "pins": true}
    host   → {"ring": {"camera": "gate", "generation": 1, "width": 640, "height": 360, "slots": 4, "bytes": 1662976,
                       "wake": true, "pins": true}}     with descriptors [ring memory, wake-up, pins] (SCM_RIGHTS)
    host   → {"ring": {… "generation": 2, "wake": false, "pins": true}}   with [ring memory, pins]: the picture size
                       changed. What the old ring still holds comes first; its state says SUPERSEDED after the last
                       record.
    host   → {"error": {"status": "NOT_FOUND", "thing": "…", "reason": "…", "remedy": "…"}}   and closes.

The first ring may take as long as the camera takes to be live. The wake-up is a socket: readable when the ring has
something new; the reader empties it to clear it. The page for pins (pins.pyx) comes only to a reader that asked for it
in its greeting, one with each ring. A reader with a page says there when it sleeps: on the ring's `wake` word (futex)
or in `poll`; only in the second case is the wake-up used. Tokens must name the role `service` and have the camera in
scope.

Here: the socket, tokens, descriptors. Not here: what is in a ring (ring_layout.pyx), when there is one (outlet.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from broker.pixel.connection import MAX_LINE_BYTES, PROTOCOL
from broker.pixel.pins import PinRow
from broker.pixel.ring_writer import RingWriter
from mesh.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    TrueframeError,
    status_name,
)
from mesh.ids import validate_camera_id
from mesh.logs import get_logger, rate_limited
from mesh.roles import Role
from mesh.tokens import Verifier

log = get_logger("broker.pixel.handover")

_GREETING_WITHIN_S = 5.0
MAX_READERS = 1024

# Takes a seat for a camera and gives the function that leaves it again. Raises TrueframeError.
TakeSeat = Callable[[str, "ReaderSeat"], Awaitable[Callable[[], None]]]


class ReaderSeat:
    """One connected reader. `wake`, `offer` and `refuse` may be called from any thread and never block."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name = name
        self.wants_pins = False
        self._connection = connection
        # Not an eventfd or a pipe: whether a write to these may block is for the reader too to say, or its page faults
        # hold the pipe's lock. Of a pair of sockets it has one end, and no say about a send into the other.
        self._wake, self._wake_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._wake.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 0)  # the kernel's least: a handful of wake-ups
        self._wake_given = False

    def wake(self) -> None:
        """Makes the reader's wake-up readable."""
        try:
            self._wake.send(b"\1", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            pass  # full: it has not looked since the last ones, and is awake
        except OSError:
            self._hang_up()  # it closed its end, and would sleep for ever

    def offer(self, writer: RingWriter, row: PinRow | None) -> None:
        """Sends a ring's memory, and the page for the reader's pins in it."""
        description = {
            "camera": writer.camera,
            "generation": writer.generation,
            "width": writer.width,
            "height": writer.height,
            "slots": writer.slots,
            "bytes": writer.size_bytes,
            "wake": not self._wake_given,
            "pins": row is not None,
        }
        descriptors = [writer.fd]
        if not self._wake_given:
            descriptors.append(self._wake_end.fileno())
        if row is not None:
            descriptors.append(row.fd)
        self._send({"ring": description}, descriptors)
        self._wake_given = True
        self._wake_end.close()

    def refuse(self, error: TrueframeError) -> None:
        """Tells the reason and ends the connection."""
        fields = {"status": status_name(error), "thing": error.thing, "reason": error.reason, "remedy": error.remedy}
        self._send({"error": fields}, [])
        self._hang_up()

    def _send(self, message: dict[str, object], descriptors: list[int]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            sent = socket.send_fds(self._connection, [line], descriptors, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            sent = 0
        if sent != len(line):
            # A reader that does not read what is sent to it a few times a day.
            self._hang_up()

    def _hang_up(self) -> None:
        # Not closed here: the descriptor is the event loop's, whose read ends by this.
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Frees the descriptors; on the event loop, when no thread knows the seat any more."""
        self._connection.close()
        self._wake.close()
        self._wake_end.close()


@contextlib.asynccontextmanager
async def serve_rings(path: Path, verifier: Verifier, take_seat: TakeSeat) -> AsyncIterator[None]:
    """Serves rings.sock until the block is left. Raises FailedPrecondition when the path cannot be bound.

    A socket left behind by a killed host is replaced; the caller makes sure that no host lives on the same paths (the
    gRPC endpoint beside it refuses a second one).
    """
    listener = _listen(path)
    connections: set[asyncio.Task[None]] = set()

    async def accept() -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                if rate_limited("rings accept", 5.0):
                    log.warning("cannot accept a ring reader", reason=str(error))
                await asyncio.sleep(0.1)
                continue
            connection.setblocking(False)
            task = asyncio.create_task(_serve_reader(connection, verifier, take_seat, len(connections)))
            connections.add(task)
            task.add_done_callback(connections.discard)

    acceptor = asyncio.create_task(accept())
    try:
        yield
    finally:
        acceptor.cancel()
        for task in connections:
            task.cancel()
        await asyncio.gather(acceptor, *connections, return_exceptions=True)
        listener.close()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - the event loop is about to end


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if path.is_socket():
            path.unlink()
        # The folder is private to us (0700), so that there is no moment at which others could connect.
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise FailedPrecondition(
            f"rings socket {path}", f"cannot be bound: {error.strerror or error}", "Set pixels.rings_socket."
        ) from None
    return listener


async def _serve_reader(connection: socket.socket, verifier: Verifier, take_seat: TakeSeat, others: int) -> None:
    loop = asyncio.get_running_loop()
    seat = ReaderSeat(connection, "")
    leave: Callable[[], None] | None = None
    try:
        try:
            async with asyncio.timeout(_GREETING_WITHIN_S):
                greeting = await _line(connection)
            camera = _admit(greeting, seat, verifier)
            if others >= MAX_READERS:
                raise ResourceExhausted("pixel host", f"has {others} ring readers already")
            leave = await take_seat(camera, seat)
            log.info("ring reader came", camera=camera, reader=seat.name)
            while await loop.sock_recv(connection, 4096):
                pass  # readers have nothing to say after the greeting
            log.info("ring reader left", camera=camera, reader=seat.name)
        except TimeoutError:
            seat.refuse(InvalidArgument("greeting", f"did not come within {_GREETING_WITHIN_S} s"))
        except TrueframeError as error:
            if rate_limited("ring reader refused", 1.0):
                log.info("ring reader refused", reader=seat.name, reason=str(error))
            seat.refuse(error)
        except ConnectionError:
            pass  # gone: a reader may die at any time
        except Exception as error:
            log.exception("ring reader failed", reader=seat.name, error=type(error).__name__)
            seat.refuse(Internal("pixel host", "failed inside"))
    finally:
        if leave is not None:
            leave()
        seat.close()


async def _line(connection: socket.socket) -> bytes:
    data = b""
    while b"\n" not in data:
        if len(data) > MAX_LINE_BYTES:
            raise InvalidArgument("greeting", f"is longer than {MAX_LINE_BYTES} bytes")
        more = await asyncio.get_running_loop().sock_recv(connection, MAX_LINE_BYTES)
        if not more:
            raise ConnectionResetError
        data += more
    return data.partition(b"\n")[0]


def _admit(line: bytes, seat: ReaderSeat, verifier: Verifier) -> str:
    try:
        greeting = json.loads(line)
        protocol, token = greeting["protocol"], str(greeting["token"])
        camera, seat.name = str(greeting["camera"]), str(greeting.get("name", ""))[:63]
        seat.wants_pins = greeting.get("pins") is True
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidArgument("greeting", "is no JSON object with protocol, token and camera") from None
    if protocol != PROTOCOL:
        raise InvalidArgument("greeting", f"speaks protocol {str(protocol)[:20]}; this host speaks {PROTOCOL}")
    principal = verifier.verify(token)
    if principal.role is not Role.SERVICE:
        raise PermissionDenied(
            "picture rings", f"are not given to {principal.name!r} as {principal.role}", "Roles that may: service."
        )
    validate_camera_id(camera)
    principal.require(camera)
    return camera
