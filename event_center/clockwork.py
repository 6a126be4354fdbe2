"""The clock of the event center: lets the book do what is due, for the time of a block.

It looks once a second: what people wait for comes within that, and a clock that is set back or forth is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from event_center.book import EventBook
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited
from mesh.metrics import gauge

log = get_logger("event_center.clockwork")

EVERY_S = 1.0

_standing = gauge("event_center_alarms_standing", "Alarms that stand and are not set aside.", ("priority",))
_waiting = gauge("event_center_alarms_unacknowledged", "Alarms that wait for a human.", ("priority",))
_beside = gauge("event_center_alarms_beside", "Alarms by what stands beside their state.", ("mark",))
_floods = gauge("event_center_floods", "Floods that go on.")


@contextlib.asynccontextmanager
async def clockwork(book: EventBook) -> AsyncIterator[None]:
    """Ticks until the block ends. A store that is away is waited for: what is due stays due."""
    task = asyncio.create_task(_tick(book), name="clockwork")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _tick(book: EventBook) -> None:
    while True:
        try:
            await book.tick()
            _measure(book)
        except TrueframeError as error:
            if rate_limited("clockwork", 10.0):
                log.warning("what is due waits", reason=str(error))
        except Exception as error:
            # Nobody would notice a clock that has ended: alarms would stay on the shelf for ever.
            if rate_limited("clockwork", 10.0):
                log.exception("what is due fails", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)


def _measure(book: EventBook) -> None:
    load = book.desk.standing.load()
    for priority in range(1, 5):
        _standing.labels(str(priority)).set(load.standing[priority])
        _waiting.labels(str(priority)).set(load.waiting[priority])
    for mark in ("stale", "shelved", "suppressed", "out_of_service"):
        _beside.labels(mark).set(getattr(load, mark))
    _floods.set(len(book.desk.flood_watch.floods))
