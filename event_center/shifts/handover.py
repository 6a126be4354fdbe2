"""The note of one shift to the next: what stands, what is set aside, what changed since the last one, and free text.

Pure. What does not belong here: asking the desk (`gather`), storing (`handover_book`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from event_center.alarm import Deed
from event_center.event import Event
from event_center.states import STANDING, State
from mesh.errors import FailedPrecondition

MAX_ITEMS = 500
"""Of each list; counts say how many there are."""


_COUNTED = {
    Deed.RAISED: "raised", Deed.ACKNOWLEDGED: "acknowledged", Deed.LABELLED: "labelled", Deed.COMMENTED: "commented",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """An alarm, or a thing out of service. `text`: what it is; `why`: who set it aside, until when, and why."""

    id: str
    camera: str
    priority: int
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class DeskState:
    """How the desk stood. Times in UTC nanoseconds."""

    at_ns: int
    since_ns: int
    """Of the last hand-over; what changed is counted from then."""
    standing: tuple[Item, ...] = ()
    shelved: tuple[Item, ...] = ()
    out_of_service: tuple[Item, ...] = ()
    standing_count: int = 0
    unseen_count: int = 0
    shelved_count: int = 0
    suppressed_count: int = 0
    raised: int = 0
    acknowledged: int = 0
    labelled: int = 0
    commented: int = 0
    cases_changed: int = 0
    is_all_counted: bool = True
    """More changed than was looked at otherwise."""

    @property
    def cameras(self) -> frozenset[str]:
        """Those that it tells of."""
        return frozenset(one.camera for one in (*self.standing, *self.shelved, *self.out_of_service) if one.camera)


@dataclass(frozen=True, slots=True)
class Handover:
    """A note, given once and taken over once."""

    id: str
    given_by: str
    given_ns: int
    text: str
    state: DeskState
    taken_by: str = ""
    taken_ns: int = 0

    def taken(self, by: str, now_ns: int) -> Handover:
        """Taken over by a person; again by the same changes nothing. Raises FailedPrecondition: by another."""
        if self.taken_by == by:
            return self
        if self.taken_by:
            raise FailedPrecondition(f"hand-over {self.id}", f"was taken over by {self.taken_by}", "Give another one.")
        if by == self.given_by:
            raise FailedPrecondition(f"hand-over {self.id}", "is your own", "Whoever comes next takes it over.")
        return replace(self, taken_by=by, taken_ns=now_ns)


@dataclass(slots=True)
class Changes:
    """What changed since a time, counted event by event."""

    since_ns: int
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED.values(), 0))

    def add(self, event: Event) -> None:
        """An event that changed since then."""
        for record in event.alarm.records:
            if record.stimulus.at_ns >= self.since_ns and (name := _COUNTED.get(record.stimulus.deed)):
                self.counts[name] += 1


def standing_item(event: Event) -> Item:
    """An alarm that stands, or is on the shelf."""
    shelf = event.alarm.marks.shelf
    why = f"shelved by {shelf.by}: {shelf.reason}" if shelf else _waits(event)
    return Item(event.id, event.camera, event.shown_priority, event.summary, why)


def _waits(event: Event) -> str:
    state = {State.UNACKNOWLEDGED: "nobody has seen it", State.RETURNED: "over, nobody has seen it"}
    said = state.get(event.alarm.state, f"seen by {event.alarm.acknowledged_by}")
    owner = f", {event.alarm.marks.owner} has it" if event.alarm.marks.owner else ""
    return said + owner if event.alarm.state in STANDING else "over"


def to_document(handover: Handover) -> dict[str, Any]:
    """The note as a JSON object."""
    state = handover.state
    lists = {
        name: [[one.id, one.camera, one.priority, one.text, one.why] for one in getattr(state, name)]
        for name in ("standing", "shelved", "out_of_service")
    }
    plain = {name: getattr(state, name) for name in _PLAIN}
    return {
        "format": 1, "given_by": handover.given_by, "given_ns": handover.given_ns, "text": handover.text,
        "taken_by": handover.taken_by, "taken_ns": handover.taken_ns, "state": {**plain, **lists},
    }  # fmt: skip


def from_document(handover_id: str, body: dict[str, Any]) -> Handover:
    """The inverse of `to_document`."""
    state = body["state"]
    lists: dict[str, Any] = {
        name: tuple(Item(*one) for one in state[name]) for name in ("standing", "shelved", "out_of_service")
    }
    plain = {name: state[name] for name in _PLAIN}
    return Handover(handover_id, body["given_by"], body["given_ns"], body["text"], DeskState(**plain, **lists),
                    body["taken_by"], body["taken_ns"])  # fmt: skip


_PLAIN = (
    "at_ns", "since_ns", "standing_count", "unseen_count", "shelved_count", "suppressed_count", "raised",
    "acknowledged", "labelled", "commented", "cases_changed", "is_all_counted",
)  # fmt: skip
