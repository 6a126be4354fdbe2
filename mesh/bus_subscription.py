"""Readers of the bus: durable ones on a stream, and plain ones. Made by `mesh.bus.Bus`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from mesh.bus_poison import set_aside
from mesh.cancellation import ended, honour_cancellation
from mesh.errors import Conflict, DeadlineExceeded, InvalidArgument, ResourceExhausted, TrueframeError, Unavailable
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

if TYPE_CHECKING:
    from mesh.bus import Bus

log = get_logger("mesh.bus")

_BATCH = 16
# A pull request dies with its connection: this is how long a reader may be deaf after a reconnect.
_FETCH_S = 1.0
# How long what a killed reader had fetched waits for the next one. A batch takes far less than that.
_ACK_WAIT_S = 10.0
_MAX_UNACKNOWLEDGED = 256
_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0
# A handler that raises so often for one message will not take it. Times when something was away do not count.
MOST_TRIES = 5
_MOST_TRIED = 4096
_AWAY = (Unavailable, ResourceExhausted, DeadlineExceeded, Conflict, OSError, TimeoutError)

_handled = counter("bus_handled", "Messages handled.", ("reader",))
_handler_failures = counter("bus_handler_failures", "Messages whose handler raised; they come again.", ("reader",))
_set_aside = counter("bus_set_aside", "Messages that a reader could not take, set aside.", ("reader",))
_dropped = counter("bus_dropped", "Messages of core subscriptions dropped because their reader was slow.")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a handler sees it. `attempt` counts from 1; above 1 it may have been handled before."""

    subject: str
    data: bytes
    event_id: str = ""
    type: str = ""
    source: str = ""
    attempt: int = 1
    stream_seq: int = 0


Handler = Callable[[Message], Awaitable[None]]


class DurableSubscription:
    """A reader whose position the server keeps. Heals by itself from lost connections, consumers and streams."""

    def __init__(self, bus: Bus, stream: str, durable: str, subject: str, handler: Handler) -> None:
        self._bus = bus
        self._stream = stream
        self._durable = durable
        self._subject = subject
        self._handler = handler
        # By number in the stream: how often the handler raised, and not because something was away.
        self._tried: dict[int, int] = {}
        self._task = asyncio.create_task(self._run(), name=f"bus reader {durable}")

    async def close(self) -> None:
        """Stops; what is not acknowledged comes again to the next reader of this name."""
        await ended(self._task)
        self._bus.forget(self)

    async def _run(self) -> None:
        await self._bus.wait_connected()
        wait_s = 0.1
        while True:
            honour_cancellation()
            try:
                subscription = await self._bus.client.jetstream().pull_subscribe(
                    self._subject, durable=self._durable, stream=self._stream, config=self._config()
                )
                try:
                    wait_s = 0.1
                    await self._read(subscription)
                finally:
                    with contextlib.suppress(nats.errors.Error, OSError):
                        await subscription.unsubscribe()
            except (nats.errors.Error, OSError, TimeoutError) as error:
                if rate_limited(f"bus reader {self._durable}", 5.0):
                    log.warning("bus reader waits", reader=self._durable, error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(wait_s)
                await self._bus.restore_streams()
                wait_s = min(wait_s * 2, 2.0)

    def _config(self) -> ConsumerConfig:
        return ConsumerConfig(
            durable_name=self._durable,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT_S,
            max_ack_pending=_MAX_UNACKNOWLEDGED,
            max_deliver=-1,
        )

    async def _read(self, subscription: Any) -> None:
        while True:
            try:
                messages = await subscription.fetch(_BATCH, timeout=_FETCH_S)
            except TimeoutError:
                honour_cancellation()
                # Nothing came; or the consumer is gone with its stream: asking tells, and raises if so.
                await subscription.consumer_info()
                continue
            honour_cancellation()
            for message in messages:
                await self._handle(message)

    async def _handle(self, raw: Msg) -> None:
        message = _message(raw)
        try:
            await self._handler(message)
        except Exception as error:
            honour_cancellation()
            _handler_failures.labels(self._durable).inc()
            tries = self._tries(message, error)
            if (isinstance(error, InvalidArgument) or tries >= MOST_TRIES) and await self._give_up(raw, message, error):
                return
            if rate_limited(f"bus handler {self._durable}", 1.0):
                log.exception("message not handled; it comes again", reader=self._durable, error=type(error).__name__)
            await raw.nak(delay=min(_RETRY_S * 2 ** min(message.attempt - 1, 10), _LONGEST_RETRY_S))
        else:
            _handled.labels(self._durable).inc()
            self._tried.pop(message.stream_seq, None)
            await raw.ack()

    def _tries(self, message: Message, error: Exception) -> int:
        if isinstance(error, _AWAY):
            return 0
        tries = self._tried.pop(message.stream_seq, 0) + 1
        while len(self._tried) >= _MOST_TRIED:
            del self._tried[next(iter(self._tried))]
        self._tried[message.stream_seq] = tries
        return tries

    async def _give_up(self, raw: Msg, message: Message, error: Exception) -> bool:
        """Sets a message aside; False if that cannot be done now: then it comes again."""
        reason = str(error) if isinstance(error, TrueframeError) else f"{type(error).__name__}: {error}"
        try:
            await set_aside(self._bus, raw, self._durable, reason, message.attempt, message.stream_seq)
        except TrueframeError as failure:
            log.warning("message cannot be set aside yet", reader=self._durable, reason=str(failure))
            return False
        _set_aside.labels(self._durable).inc()
        log.error(
            "message set aside", reader=self._durable, subject=message.subject, reason=reason[:300],
            exc_info=not isinstance(error, InvalidArgument),
        )  # fmt: skip
        self._tried.pop(message.stream_seq, None)
        await raw.term()
        return True


class CoreSubscription:
    """A reader of messages that are stored nowhere. Counts what it dropped in `dropped`."""

    def __init__(self, bus: Bus, subject: str, handler: Handler, max_pending: int) -> None:
        self._bus = bus
        self._subject = subject
        self._handler = handler
        self._queue: asyncio.Queue[Msg] = asyncio.Queue(max_pending)
        self.dropped = 0
        self._task = asyncio.create_task(self._run(), name=f"bus reader of {subject}")

    async def close(self) -> None:
        """Stops; what is pending is let go."""
        await ended(self._task)
        self._bus.forget(self)

    async def _take(self, message: Msg) -> None:
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self.dropped += 1
            _dropped.inc()
            if rate_limited(f"bus dropped {self._subject}"):
                log.warning("messages dropped", subject=self._subject, dropped=self.dropped)

    async def _run(self) -> None:
        await self._bus.wait_connected()
        subscription = await self._bus.client.subscribe(self._subject, cb=self._take)
        try:
            while True:
                message = await self._queue.get()
                try:
                    await self._handler(_message(message))
                except Exception as error:
                    _handler_failures.labels(self._subject).inc()
                    if rate_limited(f"bus handler {self._subject}", 1.0):
                        log.exception("message not handled", subject=self._subject, error=type(error).__name__)
        finally:
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()


def _message(raw: Msg) -> Message:
    headers = raw.headers or {}
    attempt, stream_seq = 1, 0
    with contextlib.suppress(nats.errors.Error, ValueError):
        metadata = raw.metadata
        attempt, stream_seq = metadata.num_delivered or 1, metadata.sequence.stream
    return Message(
        subject=raw.subject,
        data=raw.data,
        event_id=headers.get("ce-id", ""),
        type=headers.get("ce-type", ""),
        source=headers.get("ce-source", ""),
        attempt=attempt,
        stream_seq=stream_seq,
    )
