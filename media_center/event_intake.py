"""What the media center hears of events: a durable reader of the bus, and its payloads, checked.

A payload that cannot be understood raises InvalidArgument and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.message import DecodeError

from media_center.hold_book import HoldBook
from media_center.holds import EventReport
from mesh.bus import EVENT_STREAM, EVENTS, Bus, Message
from mesh.errors import InvalidArgument, TrueframeError
from mesh.ids import FrameId, validate_camera_id
from trueframe.v1 import events_pb2

READER = "media-center-events"
_MAX_ID_CHARACTERS = 100
_CLOSED = (events_pb2.ALARM_STATE_UNSPECIFIED, events_pb2.ALARM_STATE_NORMAL)


@asynccontextmanager
async def listening(bus: Bus, book: HoldBook) -> AsyncIterator[None]:
    """Hears of anomalies for the time of a block. A message is acknowledged once its hold is on disk."""

    async def on_event(message: Message) -> None:
        report = event_report(message.data)
        if report is not None:
            await book.tell_event(report)

    async def make_stream() -> None:
        try:
            await bus.ensure_stream()
        except TrueframeError:
            return  # made as soon as the bus is there; the reader waits for it

    # Beside: a bus that is away must not delay recording.
    making = asyncio.create_task(make_stream(), name="event stream")
    try:
        async with bus.durable(EVENT_STREAM, READER, EVENTS, on_event):
            yield
    finally:
        making.cancel()


def event_report(payload: bytes) -> EventReport | None:
    """What the event center told, if it is an anomaly: other events have no clip. Raises InvalidArgument."""
    message = events_pb2.Event()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("event", f"is no protobuf message ({error})") from None
    if message.kind != events_pb2.EVENT_KIND_ANOMALY:
        return None
    if not 0 < len(message.id) <= _MAX_ID_CHARACTERS or not message.id.isalnum() or message.version < 1:
        raise InvalidArgument(f"event {message.id[:80]!r}", "has no well-formed id and version")
    camera = validate_camera_id(message.camera)
    times = (message.started_ns, message.peak_ns, message.ended_ns)
    if min(times) < 0 or message.started_ns == 0 or 0 < message.ended_ns < message.started_ns:
        raise InvalidArgument(f"event {message.id}", "has times that cannot be")
    last = FrameId.from_proto(message.last) if message.HasField("last") else None
    if last is not None and (last.camera != camera or last.epoch < 0 or last.seq < 0):
        raise InvalidArgument(f"event {message.id}", "names a frame of another camera, or none")
    # An event that is no alarm needs nobody: it is closed when it is over.
    is_closed = message.ended_ns != 0 and message.alarm_state in _CLOSED
    return EventReport(message.id, message.version, camera, message.summary, *times, last, is_closed)
