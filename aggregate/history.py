"""Who started, stopped and changed inspections, and when. Entries are kept for ever.

An entry holds the whole order as it was from then on, so that recorded frames can be inspected again as they were.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from aggregate.ledger import store_key
from aggregate.orders import Order, order_document, order_from_document
from mesh.errors import AlreadyExists
from mesh.store import Between, Body, Collection, DocumentStore, scan

What = Literal["created", "started", "stopped", "changed", "paused", "resumed", "calibrated", "labelled"]
# These end, or begin, a time without a break.
_BREAKS = frozenset({"created", "started", "stopped", "paused", "resumed"})


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody did to an inspection."""

    at_ns: int
    by: str
    """Name of the principal; "configuration" or "trueframe" for what no person asked for."""
    what: What
    order: Order
    """As it was from then on."""
    since_ns: int = 0
    """Since when it has been in force, or stopped, without a break."""
    why: str = ""
    """Why it rests though it is not stopped, or why its threshold moved: a part of a sentence."""
    is_resting: bool = False
    """It is not carried out from then on although nobody stopped it: outside its schedule, say."""
    threshold: float = 0.0
    """Score at which an anomaly began from then on, where it is calibrated; 0 where the order says."""

    @property
    def is_stop(self) -> bool:
        """Whether it is not carried out from then on."""
        return self.order.is_disabled or self.is_resting


def change_of(old: Order | None, new: Order) -> What | None:
    """What the new order does to the old one; None if it changes nothing."""
    if old is None:
        return "created"
    if old == new:
        return None
    if old.is_disabled != new.is_disabled:
        return "stopped" if new.is_disabled else "started"
    return "changed"


class History:
    """All changes. Make it with `open`. Raises the store's errors."""

    def __init__(self, changes: Collection) -> None:
        self._changes = changes

    @classmethod
    async def open(cls, store: DocumentStore) -> History:
        """The history of a store."""
        return cls(await store.collection("history", ("place",)))

    async def add(self, change: Change) -> Change:
        """Stores a change and returns it as it was stored: behind all others, whatever the clock says."""
        newest = await self.newest(change.order.id)
        at_ns = max(change.at_ns, newest.at_ns + 1) if newest is not None else change.at_ns
        key = store_key(change.order.id)
        while True:
            place = _place(key, at_ns)
            is_break = newest is None or change.what in _BREAKS
            since_ns = at_ns if newest is None or is_break else newest.since_ns
            body = {
                "place": place,
                "at_ns": at_ns,
                "since_ns": since_ns,
                "by": change.by,
                "what": change.what,
                "inspection": change.order.id,
                "order": order_document(change.order),
                "why": change.why,
                "is_resting": change.is_resting,
                "threshold": change.threshold,
            }
            try:
                await self._changes.put(place, body, 0)
            except AlreadyExists:
                at_ns += 1
                continue
            return replace(change, at_ns=at_ns, since_ns=since_ns)

    async def at(self, inspection: str, at_ns: int) -> Change | None:
        """The last change at or before a UTC time; None if there was none yet."""
        return await self._nearest(inspection, 0, at_ns, "-place")

    async def after(self, inspection: str, at_ns: int) -> Change | None:
        """The first change after a UTC time; None if there is none."""
        return await self._nearest(inspection, at_ns + 1, None, "place")

    async def between(self, inspection: str, from_ns: int, to_ns: int) -> AsyncIterator[Change]:
        """All changes of a range of UTC times, in their order."""
        key = store_key(inspection)
        places = Between(_place(key, from_ns), _place(key, to_ns))
        async for document in scan(self._changes, {"place": places}, order="place"):
            yield _change(document.body)

    async def newest(self, inspection: str) -> Change | None:
        """The last change of all."""
        return await self._nearest(inspection, 0, None, "-place")

    async def _nearest(self, inspection: str, low_ns: int, high_ns: int | None, order: str) -> Change | None:
        key = store_key(inspection)
        high = f"{key}/~" if high_ns is None else _place(key, high_ns)
        found = await self._changes.query({"place": Between(_place(key, low_ns), high)}, order=order, limit=1)
        return _change(found.documents[0].body) if found.documents else None


def _place(key: str, at_ns: int) -> str:
    return f"{key}/{max(at_ns, 0):020d}"


def _change(body: Body | Mapping[str, Any]) -> Change:
    order = order_from_document(body["inspection"], body["order"])
    return Change(
        body["at_ns"], body["by"], body["what"], order, body["since_ns"], body.get("why", ""),
        body.get("is_resting", False), body.get("threshold", 0.0),
    )  # fmt: skip
