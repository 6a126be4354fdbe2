"""The book of cases: one document a case, its records inside; found by events, and by words in any script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from event_center.cases.case import Case, Clip, Deed, Entry, apply, opened, replay
from mesh.clocks import Clock, SystemClock
from mesh.errors import NotFound
from mesh.ids import new_event_id
from mesh.search_tokens import condition_of, matches, words_of
from mesh.store import Between, Collection, DocumentStore, Holds, scan

INDEXES = ("is_open", "changed_ns", "events[]", "words[] by changed_ns")


class CaseBook:
    """All cases. Make it with `open`."""

    def __init__(self, cases: Collection, clock: Clock) -> None:
        self._cases = cases
        self._clock = clock
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, store: DocumentStore, clock: Clock | None = None) -> CaseBook:
        """The book in a store."""
        return cls(await store.collection("cases", INDEXES), clock or SystemClock())

    async def begin(self, title: str, actor: str) -> Case:
        """A new case, stored. Raises InvalidArgument."""
        case = opened(new_event_id(), title, actor, self._clock.utc_ns())
        await self._cases.put(case.id, to_document(case), 0)
        return case

    async def get(self, case_id: str) -> Case:
        """A case. Raises NotFound."""
        found = await self._cases.find(case_id) if 0 < len(case_id) <= 100 and case_id.isprintable() else None
        if found is None:
            raise unknown(case_id)
        return from_document(found.id, found.body)

    async def do(self, case_id: str, entries: Sequence[Entry], request_id: str = "") -> Case:
        """The case after these deeds, all in one write; their times are set here. What is so already is left out.

        The same `request_id` of the same person changes nothing. Raises NotFound and what `apply` raises.
        """
        async with self._writing:
            case = before = await self.get(case_id)
            if request_id and any(
                (one.request_id, one.actor) == (request_id, entries[0].actor) for one in case.records if entries
            ):
                return case
            now_ns = max(self._clock.utc_ns(), case.changed_ns + 1)
            for entry in entries:
                if not _is_so(case, entry):
                    case = apply(case, Entry(now_ns, entry.actor, entry.deed, entry.text, entry.event, entry.camera,
                                             entry.clip, request_id))  # fmt: skip
            if case is not before:
                await self._cases.put(case.id, to_document(case))
            return case

    async def page(
        self, *, query: str = "", is_open: bool | None = None, limit: int = 100, page_token: str = ""
    ) -> tuple[list[Case], str]:
        """Cases, changed last first, and the token of the next page. A page of a search may hold fewer than `limit`."""
        where: dict[str, Any] = {} if is_open is None else {"is_open": int(is_open)}
        if query:
            condition = condition_of(query)
            if condition is None:
                return [], ""
            where["words"] = condition
        page = await self._cases.query(where, order="-changed_ns", limit=limit, page_token=page_token)
        cases = [from_document(one.id, one.body) for one in page.documents]
        if query:
            # The index knows pairs of characters; whether they stand together is seen here.
            cases = [case for case in cases if matches(query, *case.texts)]
        return cases, page.next_page_token

    async def changed_since(self, since_ns: int) -> AsyncIterator[Case]:
        """Cases that changed at or after a time, UTC nanoseconds, in the order of their last change."""
        async for one in scan(self._cases, {"changed_ns": Between(since_ns, None)}, order="changed_ns"):
            yield from_document(one.id, one.body)

    async def names(self, event_id: str) -> bool:
        """Whether a case names an event."""
        return bool(await self._cases.count({"events": Holds([event_id])}))


def unknown(case_id: str) -> NotFound:
    """The error of a case that is not there, or not for the caller."""
    return NotFound(f"case {case_id[:80]!r}", "does not exist", "`trueframe cases list --all` shows those that do.")


def _is_so(case: Case, entry: Entry) -> bool:
    match entry.deed:
        case Deed.EVENT_ADDED:
            return (entry.event, entry.camera) in case.events
        case Deed.EVENT_REMOVED:
            return entry.event not in [event for event, _ in case.events]
        case Deed.CLIP_ADDED:
            return entry.clip in case.clips
        case Deed.CLIP_REMOVED:
            return entry.clip not in case.clips
        case Deed.RENAMED:
            return entry.text == case.title
        case Deed.CLOSED:
            return not case.is_open and entry.text == case.outcome
        case _:
            return False


def to_document(case: Case) -> dict[str, Any]:
    """The case as a JSON object."""
    return {
        "format": 1,
        "is_open": int(case.is_open),
        "changed_ns": case.changed_ns,
        "events": [event for event, _ in case.events],
        "words": words_of(*case.texts),
        "records": [
            [one.at_ns, one.actor, one.deed.value, one.text, one.event, one.camera,
             [one.clip.camera, one.clip.from_ns, one.clip.to_ns] if one.clip else None, one.request_id]
            for one in case.records
        ],
    }  # fmt: skip


def from_document(case_id: str, body: dict[str, Any]) -> Case:
    """The inverse of `to_document`."""
    return replay(case_id, [
        Entry(at_ns, actor, Deed(deed), text, event, camera, Clip(*clip) if clip else None, request_id)
        for at_ns, actor, deed, text, event, camera, clip, request_id in body["records"]
    ])  # fmt: skip
