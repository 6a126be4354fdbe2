"""A TCP proxy that cuts connections where a test says: before a request is handed on, or after it was answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tests.support import auntil

Moment = Callable[[bytes], str]
"""For each request: "" lets it pass, "before" cuts before the server gets it, "after" when the server has answered."""


class CuttingProxy:
    """In front of a server on 127.0.0.1 whose protocol has one answer a request. Use `async with`."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.moment: Moment = lambda request: ""
        self.cuts: list[str] = []
        self.before_cut: Callable[[], Awaitable[object]] | None = None

    def cut_once(self, moment: str, mark: bytes) -> None:
        """Cuts once, at the next request that contains the mark."""

        def once(request: bytes) -> str:
            if mark not in request:
                return ""
            self.moment = lambda request: ""
            return moment

        self.moment = once

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await auntil(lambda: not self._writers, 10, "the proxy's connections end")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        onward: asyncio.StreamWriter | None = None
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            answers, onward = await asyncio.open_connection("127.0.0.1", self._server_port)
            while True:
                request = await _message(reader)
                moment = self.moment(request)
                if moment != "before":
                    onward.write(request)
                    answer = await _message(answers)
                if moment:
                    self.cuts.append(moment)
                    if self.before_cut is not None:
                        await self.before_cut()
                    break
                writer.write(answer)
                await writer.drain()
        for one in (writer, onward):
            if one is not None:
                one.close()
                with contextlib.suppress(ConnectionError):
                    await one.wait_closed()
        self._writers.discard(writer)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A message of MongoDB's wire protocol: its length in front, as four bytes."""
    head = await reader.readexactly(4)
    return head + await reader.readexactly(int.from_bytes(head, "little") - 4)
