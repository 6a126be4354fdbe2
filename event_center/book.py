"""The book of events: folds what is told, stores it, then tells watchers. The only writer of the store.

Each told thing is on disk when its method returns, so that a bus message may be acknowledged then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any

from event_center.errors import UnknownEvent
from event_center.event import Event, Kind, from_document, to_document
from event_center.folding import AnomalyReport, CameraMemory, CameraReport, fold_anomaly, fold_camera, fold_watermark
from event_center.watchers import Watchers
from mesh.clocks import Clock, SystemClock
from mesh.ids import FrameId
from mesh.metrics import counter
from mesh.store import AnyOf, Between, Collection, DocumentStore, Where, scan

# Footage that has not come within a day does not come any more.
AWAIT_FOOTAGE_NS = 24 * 3600 * 1_000_000_000

_folded = counter("event_center_folded", "Things told, by whether they changed anything.", ("source", "changed"))


class EventBook:
    """Events, camera memories and watermarks. Make it with `open`."""

    def __init__(self, events: Collection, cameras: Collection, clock: Clock) -> None:
        self._events = events
        self._cameras = cameras
        self._clock = clock
        self._writing = asyncio.Lock()
        self._watermarks: dict[str, FrameId] = {}
        self._awaiting: dict[str, dict[str, Event]] = {}
        self.watchers = Watchers()

    @classmethod
    async def open(cls, store: DocumentStore, clock: Clock | None = None) -> EventBook:
        """Reads which events still wait for their footage."""
        indexes = ("camera", "kind", "started_ns", "changed_ns", "awaits_footage")
        clock = clock or SystemClock()
        book = cls(await store.collection("events", indexes), await store.collection("cameras"), clock)
        since_ns = clock.utc_ns() - AWAIT_FOOTAGE_NS
        async for document in scan(book._events, {"awaits_footage": 1, "changed_ns": Between(since_ns, None)}):
            book._note_awaiting(from_document(document.id, document.body))
        return book

    # Telling

    async def tell_anomaly(self, report: AnomalyReport) -> None:
        """An anomaly began, grew or ended."""
        async with self._writing:
            existing = await self._find(report.id)
            event = fold_anomaly(existing, report, self._watermarks.get(report.camera), self._now_ns(existing))
            _folded.labels("anomaly", event is not None).inc()
            if event is not None:
                await self._store(event)

    async def tell_camera(self, report: CameraReport) -> None:
        """A camera changed its state."""
        async with self._writing:
            document = await self._cameras.find(report.camera)
            memory = _memory(document.body) if document else CameraMemory()
            open_event = await self._find(memory.open_event) if memory.open_event else None
            new_memory, event = fold_camera(memory, open_event, report, self._now_ns(open_event))
            if event is not None and open_event is None:
                # Told before, and killed between the two writes below.
                stored = await self._find(event.id)
                event = None if stored is not None else event
            _folded.labels("camera", event is not None).inc()
            if event is not None:
                await self._store(event)
            if new_memory != memory:
                await self._cameras.put(report.camera, _memory_document(new_memory))

    async def tell_watermarks(self, watermarks: Iterable[FrameId]) -> None:
        """Footage is on disk up to these frames."""
        async with self._writing:
            for watermark in watermarks:
                known = self._watermarks.get(watermark.camera)
                if known is not None and watermark <= known:
                    continue
                self._watermarks[watermark.camera] = watermark
                for event in list(self._awaiting.get(watermark.camera, {}).values()):
                    changed = fold_watermark(event, watermark, self._now_ns(event))
                    if changed is not None:
                        await self._store(changed)

    # Asking

    async def get(self, event_id: str) -> Event:
        """One event. Raises UnknownEvent."""
        event = await self._find(event_id)
        if event is None:
            raise UnknownEvent(event_id)
        return event

    async def page(
        self,
        *,
        cameras: Sequence[str] | None,
        kinds: Sequence[Kind] = (),
        from_ns: int = 0,
        to_ns: int = 0,
        limit: int = 100,
        page_token: str = "",
    ) -> tuple[list[Event], str]:
        """Events, newest first, and the token of the next page. `cameras` None means all."""
        where: dict[str, Any] = {}
        if cameras is not None:
            where["camera"] = AnyOf(list(cameras))
        if kinds:
            where["kind"] = AnyOf([kind.value for kind in kinds])
        if from_ns or to_ns:
            where["started_ns"] = Between(from_ns or None, to_ns or None)
        page = await self._events.query(where, order="-started_ns", limit=limit, page_token=page_token)
        return [from_document(document.id, document.body) for document in page.documents], page.next_page_token

    async def changed_since(self, since_ns: int, cameras: Sequence[str] | None) -> AsyncIterator[Event]:
        """Stored events that changed at or after a time, in the order of their last change."""
        where: dict[str, Any] = {"changed_ns": Between(since_ns, None)}
        if cameras is not None:
            where["camera"] = AnyOf(list(cameras))
        async for document in scan(self._events, _as_where(where), order="changed_ns"):
            yield from_document(document.id, document.body)

    # Inside

    async def _find(self, event_id: str) -> Event | None:
        if not 0 < len(event_id) <= 200 or not event_id.isprintable():
            return None
        document = await self._events.find(event_id)
        return from_document(document.id, document.body) if document else None

    async def _store(self, event: Event) -> None:
        awaits = event.last is not None and not event.is_confirmed
        await self._events.put(event.id, to_document(event) | {"awaits_footage": int(awaits)})
        self._note_awaiting(event)
        self.watchers.tell(event)

    def _note_awaiting(self, event: Event) -> None:
        of_camera = self._awaiting.setdefault(event.camera, {})
        if event.last is None or event.is_confirmed:
            of_camera.pop(event.id, None)
        else:
            of_camera[event.id] = replace(event)
        if not of_camera:
            del self._awaiting[event.camera]

    def _now_ns(self, existing: Event | None) -> int:
        # Changes of an event never go back in time, whatever the wall clock does: watchers resume by it.
        return max(self._clock.utc_ns(), existing.changed_ns + 1 if existing else 0)


def _as_where(where: dict[str, Any]) -> Where:
    return where


def _memory(document: dict[str, Any]) -> CameraMemory:
    return CameraMemory(document["since_ns"], document["state"], document["open_event"])


def _memory_document(memory: CameraMemory) -> dict[str, Any]:
    return {"since_ns": memory.since_ns, "state": memory.state, "open_event": memory.open_event}
