"""Old events go: once an hour, those that may, each run with a record of what went.

The record is stored before anything goes, so a kill in between leaves no hole that nobody knows of. While the media
center does not say what is held, nothing goes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from event_center.book import EventBook
from event_center.cases.book import CaseBook
from event_center.documents import from_document
from event_center.event import Event
from event_center.work.retiring import DAY_NS, Holds, may_go
from media_center.client import FootageClient
from mesh.clocks import Clock, SystemClock
from mesh.errors import TrueframeError
from mesh.ids import new_event_id
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter
from mesh.outbox import PENDING_FIELD
from mesh.store import Between, Collection, DocumentStore

log = get_logger("event_center.retention")

EVERY_S = 3600.0
# Of one run and of one record; the rest waits for the next.
MOST_AT_ONCE = 2000
_PER_RECORD = 500
# The next run looks on from there.
MOST_LOOKED_AT = 50_000

_retired = counter("event_center_retired", "Events that went because they were old.")


class Retention:
    """Lets events go. Make it with `open`."""

    def __init__(
        self,
        book: EventBook,
        cases: CaseBook,
        footage: FootageClient,
        records: Collection,
        keep_days: float,
        clock: Clock,
    ) -> None:
        self._book = book
        self._cases = cases
        self._footage = footage
        self._records = records
        self._keep_ns = round(keep_days * DAY_NS)
        self._clock = clock
        # Where the last run stopped looking; what may not go for long must not hide what may.
        self._from_ns: int | None = None

    @classmethod
    async def open(
        cls, store: DocumentStore, book: EventBook, cases: CaseBook, footage: FootageClient, keep_days: float,
        clock: Clock | None = None,
    ) -> Retention:  # fmt: skip
        """In a store, with its records of what went."""
        records = await store.collection("retired_events", ["at_ns"])
        return cls(book, cases, footage, records, keep_days, clock or SystemClock())

    async def run(self) -> None:
        """Once an hour, for ever."""
        while True:
            try:
                await self.sweep()
            except TrueframeError as error:
                if rate_limited("retention", 600.0):
                    log.warning("old events stay for now", reason=str(error))
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """Lets those go that may; returns how many. Raises the store's errors, and Unavailable."""
        now_ns = self._clock.utc_ns()
        before_ns = now_ns - self._keep_ns
        found = await self._found(before_ns, Holds((h.camera, h.from_ns, h.to_ns) for h in await self._footage.holds()))
        went = 0
        for begin in range(0, len(found), _PER_RECORD):
            some = found[begin : begin + _PER_RECORD]
            await self._records.put(new_event_id(), _record(some, now_ns, self._keep_ns))
            for event in some:
                went += await self._book.retire(event.id, lambda known: may_go(known, before_ns))
        if went:
            _retired.inc(went)
            log.info("old events went", events=went, older_than_days=self._keep_ns / DAY_NS)
        return went

    async def _found(self, before_ns: int, holds: Holds) -> list[Event]:
        found: list[Event] = []
        token, looked_at = "", 0
        where = {"changed_ns": Between(self._from_ns, before_ns - 1)}
        while True:
            page = await self._book.events.query(where, order="changed_ns", limit=500, page_token=token)
            for document in page.documents:
                event = from_document(document.id, document.body)
                if len(found) >= MOST_AT_ONCE or looked_at >= MOST_LOOKED_AT:
                    self._from_ns = event.changed_ns
                    return found
                looked_at += 1
                is_told = document.body.get(PENDING_FIELD, 0) <= 0
                if may_go(event, before_ns) and is_told and not holds.touch(event):
                    # A case may name an occurrence, or the alarm that it belongs to.
                    named = [event.id, *([event.folded_into] if event.folded_into else [])]
                    if not any([await self._cases.names(one) for one in named]):
                        found.append(event)
            token = page.next_page_token
            if not token:
                self._from_ns = None
                return found


def _record(events: list[Event], now_ns: int, keep_ns: int) -> dict[str, Any]:
    """What went: enough to know later that it was there."""
    return {
        "format": 1,
        "at_ns": now_ns,
        "kept_ns": keep_ns,
        "events": [
            [one.id, one.kind.value, one.camera, one.detector, one.started_ns, one.ended_ns, one.alarm.state.value,
             one.alarm.acknowledged_by, one.summary[:200]]
            for one in events
        ],
    }  # fmt: skip
