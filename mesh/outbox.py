"""Events that leave with the change that caused them: a pending list inside the document, written in the same write.

    body = add_event(body, OutboxEvent(subject=..., type=..., payload=...))
    await collection.put(id, body, version)     # the change and its event are durable together
    publisher.wake()

A publisher sends what is pending and marks it sent. If the process dies between the two, the event goes out again under
the same id: JetStream drops it within two minutes, and consumers are idempotent anyhow. Sent entries stay for seven
days (at most 256 a document, oldest first out; of whole states the newest), each with the incarnation of the stream
that took it. A stream that was made again, because the server lost its storage, gets by itself what the old one had.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import Counter

from mesh.cancellation import ended, honour_cancellation
from mesh.clocks import Clock, SystemClock
from mesh.errors import Conflict, InvalidArgument, NotFound, TrueframeError
from mesh.ids import new_event_id
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter, gauge
from mesh.store_port import Between, Body, Collection, Document, modify, scan

log = get_logger("mesh.outbox")

# Declare it as an index of the collection: `store.collection("events", [PENDING_FIELD, ...])`. How many events wait; if
# none does, the time of the newest that was sent, as negative seconds: what a lost stream had is found by one index.
PENDING_FIELD = "outbox_pending"
_ENTRIES_FIELD = "outbox"
_SECOND = 1_000_000_000
_KEEP_SENT_NS = 7 * 24 * 3600 * _SECOND
_MAX_SENT = 256
_MAX_PENDING = 1024
_MAX_PENDING_STATES = 32
# Small against what a document may hold, with its other events.
MAX_PAYLOAD_BYTES = 256 << 10
# Killed before they are marked, so many documents have their events sent once more.
_MARKED_TOGETHER = 32
_POLL_S = 5.0
_LONGEST_WAIT_S = 5.0

_sent = counter("outbox_sent", "Events sent from an outbox.", ("collection",))
_replayed = counter("outbox_replayed", "Events sent again, since the stream was lost and made again.", ("collection",))
_waiting = gauge("outbox_waiting_documents", "Documents with events that are not sent yet.", ("collection",))
_lag = gauge("outbox_lag_seconds", "Age of the oldest event that is not sent yet, at the last look.", ("collection",))


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event to be sent. `type` is the CloudEvents type."""

    subject: str
    type: str
    payload: bytes
    id: str = field(default_factory=new_event_id)
    is_whole_state: bool = False
    """The payload holds all that earlier ones of the document said: of those sent only the newest is kept, and of
    more than 32 that wait, the newest gives way to it. So its consumers need versions, and get no less."""


