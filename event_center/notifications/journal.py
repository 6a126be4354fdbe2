"""What notifications must remember over a restart: cases, paces, deliveries, and how far events were read.

It lies in the event center's own store. A telling is written in this order: its deliveries (under stable ids, so that
writing them twice is writing them once), the pace, the case. Whoever is killed in between does the rest again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from event_center.notifications.deciding import Case, Wait
from event_center.notifications.delivery import Delivery, Progress, from_document, to_document
from event_center.notifications.pacing import Held, Pace
from event_center.notifications.rules import Occasion
from mesh.errors import AlreadyExists
from mesh.store import AnyOf, Between, Collection, DocumentStore, scan

_CURSOR = "cursor"


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are listed; what is left out lets everything through."""

    channels: Sequence[str] = ()
    progress: Sequence[Progress] = ()
    cameras: Sequence[str] | None = None
    event: str = ""

    def where(self) -> dict[str, Any]:
        """The query."""
        where: dict[str, Any] = {}
        if self.channels:
            where["channel"] = AnyOf(list(self.channels))
        if self.progress:
            where["progress"] = AnyOf([one.value for one in self.progress])
        if self.cameras is not None:
            where["camera"] = AnyOf(list(self.cameras))
        if self.event:
            where["content.event"] = self.event
        return where


class Journal:
    """Make it with `open`. Every method raises the store's errors."""

    def __init__(self, cases: Collection, paces: Collection, deliveries: Collection, marks: Collection) -> None:
        self._cases = cases
        self._paces = paces
        self._deliveries = deliveries
        self._marks = marks

    @classmethod
    async def open(cls, store: DocumentStore) -> Journal:
        """The journal in a store."""
        return cls(
            await store.collection("notification_cases", ["due_ns", "touched_ns"]),
            await store.collection("notification_paces"),
            await store.collection(
                "notification_deliveries", ["progress", "channel", "camera", "made_ns", "done_ns", "content.event"]
            ),
            await store.collection("notification_marks"),
        )

    async def case(self, event_id: str) -> Case:
        """What is remembered of an alarm."""
        document = await self._cases.find(event_id)
        return _case(document.body) if document else Case()

    async def waiting_cases(self) -> dict[str, Case]:
        """All that something may come due for."""
        found = self._cases
        return {one.id: _case(one.body) async for one in scan(found, {"due_ns": Between(1, None)}, order="due_ns")}

    async def put_case(self, event_id: str, case: Case, now_ns: int) -> None:
        """Remembers it."""
        waits = [[one.rule, one.occasion.value, one.number, one.due_ns] for one in case.waits]
        body = {"format": 1, "seen": case.seen, "waits": waits, "due_ns": case.due_ns, "touched_ns": now_ns}
        await self._cases.put(event_id, body)

    async def paces(self) -> dict[str, Pace]:
        """What each rule said lately, by its key."""
        return {one.id: _pace(one.body) async for one in scan(self._paces)}

    async def put_pace(self, key: str, pace: Pace) -> None:
        """Remembers it."""
        held = [[one.id, one.line] for one in pace.held]
        body = {"format": 1, "said": [list(one) for one in pace.said], "held": held, "more": pace.more}
        await self._paces.put(key, body)

    async def enter(self, delivery: Delivery) -> bool:
        """Writes a new delivery; False if it is there already."""
        try:
            await self._deliveries.put(delivery.id, to_document(delivery), 0)
        except AlreadyExists:
            return False
        return True

    async def find(self, delivery_id: str) -> Delivery | None:
        """The delivery; None if it was never entered, or is forgotten."""
        document = await self._deliveries.find(delivery_id)
        return from_document(document.id, document.body) if document else None

    async def note(self, delivery: Delivery) -> None:
        """It is so now."""
        await self._deliveries.put(delivery.id, to_document(delivery))

    async def pending(self) -> AsyncIterator[Delivery]:
        """Deliveries that are under way, the oldest first."""
        async for one in scan(self._deliveries, {"progress": Progress.PENDING.value}, order="made_ns"):
            yield from_document(one.id, one.body)

    async def page(self, wanted: DeliveryFilter, limit: int, page_token: str) -> tuple[list[Delivery], str]:
        """Deliveries, newest first, and the token of the next page."""
        page = await self._deliveries.query(wanted.where(), order="-made_ns", limit=limit, page_token=page_token)
        return [from_document(one.id, one.body) for one in page.documents], page.next_page_token

    async def cursor_ns(self) -> int | None:
        """Up to which change events were read, UTC nanoseconds; None at the very first start."""
        document = await self._marks.find(_CURSOR)
        return document.body["changed_ns"] if document else None

    async def put_cursor(self, changed_ns: int) -> None:
        """Remembers it."""
        await self._marks.put(_CURSOR, {"format": 1, "changed_ns": changed_ns})

    async def prune(self, cases_before_ns: int, deliveries_before_ns: int) -> int:
        """Forgets what is older and done with; returns how many documents."""
        pruned = 0
        where: dict[str, Any] = {"touched_ns": Between(None, cases_before_ns), "due_ns": 0}
        for one in [document async for document in scan(self._cases, where)]:
            pruned += await self._cases.delete(one.id)
        done = {"done_ns": Between(1, deliveries_before_ns)}
        for one in [document async for document in scan(self._deliveries, done)]:
            pruned += await self._deliveries.delete(one.id)
        return pruned


def _case(body: dict[str, Any]) -> Case:
    waits = (Wait(rule, Occasion(occasion), number, due_ns) for rule, occasion, number, due_ns in body["waits"])
    return Case(body["seen"], tuple(waits))


def _pace(body: dict[str, Any]) -> Pace:
    said = tuple((one, at_ns) for one, at_ns in body["said"])
    return Pace(said, tuple(Held(*one) for one in body["held"]), body["more"])
