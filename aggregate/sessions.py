"""One worker's stream, as the aggregate holds it: what is to be said to it, bounded."""

from __future__ import annotations

import asyncio

from mesh.errors import TrueframeError
from trueframe.v1 import inspection_pb2

MAX_WAITING = 8192


class Session:
    """Things to say to a worker, in order. A worker that does not listen is disconnected."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self._waiting: asyncio.Queue[inspection_pb2.JoinPoolResponse | None] = asyncio.Queue(MAX_WAITING)
        self._error: TrueframeError | None = None
        self._is_closed = False

    def say(self, response: inspection_pb2.JoinPoolResponse) -> None:
        """Queues a response; closes the session if too many wait."""
        if self._is_closed:
            return
        try:
            self._waiting.put_nowait(response)
        except asyncio.QueueFull:
            self.close()

    def close(self, error: TrueframeError | None = None) -> None:
        """Ends the stream, with an error if given. What waits is not said any more."""
        if self._is_closed:
            return
        self._is_closed, self._error = True, error
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def next(self) -> inspection_pb2.JoinPoolResponse | None:
        """The next response; None once the session is closed. Raises the error it was closed with."""
        response = await self._waiting.get()
        if response is None and self._error is not None:
            raise self._error
        return response
