"""The book of events: folds what is told, stores it, then tells watchers. The only writer of the store.

Each told thing is on disk when its method returns, so that a bus message may be acknowledged then. What the bus is to
hear of a change lies in the event's own document, in the same write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import tzinfo
from functools import partial
from typing import Any, TypeVar

from event_center import deeds, shelving
from event_center.alarm import State
from event_center.awaiting import AWAIT_FOOTAGE_NS, Awaiting
from event_center.chatter import folded, takes, with_occurrence
from event_center.conditions import ConditionReport, fold_condition
from event_center.desk import Desk
from event_center.documents import MARK_INDEXES, from_document, to_document, with_words
from event_center.errors import UnknownEvent
from event_center.event import Event, Kind
from event_center.filters import EventFilter
from event_center.flood import Begun
from event_center.flood_book import FloodBook
from event_center.folding import (
    AnomalyReport,
    CameraMemory,
    CameraReport,
    HoldReport,
    fold_anomaly,
    fold_camera,
    fold_hold,
    fold_watermark,
    raiser_of,
)
from event_center.one_by_one import each
from event_center.policy import Policy
from event_center.recalling import recall
from event_center.rule_book import RuleBook
from event_center.searching import texts_of
from event_center.states import STANDING
from event_center.suppression import Entry, Rule, settled
from event_center.ticking import tick
from event_center.tidings import tidings
from event_center.watchers import Watchers
from mesh.clocks import Clock, SystemClock
from mesh.errors import Conflict
from mesh.ids import FrameId
from mesh.logs import get_logger
from mesh.metrics import counter
from mesh.outbox import PENDING_FIELD, add_event, carry_outbox
from mesh.search_tokens import is_found_exactly, matches
from mesh.store import AnyOf, Between, Collection, Document, DocumentStore, scan
from mesh.store_schema import Schema, SchemaStore
from mesh.zones import site_zone

log = get_logger("event_center.book")

# What comes due at one moment and is more than this waits for the next tick: others want to write, too.
MOST_AT_ONCE = 200
# 2: with the words that a search finds them by.
SCHEMA = Schema(2, {1: with_words})

Folded = tuple[CameraMemory, Event | None]
Ruled = TypeVar("Ruled", Rule, Entry)

_folded = counter("event_center_folded", "Things told, by whether they changed anything.", ("source", "changed"))


class EventBook:
    """Events, camera memories and watermarks. Make it with `open`."""

    def __init__(self, events: Collection, cameras: Collection, rules: RuleBook, policy: Policy, clock: Clock) -> None:
        self._events = events
        self._cameras = cameras
        self._rules = rules
        self._policy = policy
        self._clock = clock
        self.desk = Desk(policy, rules.situation)
        self._floods = FloodBook(self.desk.flood_watch, policy, self._change, self._add)
        self._writing = asyncio.Lock()
        self._awaiting = Awaiting()
        self.watchers = Watchers()
        self.on_stored: Callable[[], None] = lambda: None
        """Called when there is something for the bus."""

    @classmethod
    async def open(
        cls, store: DocumentStore, clock: Clock | None = None, policy: Policy | None = None, zone: tzinfo | None = None
    ) -> EventBook:
        """Reads what stands, what is due, and which events still wait for their footage."""
        indexes = ("camera by started_ns", "kind", "changed_ns", "alarm_state by started_ns", "awaits_footage",
                   *MARK_INDEXES, PENDING_FIELD)  # fmt: skip
        clock = clock or SystemClock()
        rules = await RuleBook.open(store, zone or site_zone(""))
        store = store if isinstance(store, SchemaStore) else SchemaStore(store)
        events, cameras = await store.collection("events", indexes, SCHEMA), await store.collection("cameras")
        book = cls(events, cameras, rules, policy or Policy(), clock)
        since_ns = clock.utc_ns() - AWAIT_FOOTAGE_NS
        async for document in scan(
            book._events, {"awaits_footage": 1, "changed_ns": Between(since_ns, None)}, order="changed_ns"
        ):
            book._awaiting.note(_event(document))
        for flood_id, members in (await recall(book._events, book.desk, clock.utc_ns())).items():
            book._floods.to_join(flood_id, members)
        return book

    @property
    def rules(self) -> RuleBook:
        """Suppression rules, and what is out of service. They are changed through this book."""
        return self._rules

    @property
    def policy(self) -> Policy:
        """How the site wants its alarms handled."""
        return self._policy

    @property
    def events(self) -> Collection:
        """The documents with the outboxes."""
        return self._events

    # Telling

    async def tell_anomaly(self, report: AnomalyReport) -> None:
        """An anomaly began, grew or ended."""
        async with self._writing:
            document = await self._find(report.id)
            existing = _event(document) if document else None
            event = fold_anomaly(existing, report, self._awaiting.watermark(report.camera), self._now_ns(existing))
            _folded.labels("anomaly", event is not None).inc()
            if event is not None:
                await self._enter(document, existing, event)

    async def tell_camera(self, report: CameraReport) -> None:
        """A camera changed its state."""

        def fold(memory: CameraMemory, event: Event | None, now_ns: int) -> Folded:
            return fold_camera(memory, event, report, now_ns)

        await self._tell_remembered("camera", report.key, fold)

    async def tell_condition(self, report: ConditionReport) -> None:
        """Something ails a part of trueframe, or is over."""

        def fold(memory: CameraMemory, event: Event | None, now_ns: int) -> Folded:
            return fold_condition(memory, event, report, now_ns)

        await self._tell_remembered("condition", report.key, fold)

    async def _tell_remembered(
        self, kind: str, key: str, fold: Callable[[CameraMemory, Event | None, int], Folded]
    ) -> None:
        """Folds into the open event that the memory `key` names, if it names one."""
        async with self._writing:
            remembered = await self._cameras.find(key)
            memory = _memory(remembered.body) if remembered else CameraMemory()
            document = await self._find(memory.open_event) if memory.open_event else None
            existing = _event(document) if document else None
            new_memory, event = fold(memory, existing, self._now_ns(existing))
            if event is not None and (existing is None or existing.id != event.id):
                document, existing = await self._find(event.id), None
                # Told before, and killed between the two writes below.
                event = None if document is not None else event
            _folded.labels(kind, event is not None).inc()
            if event is not None:
                await self._enter(document, existing, event)
            if new_memory != memory:
                await self._cameras.put(key, _memory_document(new_memory))

    async def tell_watermarks(self, watermarks: Iterable[FrameId]) -> None:
        """Footage is on disk up to these frames."""
        async with self._writing:
            for watermark in watermarks:
                for event_id in self._awaiting.reached(watermark):
                    try:
                        await self._change(event_id, partial(_fold_watermark, watermark))
                    except UnknownEvent:
                        self._awaiting.forget(watermark.camera, event_id)
                # Last: what could not be stored is confirmed when the same watermark is told again.
                self._awaiting.told(watermark)

    async def tell_hold(self, report: HoldReport) -> None:
        """The media center holds footage for an event."""
        async with self._writing:
            try:
                changed = await self._change(report.event, lambda event, now_ns: fold_hold(event, report, now_ns))
            except UnknownEvent:
                # Held for an event of another life of this data folder: nobody here can show it.
                log.warning("footage is held for an unknown event", event_id=report.event, camera=report.camera)
                changed = None
            _folded.labels("hold", changed is not None).inc()

    # Doing

    async def do(self, event_id: str, deed: Callable[[Event, int], Event | None]) -> Event:
        """The event after a deed, stored; as it is if the deed gives None. Raises UnknownEvent and what `deed` raises.

        `deed`: from the event and the time, UTC nanoseconds. It runs once, while nobody else writes.
        """
        async with self._writing:
            return await self._change(event_id, deed) or await self.get(event_id)

    async def acknowledge(self, event_id: str, actor: str, text: str) -> Event:
        """The event, seen by `actor`. Raises UnknownEvent and what `deeds.acknowledge` raises."""
        return await self.do(event_id, lambda event, now_ns: deeds.acknowledge(event, actor, text, now_ns))

    async def comment(self, event_id: str, actor: str, text: str, request_id: str) -> Event:
        """The event with a comment of `actor`. Raises UnknownEvent and what `deeds.comment` raises."""
        return await self.do(event_id, lambda event, now_ns: deeds.comment(event, actor, text, request_id, now_ns))

    async def shelve(self, event_id: str, actor: str, reason: str, duration_ns: int) -> Event:
        """The alarm on the shelf. Raises UnknownEvent and what `shelving.shelve` raises."""
        longest_ns = self._policy.longest_shelving_ns
        return await self.do(
            event_id, lambda event, now_ns: shelving.shelve(event, actor, reason, duration_ns, longest_ns, now_ns)
        )

    async def unshelve(self, event_id: str, actor: str, reason: str) -> Event:
        """The alarm off the shelf. Raises UnknownEvent and what `shelving.unshelve` raises."""
        return await self.do(event_id, lambda event, now_ns: shelving.unshelve(event, actor, reason, now_ns))

    async def retire(self, event_id: str, may_go: Callable[[Event], bool]) -> bool:
        """Lets an old event go if it still may; whether it went. What follows from it elsewhere is up to the caller."""
        async with self._writing:
            document = await self._find(event_id)
            if document is None or not may_go(event := _event(document)):
                return False
            try:
                went = await self._events.delete(event_id, document.version)
            except Conflict:
                # The outbox marked something meanwhile: it goes next time.
                return False
            self._awaiting.forget(event.camera, event_id)
            return went

    async def put_rule(self, rule: Rule, actor: str) -> Rule:
        """The rule, stored and in force. Raises what `RuleBook.put` raises."""
        return await self._ruled(lambda now_ns: self._rules.put(rule, actor, now_ns))

    async def delete_rule(self, rule_id: str, actor: str, reason: str) -> Rule:
        """The rule, ended. Raises what `RuleBook.delete` raises."""
        return await self._ruled(lambda now_ns: self._rules.delete(rule_id, actor, reason, now_ns))

    async def take_out(self, camera: str, detector: str, actor: str, reason: str) -> Entry:
        """It is out of service. Raises what `RuleBook.take_out` raises."""
        return await self._ruled(lambda now_ns: self._rules.take_out(camera, detector, actor, reason, now_ns))

    async def bring_back(self, camera: str, detector: str, actor: str, reason: str) -> Entry:
        """It is in service again. Raises what `RuleBook.bring_back` raises."""
        return await self._ruled(lambda now_ns: self._rules.bring_back(camera, detector, actor, reason, now_ns))

    async def _ruled(self, change: Callable[[int], Awaitable[Ruled]]) -> Ruled:
        async with self._writing:
            ruled = await change(self._clock.utc_ns())
            await self._settle()
            return ruled

    async def tick(self) -> int:
        """Does what is due now; returns when something may be due next, UTC nanoseconds, 0 for never.

        What could not be stored is due again, and keeps nothing else from being done. Raises the store's errors.
        """

        def due(event_id: str) -> Awaitable[object]:
            return self._change(event_id, lambda event, at_ns: tick(event, self._policy, at_ns))

        async with self._writing:
            now_ns = self._clock.utc_ns()
            failed = await each(self.desk.standing.due(now_ns, MOST_AT_ONCE), due)
            await self._floods.tick(now_ns)
            await self._settle()
            if failed:
                raise failed[0]
            return self.desk.standing.next_due_ns

    # Asking

    async def get(self, event_id: str) -> Event:
        """One event. Raises UnknownEvent."""
        document = await self._find(event_id)
        if document is None:
            raise UnknownEvent(event_id)
        return _event(document)

    async def page(self, wanted: EventFilter, *, limit: int = 100, page_token: str = "") -> tuple[list[Event], str]:
        """Events, newest first, and the token of the next page. A page of a search may hold fewer than `limit`."""
        if wanted.finds_nothing:
            return [], ""
        page = await self._events.query(wanted.where(), order="-started_ns", limit=limit, page_token=page_token)
        events = [_event(document) for document in page.documents]
        if wanted.query and not is_found_exactly(wanted.query):
            # The index knows pairs of characters; whether they stand together is seen here.
            events = [event for event in events if matches(wanted.query, *texts_of(event))]
        return events, page.next_page_token

    async def changed_since(self, since_ns: int, cameras: Sequence[str] | None) -> AsyncIterator[Event]:
        """Stored events that changed at or after a time, in the order of their last change."""
        where: dict[str, Any] = {"changed_ns": Between(since_ns, None)}
        if cameras is not None:
            where["camera"] = AnyOf(list(cameras))
        async for document in scan(self._events, where, order="changed_ns"):
            yield _event(document)

    # Inside

    async def _find(self, event_id: str) -> Document | None:
        if not 0 < len(event_id) <= 200 or not event_id.isprintable():
            return None
        return await self._events.find(event_id)

    async def _change(self, event_id: str, change: Callable[[Event, int], Event | None]) -> Event | None:
        """Stores what `change` makes of an event; None if that is nothing. Raises UnknownEvent."""
        document = await self._find(event_id)
        if document is None:
            raise UnknownEvent(event_id)
        before = _event(document)
        after = change(before, self._now_ns(before))
        if after is not None:
            after = self._as_due(before, after)
            await self._store(document, before, after)
        return after

    def _as_due(self, before: Event | None, after: Event) -> Event:
        """The event with what time and the situation make of it in the same change."""
        if before is not None and before.alarm.state is State.NORMAL and after.alarm.state in STANDING:
            # Laid to rest, it was not asked when the situation changed.
            after = self.desk.placed(after)
        return tick(after, self._policy, after.changed_ns, is_same_change=True) or after

    async def _enter(self, document: Document | None, before: Event | None, event: Event) -> None:
        """Stores an event that was told, with what follows for its alarm, its leader, a flood, and other alarms."""
        begun: Begun | None = None
        leader = await self._leader_of(event) if event.alarm.state is not State.NONE and before is None else None
        if leader is not None and takes(leader, event, self._policy.chatter_ns):
            event = folded(event, leader)
        elif event.alarm.state is not State.NONE and before is None:
            event, begun = self.desk.greet(event, leader)
        if event.folded_into:
            # First: told again, it is known there, and the event below is not.
            await self._tell_leader(event)
        else:
            event = self._as_due(before, event)
        if begun is not None:
            await self._floods.begin(begun, event.changed_ns)
        await self._store(document, before, event)
        await self._floods.join()
        if event.kind is Kind.CAMERA:
            await self._settle()

    async def _tell_leader(self, event: Event) -> None:
        try:
            await self._change(
                event.folded_into, lambda leader, now_ns: with_occurrence(leader, event, raiser_of(event), now_ns)
            )
        except UnknownEvent:
            log.warning("the alarm of an event is gone", event_id=event.id, alarm=event.folded_into)

    async def _add(self, event: Event) -> None:
        await self._store(None, None, event)

    async def _leader_of(self, event: Event) -> Event | None:
        leader = await self._find(self.desk.leader_id(event))
        return _event(leader) if leader else None

    async def _settle(self) -> None:
        """Gives every alarm the marks that the situation says it should have."""
        judgement = self.desk.judgement_if_new(self._clock.utc_ns())
        if judgement is None:
            return

        def mark(event_id: str) -> Awaitable[object]:
            return self._change(event_id, lambda event, now_ns: settled(event, judgement, now_ns))

        try:
            if failed := await each(self.desk.unsettled(judgement), mark):
                raise failed[0]
        except BaseException:
            self.desk.forget_judgement()
            raise

    async def _store(self, document: Document | None, before: Event | None, after: Event) -> None:
        awaits = after.last is not None and not after.is_confirmed
        mine = to_document(after) | {"awaits_footage": int(awaits)}
        while True:
            body = add_event(carry_outbox(document.body if document else {}, mine), tidings(before, after), self._clock)
            try:
                await self._events.put(after.id, body, document.version if document else 0)
                break
            except Conflict:
                # The outbox marked something as sent meanwhile; the rest of the document is written here alone.
                document = await self._events.get(after.id)
        self._awaiting.note(after)
        self.desk.note(after)
        self.watchers.tell(after)
        self.on_stored()

    def _now_ns(self, existing: Event | None) -> int:
        # Changes of an event never go back in time, whatever the wall clock does: watchers resume by it.
        return max(self._clock.utc_ns(), existing.changed_ns + 1 if existing else 0)


def _event(document: Document) -> Event:
    return from_document(document.id, document.body)


def _fold_watermark(watermark: FrameId, event: Event, now_ns: int) -> Event | None:
    return fold_watermark(event, watermark, now_ns)


def _memory(document: dict[str, Any]) -> CameraMemory:
    return CameraMemory(document["since_ns"], document["state"], document["open_event"])


def _memory_document(memory: CameraMemory) -> dict[str, Any]:
    return {"since_ns": memory.since_ns, "state": memory.state, "open_event": memory.open_event}
