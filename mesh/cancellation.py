"""A cancellation that a library lost: nats-py (by wait_for, Python 3.11) and grpc.aio do so when it comes together
with an answer or an error, as when two processes are stopped at once. A loop that tries again would never end.
"""

from __future__ import annotations

import asyncio


def honour_cancellation() -> None:
    """Raises CancelledError if the present task is being cancelled. For where an error of a library is caught."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
