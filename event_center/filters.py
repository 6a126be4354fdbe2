"""Which events a list is of: a filter, from the wire, and the query that it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from event_center.alarm import State
from event_center.event import Kind
from event_center.scope import scope
from event_center.wire import kinds_from_proto, states_from_proto
from event_center.work.wire import verdicts_from_proto
from mesh.errors import InvalidArgument
from mesh.search_tokens import condition_of
from mesh.security import Principal
from mesh.store import AnyOf, Between, Where
from trueframe.v1 import events_pb2

MAX_QUERY_CHARACTERS = 500


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
    owner: str = ""
    verdicts: Sequence[str] = ()
    """Labelled so: "true", "false", "unsure"."""
    query: str = ""
    """What somebody typed, in any script."""

    @property
    def finds_nothing(self) -> bool:
        """What was typed holds no letter and no digit."""
        return bool(self.query) and condition_of(self.query) is None

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
        if self.verdicts:
            where["verdict"] = AnyOf(list(self.verdicts))
        if self.query and (words := condition_of(self.query)) is not None:
            where["words"] = words
        for name in ("flood", "folded_into", "owner"):
            if getattr(self, name):
                where[name] = getattr(self, name)
        return where


def filter_from_proto(request: events_pb2.ListEventsRequest, principal: Principal) -> EventFilter:
    """The filter, within the caller's scope. Raises InvalidArgument, PermissionDenied."""
    if unknown := [priority for priority in request.priorities if not 1 <= priority <= 4]:
        raise InvalidArgument(f"priority {unknown[0]}", "is not between 1 and 4")
    if len(request.query) > MAX_QUERY_CHARACTERS:
        raise InvalidArgument("query", f"has more than {MAX_QUERY_CHARACTERS} characters")
    return EventFilter(
        cameras=scope(principal, request.cameras),
        kinds=kinds_from_proto(request.kinds),
        states=states_from_proto(request.alarm_states),
        priorities=list(request.priorities),
        from_ns=request.from_ns,
        to_ns=request.to_ns,
        is_shelved=request.shelved,
        is_suppressed=request.suppressed,
        is_out_of_service=request.out_of_service,
        is_stale=request.stale,
        flood=request.flood,
        folded_into=request.folded_into,
        owner=request.owner,
        verdicts=verdicts_from_proto(request.verdicts),
        query=request.query,
    )
