"""Blocking talk with a server, done in a thread and under one deadline for all of it.

A socket's own timeout counts from byte to byte: a server that drips would hold its thread for ever. Here the line is
cut when the time is over, and when whoever waits for it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from event_center.notifications.errors import Deferred

T = TypeVar("T")
_TALKS = ThreadPoolExecutor(64, "notifications")
"""Threads of their own: servers that do not answer must not use up those that the whole event center shares."""


class Line:
    """The socket of a talk, once there is one. Cut from another thread, whatever reads from it ends."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._is_cut = False

    def hold(self, connected: socket.socket) -> None:
        """This is the socket."""
        self._socket = connected
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        """Ends the talk."""
        self._is_cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


async def talk(line: Line, function: Callable[[], T], timeout_s: float, whom: str) -> T:
    """What the function returns, called in a thread. Raises Deferred when the time is over, and what it raises."""
    task = asyncio.get_running_loop().run_in_executor(_TALKS, function)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        line.cut()
        with contextlib.suppress(Exception):
            await task
        raise
    if done:
        return task.result()
    line.cut()
    with contextlib.suppress(Exception):
        await task
    raise Deferred(f"{whom} did not answer within {timeout_s:g} s")
