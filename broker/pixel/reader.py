"""RingReader: the pictures of one camera out of shared memory, frame by frame, with a reason for each that is missing.

Here: waiting, following generations and hosts. Not here: what a ring tells (story.py), the memory layout
(ring_layout.pyx), the handover protocol's other side and its description (handover.py).
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from broker.pixel.connection import PROTOCOL, Connection, error_of
from broker.pixel.picture import Missing, Picture
from broker.pixel.ring_mapping import RingMapping
from broker.pixel.story import RingStory
from mesh.errors import InvalidArgument, Unavailable
from mesh.files import read_secret
from mesh.ids import FrameId

# Asleep on the ring, it looks this often whether the host still lives: a dead one wakes nobody. After so long without
# news it waits in `poll`, where it need not look.
_LONGEST_SLEEP_S, _SLEEPS_FOR_S = 0.1, 1.0


class SupportsToken(Protocol):
    """Something that knows the present token: `mesh.channel.Credentials`."""

    @property
    def token(self) -> str:
        """The token's text."""
        ...


class RingReader:
    """Pictures of one camera, in the order of decoding's output. Blocking; one thread uses it, any may `close()` it.

    The picture handed out is held in its slot until the next `read`, without a copy; `Picture` says how firmly.

    Begins at the newest picture, or behind `after`, with the frames between told as Missing. When the pixel host dies
    the reader connects again by itself and goes on (`reconnect=False`: it raises Unavailable). Within every epoch that
    it tells of, from its first id on, each frame comes exactly once: as a Picture or inside a Missing. Ids grow except
    where a stream has B-frames: then pictures come in presentation order.

    Raises NotFound (no such camera, or it was removed), Unauthenticated, PermissionDenied, ResourceExhausted (no
    picture memory left), each from `read` or the iteration.

        with RingReader("/run/rings.sock", token, "gate") as reader:
            for item in reader:
                if isinstance(item, Picture): ...
    """

    def __init__(
        self,
        rings_socket: str | os.PathLike[str],
        token: str | Path | SupportsToken,
        camera: str,
        *,
        name: str = "",
        after: FrameId | None = None,
        reconnect: bool = True,
    ) -> None:
        if after is not None and after.camera != camera:
            raise InvalidArgument(f"start {after}", f"is not a frame of camera {camera}")
        self._path = os.fspath(rings_socket)
        self._token = token
        self._camera = camera
        self._name = name
        self._reconnect = reconnect
        self._story = RingStory(camera, after)
        self._is_handed_out = False
        self._rings: deque[RingMapping] = deque()
        self._connection: Connection | None = None
        self._back_off_s = 0.05
        self._not_before = 0.0
        self._news_s = 0.0
        self._closed = False
        self._reading = threading.Lock()
        self._closing = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __enter__(self) -> RingReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Picture | Missing]:
        while (item := self.read()) is not None:
            yield item

    @property
    def camera(self) -> str:
        """The camera read."""
        return self._camera

    @property
    def session(self) -> int | None:
        """The run of the pixel host that the newest item came from; None before the first."""
        return self._story.session

    def close(self) -> None:
        """Ends the reading; a `read` under way in another thread returns None. Pictures handed out stay mapped."""
        if self._closing < 0:
            return
        self._closed = True
        os.eventfd_write(self._closing, 1)
        mapping = self._story.mapping
        if mapping is not None:
            mapping.rouse()
        # Not without end: a signal handler may call this on top of the very `read` that holds the lock, which then
        # releases by itself when it goes on.
        if self._reading.acquire(timeout=1.0):
            try:
                self._release()
            finally:
                self._reading.release()

    def read(self, timeout_s: float | None = None) -> Picture | Missing | None:
        """The next frame; None after `timeout_s` seconds without one (None waits for ever) or once closed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._reading:
            if self._is_handed_out:
                self._story.let_go()
            if self._story.mapping is not None:
                self._story.mapping.awake()
            item = self._read(deadline)
            self._is_handed_out = isinstance(item, Picture)
            return item

    def wait_for(self) -> tuple[list[int], float | None]:
        """For event loops, when `read(0)` gave None: what to wait for before the next.

        Descriptors of which one becomes readable with news, and after how many seconds to look anyway (None: not
        before; 0: at once).
        """
        connection, mapping = self._connection, self._story.mapping
        if self._closed or self._story.ready:
            return [], 0.0
        if connection is None:
            return [], max(0.0, self._not_before - time.monotonic())
        if connection.wake >= 0:
            connection.clear_wake()  # before the look at what is new: messages that come after it stay
        if mapping is not None and not mapping.expect_messages(self._story.next):
            return [], 0.0
        return [fd for fd in (connection.socket.fileno(), connection.wake) if fd >= 0], None

    def _read(self, deadline: float | None) -> Picture | Missing | None:
        while True:
            if self._closed:
                self._release()
                return None
            if self._story.ready:
                return self._story.ready.popleft()
            if self._story.advance():
                continue
            if self._story.mapping is None and self._rings:
                self._story.open(self._rings.popleft())
                continue
            if not self._wait(deadline):
                return None

    # --- waiting

    def _wait(self, deadline: float | None) -> bool:
        """Waits for something to happen; False when the deadline passed first. Looks once even if it has passed."""
        now = time.monotonic()
        wait_s = None if deadline is None else max(0.0, deadline - now)
        connection, mapping = self._connection, self._story.mapping
        if mapping is not None and connection is not None and mapping.can_sleep and wait_s != 0.0:
            if now - self._news_s < _SLEEPS_FOR_S:
                sleep_s = _LONGEST_SLEEP_S if wait_s is None else min(wait_s, _LONGEST_SLEEP_S)
                if mapping.sleep(self._story.next, int(sleep_s * 1e9)):
                    self._news_s = now
                    return True
                wait_s = 0.0  # a look at the connection, and back to sleep
            elif not mapping.expect_messages(self._story.next):
                return True
        poll = select.poll()
        poll.register(self._closing, select.POLLIN)
        if connection is not None:
            poll.register(connection.socket, select.POLLIN)
            if connection.wake >= 0:
                poll.register(connection.wake, select.POLLIN)
        elif now >= self._not_before:
            self._connect()
            return True
        else:
            wait_s = min(self._not_before - now, 1e9 if wait_s is None else wait_s)
        ready = poll.poll(None if wait_s is None else int(wait_s * 1000 + 0.999))
        for descriptor, _ in ready:
            if connection is not None and descriptor == connection.wake:
                connection.clear_wake()
                self._news_s = time.monotonic()
            elif connection is not None and descriptor == connection.socket.fileno():
                self._receive(connection)
        return bool(ready) or deadline is None or time.monotonic() < deadline

    def _greeting(self) -> bytes:
        # Read anew for each connection: tokens are renewed.
        token = self._token
        text = token if isinstance(token, str) else read_secret(token) if isinstance(token, Path) else token.token
        greeting = {"protocol": PROTOCOL, "token": text, "camera": self._camera, "name": self._name, "pins": True}
        return json.dumps(greeting).encode()

    def _connect(self) -> None:
        try:
            self._connection = Connection(self._path, self._greeting())
        except OSError as error:
            self._lose(f"does not answer: {error.strerror or error}")

    def _receive(self, connection: Connection) -> None:
        try:
            messages = connection.receive()
        except (OSError, ValueError) as error:
            self._lose(str(error))
            return
        for message, mapping in messages:
            if mapping is not None:
                self._rings.append(mapping)
                self._back_off_s = 0.05
            elif "error" in message:
                told = error_of(message["error"])
                if isinstance(told, Unavailable):
                    self._lose(str(told))
                    return
                self._release()
                raise told

    def _lose(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        # What the old ring still holds was read before: `_wait` comes only when there is nothing more.
        self._story.close_ring()
        self._rings.clear()
        if not self._reconnect:
            raise Unavailable(f"pixel host at {self._path}", reason, "Is it running? `trueframe status` tells.")
        self._not_before = time.monotonic() + self._back_off_s
        self._back_off_s = min(1.0, self._back_off_s * 2)

    def _release(self) -> None:
        if self._closed and self._closing >= 0:
            os.close(self._closing)
            self._closing = -1
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._story.forget()
        self._rings.clear()

    def __del__(self) -> None:
        self._closed = True
        if hasattr(self, "_closing"):
            self._release()
