"""A cancellation that a library lost: nats-py (by wait_for, Python 3.11) and grpc.aio do so when it comes together
with an answer or an error, as when two processes are stopped at once. A loop that tries again would never end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any

_CANCEL_AGAIN_S = 0.5


def honour_cancellation() -> None:
    """Raises CancelledError if the present task is being cancelled. For where an error of a library is caught."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def until_one_fails(serving: Coroutine[Any, Any, object], beside: Sequence[asyncio.Task[None]]) -> None:
    """Waits for `serving` to end; raises what it or a task beside it raises. All have ended afterwards.

    Nobody would miss work that an error ended which nobody thought of, while its process goes on.
    """
    every: list[asyncio.Task[Any]] = [asyncio.create_task(serving, name="serving"), *beside]
    waiting = set(every)
    try:
        while every[0] in waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in waiting:
            await ended(task)


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancels a task and waits for its end; again and again if a library loses it. Raises what the task raised."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)
    with contextlib.suppress(asyncio.CancelledError):
        await task
