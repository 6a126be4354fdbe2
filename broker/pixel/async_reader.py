"""AsyncRingReader: a RingReader for asyncio programs, which wait for many things at once.

Here: waiting on an event loop. Not here: everything else (reader.py). A blocking reader sleeps on the ring itself; this
one asks for messages, since an event loop waits for descriptors.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from broker.pixel.picture import Missing, Picture
from broker.pixel.reader import RingReader, SupportsToken
from mesh.ids import FrameId


class AsyncRingReader:
    """Pictures of one camera as RingReader gives them, with its errors: an asynchronous iterator and context manager.

    For one task of one event loop. Connecting, once a life of the pixel host, takes a moment of the loop's time.

        async with AsyncRingReader("/run/rings.sock", token, "gate") as reader:
            async for item in reader:
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
        self._reader = RingReader(rings_socket, token, camera, name=name, after=after, reconnect=reconnect)
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: list[int] = []
        self._woken = asyncio.Event()

    async def __aenter__(self) -> AsyncRingReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> AsyncRingReader:
        return self

    async def __anext__(self) -> Picture | Missing:
        item = await self.read()
        if item is None:
            raise StopAsyncIteration
        return item

    @property
    def camera(self) -> str:
        """The camera read."""
        return self._reader.camera

    @property
    def session(self) -> int | None:
        """The run of the pixel host that the newest item came from; None before the first."""
        return self._reader.session

    def close(self) -> None:
        """Ends the reading; a `read` under way returns None. Pictures handed out stay mapped."""
        self._is_closed = True
        # Before they are closed: a number may be another descriptor's a moment later.
        self._watch_no_more()
        self._woken.set()
        self._reader.close()

    async def read(self, timeout_s: float | None = None) -> Picture | Missing | None:
        """The next frame; None after `timeout_s` seconds without one (None waits for ever) or once closed."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while not self._is_closed:
            item = self._reader.read(0)
            if item is not None:
                return item
            if deadline is not None and loop.time() >= deadline:
                return None
            await self._wait(None if deadline is None else deadline - loop.time())
        return None

    async def _wait(self, at_most_s: float | None) -> None:
        descriptors, look_after_s = self._reader.wait_for()
        limits = [limit for limit in (at_most_s, look_after_s) if limit is not None]
        self._loop = asyncio.get_running_loop()
        self._woken.clear()
        self._watched = descriptors
        for descriptor in descriptors:
            self._loop.add_reader(descriptor, self._woken.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(limits)) if limits else None):
                    await self._woken.wait()
        finally:
            self._watch_no_more()

    def _watch_no_more(self) -> None:
        watched, self._watched = self._watched, []
        for descriptor in watched:
            assert self._loop is not None
            self._loop.remove_reader(descriptor)
