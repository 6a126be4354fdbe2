"""Floods as events: stores the alarm of a flood, marks its members, says how many there are and when it is over.

It writes through the book, whose lock is held. What could not be written stays to be done at the next tick.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

from event_center.errors import UnknownEvent
from event_center.event import Event
from event_center.flood import Begun, Flood, FloodWatch, flood_event, in_flood, told_flood
from event_center.folding import with_alarm
from event_center.policy import Policy
from event_center.shelving import CLOCK

Change = Callable[[Event, int], Event | None]


class FloodBook:
    """`change(event id, change)` and `add(event)` store."""

    def __init__(
        self,
        watch: FloodWatch,
        policy: Policy,
        change: Callable[[str, Change], Awaitable[Event | None]],
        add: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._watch = watch
        self._policy = policy
        self._change = change
        self._add = add
        self._told: dict[str, int] = {}
        self._joining: dict[str, str] = {}
        self._over: dict[str, tuple[Flood, int]] = {}

    async def begin(self, begun: Begun, now_ns: int) -> None:
        """Stores the alarm of a flood; its members are marked by `join`."""
        try:
            await self._add(with_alarm(flood_event(begun.flood, self._policy, now_ns), CLOCK))
        except BaseException:
            self._watch.undo(begun.flood)
            raise
        self._told[begun.flood.id] = begun.flood.members
        self.to_join(begun.flood.id, begun.members)

    def to_join(self, flood_id: str, members: tuple[str, ...]) -> None:
        """These alarms are members that do not say so yet."""
        self._joining.update(dict.fromkeys(members, flood_id))

    async def join(self) -> None:
        """Marks members."""
        while self._joining:
            event_id, flood_id = next(iter(self._joining.items()))
            # One that was counted and could not be stored comes again, and joins by itself.
            with contextlib.suppress(UnknownEvent):
                await self._change(event_id, partial(_joined, flood_id))
            del self._joining[event_id]

    async def tick(self, now_ns: int) -> None:
        """Says what is new of floods: how many members they have, that they are over."""
        await self.join()
        self._over.update({flood.id: (flood, now_ns) for flood in self._watch.tick(now_ns)})
        for flood in self._watch.floods.values():
            if self._told.get(flood.id) != flood.members:
                await self._tell(flood, 0)
                self._told[flood.id] = flood.members
        while self._over:
            flood, ended_ns = next(iter(self._over.values()))
            await self._tell(flood, ended_ns)
            self._told.pop(flood.id, None)
            del self._over[flood.id]

    async def _tell(self, flood: Flood, ended_ns: int) -> None:
        await self._change(flood.id, lambda event, now_ns: told_flood(event, flood, self._policy, ended_ns, now_ns))


def _joined(flood_id: str, event: Event, now_ns: int) -> Event | None:
    return in_flood(event, flood_id, now_ns)
