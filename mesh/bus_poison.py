"""Messages that a reader could not take, set aside in a stream of their own: kept, looked at, sent again, dropped.

    stream TRUEFRAME_POISON, subject trueframe.poison.<reader>, 30 days and 1,000 messages, the oldest go first

What belongs here: the form of such a message, and what is done with it. What does not: when a reader gives up
(`mesh.bus_subscription`), and the alarm (`event_center.poison_watch`).
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg

from mesh.cancellation import honour_cancellation
from mesh.errors import FailedPrecondition, NotFound, Unavailable
from mesh.redact import redact

if TYPE_CHECKING:
    from mesh.bus import Bus

STREAM = "TRUEFRAME_POISON"
SUBJECT = "trueframe.poison"
MAX_AGE_S = 30 * 24 * 3600.0
# Not by bytes: those would be reserved.
MAX_MESSAGES = 1000
# What is larger is kept without its end: with these headers it might be more than the server takes.
MAX_KEPT_BYTES = (1 << 20) - (32 << 10)
_CARRIED = ("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "content-type")
_MAX_HEADER = 300
_MAX_REASON = 500
_ANSWER_S = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PoisonMessage:
    """A message that was set aside. Times in UTC nanoseconds."""

    number: int
    """Names it in `trueframe bus poison`."""
    reader: str
    subject: str
    event_id: str
    type: str
    source: str
    content_type: str
    reason: str
    attempts: int
    set_aside_ns: int
    size_bytes: int
    """Of the payload as it was; more than is kept if its end was cut off."""
    payload: bytes


async def set_aside(bus: Bus, raw: Msg, reader: str, reason: str, attempts: int, stream_seq: int) -> None:
    """Keeps a message, once however often it is called for it. Raises Unavailable: it is not kept."""
    headers = {key: value[:_MAX_HEADER] for key, value in (raw.headers or {}).items() if key.lower() in _CARRIED}
    headers |= {
        # By the time of the stream, too: the numbers begin again with a new one.
        "Nats-Msg-Id": f"poison-{reader}-{stream_seq}-{bus.incarnation_ns()}",
        "tf-reader": reader,
        "tf-subject": raw.subject,
        "tf-reason": quote(redact(reason)[:_MAX_REASON], safe=" /:,'()=<>"),
        "tf-attempts": str(attempts),
        "tf-set-aside-ns": str(time.time_ns()),
        "tf-size": str(len(raw.data)),
    }
    await bus.ensure_stream(STREAM, (f"{SUBJECT}.>",), max_age_s=MAX_AGE_S, max_bytes=-1, max_messages=MAX_MESSAGES)
    stored = bus.client.jetstream().publish(
        f"{SUBJECT}.{_word(reader)}", raw.data[:MAX_KEPT_BYTES], timeout=_ANSWER_S, headers=headers
    )
    await _answered(stored)


async def counts(bus: Bus) -> dict[str, int]:
    """How many messages of each reader lie aside. Raises Unavailable."""
    try:
        info = await _answered(bus.client.jetstream().stream_info(STREAM, subjects_filter=f"{SUBJECT}.>"))
    except NotFound:
        return {}
    found: Mapping[str, int] = info.state.subjects or {}
    return {subject.removeprefix(f"{SUBJECT}."): count for subject, count in sorted(found.items())}


async def listed(bus: Bus) -> AsyncIterator[PoisonMessage]:
    """All of them, oldest first. Raises Unavailable."""
    number = 1
    while True:
        try:
            message = await _answered(bus.client.jetstream().get_msg(STREAM, number, subject=f"{SUBJECT}.>", next=True))
        except NotFound:
            return
        found = _read(message)
        yield found
        number = found.number + 1


async def get(bus: Bus, number: int) -> PoisonMessage:
    """One of them. Raises NotFound, Unavailable."""
    try:
        return _read(await _answered(bus.client.jetstream().get_msg(STREAM, number)))
    except NotFound:
        raise _no_message(number) from None


async def retry(bus: Bus, number: int) -> PoisonMessage:
    """Sends it again on its subject, with its own id, to all who read there, and lets go of it.

    Readers bear a message that comes twice. Raises NotFound, Unavailable, FailedPrecondition (its end was cut off).
    """
    message = await get(bus, number)
    if message.size_bytes > len(message.payload):
        raise FailedPrecondition(f"poison message {number}", "was kept without its end", "It can only be dropped.")
    headers = {
        "ce-specversion": "1.0",
        "ce-id": message.event_id,
        "ce-source": message.source,
        "ce-type": message.type,
        "content-type": message.content_type,
        # Not its own: the stream would take it for the one that it has.
        "Nats-Msg-Id": f"retried-{number}-{message.event_id}-{time.time_ns()}",
    }
    sent = bus.client.jetstream().publish(message.subject, message.payload, timeout=_ANSWER_S, headers=headers)
    await _answered(sent)
    await drop(bus, number)
    return message


async def drop(bus: Bus, number: int) -> None:
    """Lets go of it for ever. Raises NotFound, Unavailable."""
    try:
        await _answered(bus.client.jetstream().delete_msg(STREAM, number))
    except NotFound:
        raise _no_message(number) from None


async def _answered(call: Awaitable[T]) -> T:
    try:
        return await call
    except nats.js.errors.NotFoundError:
        raise NotFound("message or stream", "does not exist") from None
    except nats.js.errors.APIError as error:
        # What was deleted in between, and a number beyond the last one.
        if error.err_code in (10037, 10043, 10057):
            raise NotFound("message", "does not exist") from None
        raise Unavailable("bus", redact(f"{type(error).__name__}: {error}")) from None
    except (nats.errors.Error, OSError, TimeoutError) as error:
        honour_cancellation()
        raise Unavailable("bus", redact(f"{type(error).__name__}: {error}".rstrip(": "))) from None


def _read(raw: RawStreamMsg) -> PoisonMessage:
    # What came from outside must not steer a terminal.
    headers = {key: _printable(value) for key, value in (raw.headers or {}).items()}
    data = raw.data or b""
    return PoisonMessage(
        number=raw.seq or 0,
        reader=headers.get("tf-reader", ""),
        subject=headers.get("tf-subject", ""),
        event_id=headers.get("ce-id", ""),
        type=headers.get("ce-type", ""),
        source=headers.get("ce-source", ""),
        content_type=headers.get("content-type", ""),
        reason=_printable(unquote(headers.get("tf-reason", ""))),
        attempts=_number(headers.get("tf-attempts", "")),
        set_aside_ns=_number(headers.get("tf-set-aside-ns", "")),
        size_bytes=_number(headers.get("tf-size", "")) or len(data),
        payload=data,
    )


def _no_message(number: int) -> NotFound:
    return NotFound(f"poison message {number}", "does not exist", "`trueframe bus poison list` shows those that do.")


def _word(reader: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", reader) or "_"


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
