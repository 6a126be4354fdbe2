"""A cancellation that a library lost: nats-py (by wait_for, Python 3.11) and grpc.aio do so when it comes together
with an answer or an error, as when two processes are stopped at once. A loop that tries again would never end.
"""

from __future__ import annotations

import asyncio
import contextlib

_CANCEL_AGAIN_S = 0.5


def honour_cancellation() -> None:
    """Raises CancelledError if the present task is being cancelled. For where an error of a library is caught."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def ended(task: asyncio.Task[None]) -> None:
    """Cancels a task and waits for its end; again and again if a library loses it. Raises what the task raised."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)
    with contextlib.suppress(asyncio.CancelledError):
        await task
