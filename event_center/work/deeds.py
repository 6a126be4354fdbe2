"""What people do to events beside seeing them: take, assign, hand back, label, and take a deed back. Pure.

A deed that says what is so already changes nothing. Taking back is a record of its own; nothing is ever removed.
"""

from __future__ import annotations

import unicodedata

from event_center.alarm import Deed, Stimulus
from event_center.deeds import check_records, checked_reason, done
from event_center.errors import TooManyComments
from event_center.event import Event
from event_center.marks import UNDO_NS, Was
from event_center.work.labels import Label
from mesh.errors import FailedPrecondition, InvalidArgument, PermissionDenied

MAX_OWNER_CHARACTERS = 100
MAX_DEEDS = 300
_COUNTED = frozenset({Deed.ASSIGNED, Deed.HANDED_BACK, Deed.LABELLED})


def assign(event: Event, actor: str, owner: str, reason: str, now_ns: int) -> Event | None:
    """The event in the hands of `owner`, or of nobody (""); None if it is so already. Raises InvalidArgument."""
    owner = checked_owner(owner) if owner else ""
    reason = checked_reason(reason) if reason else ""
    if event.alarm.marks.owner == owner:
        return None
    _check_room(event)
    deed = Deed.ASSIGNED if owner else Deed.HANDED_BACK
    return done(event, Stimulus(deed, actor, now_ns, reason, reference=owner))


def label(event: Event, actor: str, given: Label | None, now_ns: int) -> Event | None:
    """The event with a label, or without one; None if it is so already."""
    if event.alarm.marks.label == given:
        return None
    _check_room(event)
    return done(event, Stimulus(Deed.LABELLED, actor, now_ns, label=given))


def undo(event: Event, actor: str, number: int, now_ns: int, *, done_ns: int = 0) -> Event:
    """The event after taking back what `actor` did in the record of that number; 0: the newest of theirs.

    `done_ns`: when the bulk that it belongs to was done; 0 for the record's own time.

    Raises FailedPrecondition (no such deed, another one came after it, ten seconds are over), PermissionDenied (it was
    somebody else), TooManyRecords.
    """
    undoable = event.alarm.marks.undoable
    number = number or max((one.number for one in undoable if one.actor == actor), default=0)
    was = next((one for one in undoable if one.number == number), None)
    thing = f"record {number} of event {event.id}" if number else f"event {event.id}"
    if was is None:
        raise FailedPrecondition(thing, "cannot be undone", refused(event, number))
    if was.actor != actor:
        raise PermissionDenied(thing, f"was done by {was.actor}", "Who did it may undo it.")
    if now_ns - max(was.at_ns, done_ns) > UNDO_NS:
        late_s = (now_ns - was.at_ns) / 1e9
        raise FailedPrecondition(thing, f"was done {late_s:.0f} s ago", f"Only {UNDO_NS // 10**9} s are given.")
    check_records(event)
    return done(event, undoing(was, actor, now_ns))


def _check_room(event: Event) -> None:
    """Raises TooManyComments: records have a bound, and people who change their mind for ever do not."""
    if sum(record.stimulus.deed in _COUNTED for record in event.alarm.records) >= MAX_DEEDS:
        raise TooManyComments(event.id, f"was labelled and assigned {MAX_DEEDS} times already")


def undoing(was: Was, actor: str, now_ns: int) -> Stimulus:
    """The stimulus that takes a deed back."""
    deed = Deed.UNACKNOWLEDGED if was.deed is Deed.ACKNOWLEDGED else Deed.UNDONE
    return Stimulus(deed, actor, now_ns, reference=str(was.number))


def refused(event: Event, number: int) -> str:
    """Why a record cannot be taken back, as a remedy."""
    if number and number not in [one.number for one in event.alarm.records]:
        return "It has no such record."
    return "Acknowledging, shelving, labelling and assigning can be, for ten seconds, while nothing came after it."


def checked_owner(name: str) -> str:
    """The name of a person. Raises InvalidArgument."""
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_OWNER_CHARACTERS or any(unicodedata.category(one) == "Cc" for one in name):
        raise InvalidArgument("owner", f"is no name of 1 to {MAX_OWNER_CHARACTERS} printable characters")
    return name
