"""Which events a list is of: a filter, and the query that it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from event_center.alarm import State
from event_center.event import Kind
from mesh.store import AnyOf, Between, Where


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What all listed events meet; empty parts let everything through. Times in UTC nanoseconds."""

    cameras: Sequence[str] | None = None
    """None means all."""
    kinds: Sequence[Kind] = ()
    states: Sequence[State] = ()
    priorities: Sequence[int] = ()
    """As escalation raised them."""
    from_ns: int = 0
    """Began at or after."""
    to_ns: int = 0
    """Began at or before; 0 for no bound."""
    is_shelved: bool = False
    is_suppressed: bool = False
    is_out_of_service: bool = False
    is_stale: bool = False
    flood: str = ""
    folded_into: str = ""

    def where(self) -> Where:
        """The query."""
        where: dict[str, Any] = {}
        if self.cameras is not None:
            where["camera"] = AnyOf(list(self.cameras))
        if self.kinds:
            where["kind"] = AnyOf([kind.value for kind in self.kinds])
        if self.states:
            where["alarm_state"] = AnyOf([state.value for state in self.states])
        if self.priorities:
            where["priority"] = AnyOf(list(self.priorities))
        if self.from_ns or self.to_ns:
            where["started_ns"] = Between(self.from_ns or None, self.to_ns or None)
        for flag in ("is_shelved", "is_suppressed", "is_out_of_service", "is_stale"):
            if getattr(self, flag):
                where[flag] = 1
        for name in ("flood", "folded_into"):
            if getattr(self, name):
                where[name] = getattr(self, name)
        return where
