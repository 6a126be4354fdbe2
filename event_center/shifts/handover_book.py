"""The book of hand-overs: what the desk says for a note, and the notes that were given, one document each."""

from __future__ import annotations

import asyncio

from event_center.book import EventBook
from event_center.cases.book import CaseBook
from event_center.errors import UnknownEvent
from event_center.shifts.handover import (
    MAX_ITEMS,
    Changes,
    DeskState,
    Handover,
    Item,
    from_document,
    standing_item,
    to_document,
)
from event_center.states import STANDING, WAITING
from mesh.clocks import Clock, SystemClock
from mesh.errors import NotFound
from mesh.ids import new_event_id
from mesh.security import Principal
from mesh.store import Collection, DocumentStore

# Changed events that are looked at for a note; a shift has fewer.
MAX_CHANGED = 20_000
# For the very first one.
_FIRST_NS = 12 * 3600 * 1_000_000_000


class HandoverBook:
    """Notes. Make it with `open`."""

    def __init__(self, handovers: Collection, events: EventBook, cases: CaseBook, clock: Clock) -> None:
        self._handovers = handovers
        self._events = events
        self._cases = cases
        self._clock = clock
        self._writing = asyncio.Lock()

    @classmethod
    async def open(
        cls, store: DocumentStore, events: EventBook, cases: CaseBook, clock: Clock | None = None
    ) -> HandoverBook:
        """The book in a store."""
        return cls(await store.collection("handovers", ["given_ns"]), events, cases, clock or SystemClock())

    async def page(self, limit: int = 100, page_token: str = "") -> tuple[list[Handover], str]:
        """Notes, given last first, and the token of the next page."""
        page = await self._handovers.query(order="-given_ns", limit=limit, page_token=page_token)
        return [from_document(one.id, one.body) for one in page.documents], page.next_page_token

    async def get(self, handover_id: str) -> Handover:
        """A note. Raises NotFound."""
        is_id = 0 < len(handover_id) <= 100 and handover_id.isprintable()
        found = await self._handovers.find(handover_id) if is_id else None
        if found is None:
            raise unknown(handover_id)
        return from_document(found.id, found.body)

    async def give(self, by: str, text: str, state: DeskState) -> Handover:
        """A note, stored."""
        async with self._writing:
            handover = Handover(new_event_id(), by, self._clock.utc_ns(), text, state)
            await self._handovers.put(handover.id, to_document(handover), 0)
            return handover

    async def take(self, handover_id: str, by: str) -> Handover:
        """The note, taken over. Raises NotFound, FailedPrecondition."""
        async with self._writing:
            before = await self.get(handover_id)
            after = before.taken(by, self._clock.utc_ns())
            if after is not before:
                await self._handovers.put(after.id, to_document(after))
            return after

    async def state(self, principal: Principal) -> DeskState:
        """How the desk stands now, of the cameras in somebody's scope."""
        now_ns = self._clock.utc_ns()
        last, _ = await self.page(1)
        since_ns = last[0].given_ns if last else now_ns - _FIRST_NS
        rows = [row for row in self._events.desk.standing if principal.allows(row.camera)]
        standing = [row for row in rows if row.state in STANDING and not row.marks.is_set_aside]
        shelved = [row for row in rows if row.marks.shelf]
        changes, is_all = await self._changes(principal, since_ns)
        cases = [one async for one in self._cases.changed_since(since_ns) if all(map(principal.allows, one.cameras))]
        return DeskState(
            now_ns, since_ns,
            standing=await self._items([row.id for row in sorted(standing, key=lambda row: (row.priority, row.id))]),
            shelved=await self._items([row.id for row in shelved]),
            out_of_service=self._out_of_service(principal),
            standing_count=len(standing),
            unseen_count=sum(row.state in WAITING for row in standing),
            shelved_count=len(shelved),
            suppressed_count=sum(bool(row.marks.suppressed_by) for row in rows),
            cases_changed=len(cases),
            is_all_counted=is_all,
            **changes.counts,
        )  # fmt: skip

    async def _items(self, ids: list[str]) -> tuple[Item, ...]:
        found: list[Item] = []
        for event_id in ids[:MAX_ITEMS]:
            try:
                found.append(standing_item(await self._events.get(event_id)))
            except UnknownEvent:
                continue
        return tuple(found)

    def _out_of_service(self, principal: Principal) -> tuple[Item, ...]:
        entries = self._events.rules.situation.entries.values()
        return tuple(
            Item("", one.camera, 0, f"{one.camera or 'every camera'}, {one.detector or 'every detector'}",
                 f"taken out by {one.by}: {one.reason}")
            for one in entries
            if not one.until_ns and (not one.camera or principal.allows(one.camera))
        )[:MAX_ITEMS]  # fmt: skip

    async def _changes(self, principal: Principal, since_ns: int) -> tuple[Changes, bool]:
        changes, looked_at = Changes(since_ns), 0
        cameras = None if principal.cameras is None else sorted(principal.cameras)
        async for event in self._events.changed_since(since_ns, cameras):
            if looked_at >= MAX_CHANGED:
                return changes, False
            changes.add(event)
            looked_at += 1
        return changes, True


def unknown(handover_id: str) -> NotFound:
    """The error of a note that is not there, or not for the caller."""
    return NotFound(f"hand-over {handover_id[:80]!r}", "does not exist", "`trueframe handover list` shows them.")
