"""What the event center hears: durable readers of anomalies, camera states, conditions and
holds, and the recorder's watermarks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from event_center.book import EventBook
from event_center.wire import anomaly_report, camera_report, condition_report, hold_report, watermarks
from media_center.client import FootageClient
from mesh.bus import (
    ANOMALIES,
    CAMERA_STATES,
    EVENT_STREAM,
    FOOTAGE_HELD,
    FOOTAGE_PERSISTED,
    SYSTEM_CONDITIONS,
    Bus,
    Message,
)
from mesh.cancellation import honour_cancellation
from mesh.errors import TrueframeError, Unavailable
from mesh.logs import get_logger

log = get_logger("event_center.intake")

CATCH_UP_EVERY_S = 2.0


@asynccontextmanager
async def listening(bus: Bus, book: EventBook) -> AsyncIterator[None]:
    """Hears and enters into the book for the time of a block. A message is acknowledged once it is on disk."""

    async def on_anomaly(message: Message) -> None:
        await book.tell_anomaly(anomaly_report(message.data))

    async def on_camera(message: Message) -> None:
        await book.tell_camera(camera_report(message.data))

    async def on_condition(message: Message) -> None:
        await book.tell_condition(condition_report(message.data))

    async def on_held(message: Message) -> None:
        await book.tell_hold(hold_report(message.data))

    async def on_persisted(message: Message) -> None:
        await book.tell_watermarks(watermarks(message.data))

    try:
        await bus.ensure_stream()
    except Unavailable as error:
        # Made as soon as the bus is there; readers wait for it.
        log.warning("bus is away", reason=str(error))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bus.durable(EVENT_STREAM, "event-center-anomalies", ANOMALIES, on_anomaly))
        await stack.enter_async_context(bus.durable(EVENT_STREAM, "event-center-cameras", CAMERA_STATES, on_camera))
        await stack.enter_async_context(
            bus.durable(EVENT_STREAM, "event-center-conditions", SYSTEM_CONDITIONS, on_condition)
        )
        await stack.enter_async_context(bus.durable(EVENT_STREAM, "event-center-holds", FOOTAGE_HELD, on_held))
        persisted = bus.subscribe_core(FOOTAGE_PERSISTED, on_persisted)
        stack.push_async_callback(persisted.close)
        yield


async def catch_up(footage: FootageClient, book: EventBook) -> None:
    """Asks the media center once how far footage is on disk, as soon as it answers.

    Messages tell of watermarks that move; that of a camera which is gone moves no more.
    """
    while True:
        try:
            async for marks in footage.watch_persisted():
                await book.tell_watermarks(marks)
                return
        except TrueframeError as error:
            honour_cancellation()
            log.debug("media center does not answer yet", reason=str(error))
        await asyncio.sleep(CATCH_UP_EVERY_S)