class EventBus(Protocol):
    """The part of `mesh.bus.Bus` that an outbox needs."""

    async def publish(self, subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        """Stores the event; raises Unavailable."""
        ...

    def incarnation_ns(self) -> int:
        """When the stream was made that takes events, UTC nanoseconds, as it was last seen; 0 if it was not."""
        ...

    async def look_at_incarnation(self) -> int:
        """The same, asked now; raises Unavailable."""
        ...


def add_event(body: Body, event: OutboxEvent, clock: Clock | None = None) -> Body:
    """The body with the event among its pending ones. Raises InvalidArgument: too large, or 1024 pending."""
    if len(event.payload) > MAX_PAYLOAD_BYTES:
        # Found out when it is sent, it would hold back all that come after it.
        raise InvalidArgument(f"event for {event.subject}", f"is larger than {MAX_PAYLOAD_BYTES} bytes")
    entries = list(body.get(_ENTRIES_FIELD, []))
    if event.is_whole_state:
        states = [i for i, entry in enumerate(entries) if entry.get("is_whole_state") and not entry.get("sent_ns")]
        if len(states) >= _MAX_PENDING_STATES:
            # It may be on its way at this moment: then it is marked nowhere, and nothing is lost by that.
            del entries[states[-1]]
    if sum(1 for entry in entries if not entry.get("sent_ns")) >= _MAX_PENDING:
        raise InvalidArgument("outbox", f"{_MAX_PENDING} events of this document wait already", "Is the bus reachable?")
    entry = {
        "id": event.id,
        "subject": event.subject,
        "type": event.type,
        "payload": base64.b64encode(event.payload).decode(),
        "queued_ns": (clock or SystemClock()).utc_ns(),
    }
    entries.append(entry | {"is_whole_state": True} if event.is_whole_state else entry)
    return _with_entries(body, entries)


def without_outbox(body: Body) -> Body:
    """The body as its owner knows it."""
    return {key: value for key, value in body.items() if key not in (_ENTRIES_FIELD, PENDING_FIELD)}


def carry_outbox(old: Body, new: Body) -> Body:
    """The new body with the outbox of the old one: for owners that write whole documents."""
    return {**new, **{key: old[key] for key in (_ENTRIES_FIELD, PENDING_FIELD) if key in old}}


def _with_entries(body: Body, entries: list[dict[str, Any]]) -> Body:
    pending = sum(1 for entry in entries if not entry.get("sent_ns"))
    newest_s = max((entry.get("sent_ns", 0) for entry in entries), default=0) // _SECOND
    return {**body, _ENTRIES_FIELD: entries, PENDING_FIELD: pending or -newest_s}


def _mark_sent(body: Body, sent: set[str], now_ns: int, into_ns: int) -> Body | None:
    entries = [dict(entry) for entry in body.get(_ENTRIES_FIELD, [])]
    marked = [entry for entry in entries if entry["id"] in sent]
    if all(entry.get("sent_ns") and entry.get("into_ns") == into_ns for entry in marked):
        return None
    for entry in marked:
        # Sent again, it stays as long as it would have.
        entry["sent_ns"] = entry.get("sent_ns") or now_ns
        entry["into_ns"] = into_ns
    old = [entry for entry in entries if entry.get("sent_ns")]
    excess = {id(entry) for entry in old[: max(len(old) - _MAX_SENT, 0)]}
    expired = {id(entry) for entry in old if entry["sent_ns"] < now_ns - _KEEP_SENT_NS}
    outdone = {id(entry) for entry in [entry for entry in old if entry.get("is_whole_state")][:-1]}
    return _with_entries(body, [entry for entry in entries if id(entry) not in excess | expired | outdone])


class OutboxPublisher:
    """Sends the pending events of a collection, in order inside each document. Use `async with`, or `run`."""

    def __init__(self, collection: Collection, bus: EventBus, clock: Clock | None = None) -> None:
        self._collection = collection
        self._bus = bus
        self._clock = clock or SystemClock()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # The stream that has all that is kept here, as far as is known.
        self._complete_ns = 0
        # When the event was queued that waits longest; 0 if none does, as far as is known.
        self._oldest_ns = 0

    async def __aenter__(self) -> OutboxPublisher:
        self._task = asyncio.create_task(self.run(), name=f"outbox of {self._collection.name}")
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._task is not None:
            await ended(self._task)
            self._task = None

    def wake(self) -> None:
        """Something was written; looks at once. Without it, within five seconds."""
        self._woken.set()

    async def run(self) -> None:
        """Sends for ever; a bus or store that is away is waited for."""
        wait_s, looked_s = 0.1, float("-inf")
        while True:
            # Libraries lose a cancellation that comes together with an answer or an error.
            honour_cancellation()
            self._woken.clear()
            try:
                if asyncio.get_running_loop().time() >= looked_s + _POLL_S:
                    await self._bus.look_at_incarnation()
                    looked_s = asyncio.get_running_loop().time()
                await self.send_pending()
                await self.send_lost()
            except TrueframeError as error:
                honour_cancellation()
                if rate_limited(f"outbox {self._collection.name}", 10.0):
                    log.warning("outbox waits", collection=self._collection.name, reason=str(error))
                with contextlib.suppress(TrueframeError):
                    await self._measure()
                honour_cancellation()
                # Not woken early: a new event does not bring the bus back.
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            else:
                wait_s = 0.1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), _POLL_S)

    async def send_pending(self) -> None:
        """Sends what is pending now, the longest waiting document first. Raises the store's and the bus's errors."""
        waiting = [document async for document in scan(self._collection, {PENDING_FIELD: Between(1, None)})]
        _waiting.labels(self._collection.name).set(len(waiting))
        waiting.sort(key=_oldest_pending_ns)
        for first in range(0, len(waiting), _MARKED_TOGETHER):
            self._show_lag(_oldest_pending_ns(waiting[first]))
            await self._send(waiting[first : first + _MARKED_TOGETHER])
            _waiting.labels(self._collection.name).set(max(len(waiting) - first - _MARKED_TOGETHER, 0))
        self._show_lag(0)

    async def _measure(self) -> None:
        """Figures of what waits while nothing goes out. Bodies are read once for an outage, then it is only counted."""
        where = {PENDING_FIELD: Between(1, None)}
        count, oldest_ns = await self._collection.count(where), self._oldest_ns
        if count and not oldest_ns:
            oldest_ns = min([_oldest_pending_ns(one) async for one in scan(self._collection, where)], default=0)
        _waiting.labels(self._collection.name).set(count)
        self._show_lag(oldest_ns if count else 0)

    def _show_lag(self, oldest_ns: int) -> None:
        self._oldest_ns = oldest_ns
        lag_ns = max(self._clock.utc_ns() - oldest_ns, 0) if oldest_ns else 0
        _lag.labels(self._collection.name).set(lag_ns / 1e9)

    async def send_lost(self) -> int:
        """Sends again what an earlier stream took, if the present one is another; returns how many.

        Reads what was sent in the last seven days, once for each new stream, and at a start while the stream is younger
        than that. Raises the store's and the bus's errors; what was sent again until then stays so.
        """
        into_ns, count = self._bus.incarnation_ns(), 0
        if into_ns in (0, self._complete_ns):
            return 0
        since_ns = self._clock.utc_ns() - _KEEP_SENT_NS
        if into_ns > since_ns:
            # Those with events that wait are not among them: what they lost goes out with what waits.
            lately = {PENDING_FIELD: Between(None, -(since_ns // _SECOND))}
            async for document in scan(self._collection, lately):
                lost = [one for one in document.body.get(_ENTRIES_FIELD, []) if _is_lost(one, into_ns, since_ns)]
                if lost:
                    await self._publish([(document.id, lost)], _replayed)
                    count += len(lost)
        if count:
            log.warning("sent again what the bus had lost", collection=self._collection.name, events=count)
        self._complete_ns = into_ns
        return count

    async def _send(self, documents: list[Document]) -> None:
        into_ns, since_ns = self._bus.incarnation_ns(), self._clock.utc_ns() - _KEEP_SENT_NS
        waiting: list[tuple[str, list[dict[str, Any]]]] = []
        for document in documents:
            entries = document.body[_ENTRIES_FIELD]
            mine = [one for one in entries if not one.get("sent_ns") or _is_lost(one, into_ns, since_ns)]
            waiting.append((document.id, mine))
        await self._publish(waiting, _sent)

    async def _publish(self, documents: list[tuple[str, list[dict[str, Any]]]], counted: Counter) -> None:
        """Publishes one after the other, then marks what was sent, together: a store has one commit for that."""
        # Taken before: what a newer stream gets under the older name is sent twice, and not lost.
        into_ns, sent = self._bus.incarnation_ns(), dict[str, set[str]]()
        try:
            for document_id, entries in documents:
                for entry in entries:
                    event = _event(entry)
                    await self._bus.publish(event.subject, event.payload, event_id=event.id, type=event.type)
                    sent.setdefault(document_id, set()).add(event.id)
                    counted.labels(self._collection.name).inc()
        finally:
            now_ns = self._clock.utc_ns()
            marks = (self._mark(document_id, ids, now_ns, into_ns) for document_id, ids in sent.items())
            for failure in await asyncio.gather(*marks, return_exceptions=True):
                if failure is not None:
                    raise failure

    async def _mark(self, document_id: str, sent: set[str], now_ns: int, into_ns: int) -> None:
        # Gone meanwhile, or written without end: then they are sent once more, which consumers bear.
        with contextlib.suppress(NotFound, Conflict):
            await modify(self._collection, document_id, lambda body: _mark_sent(body, sent, now_ns, into_ns))


def _is_lost(entry: dict[str, Any], into_ns: int, since_ns: int) -> bool:
    sent_ns = int(entry.get("sent_ns", 0)) if into_ns else 0
    # Of before streams were told apart: by time.
    return sent_ns >= max(since_ns, 1) and (entry["into_ns"] != into_ns if entry.get("into_ns") else sent_ns < into_ns)


def _event(entry: dict[str, Any]) -> OutboxEvent:
    return OutboxEvent(
        entry["subject"],
        entry["type"],
        base64.b64decode(entry["payload"]),
        entry["id"],
        bool(entry.get("is_whole_state")),
    )


def _oldest_pending_ns(document: Document) -> int:
    return min((e["queued_ns"] for e in document.body.get(_ENTRIES_FIELD, []) if not e.get("sent_ns")), default=0)
