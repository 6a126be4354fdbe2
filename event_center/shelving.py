"""Shelving: an operator takes an alarm out of the queue for a time, and says why. Pure.

Timed (for so long) or once (until the condition is over), both bounded by the site's longest shelving time. Coming back
by itself is `expired`, which `ticking` and every change of the condition ask.
"""

from __future__ import annotations

from event_center.alarm import Alarm, Deed, State, Stimulus
from event_center.deeds import check_records, checked_reason, done
from event_center.errors import NoAlarm
from event_center.event import Event
from event_center.marks import ONCE
from event_center.states import HOLDING
from mesh.errors import FailedPrecondition, InvalidArgument

# The same order again within so long is a repetition, not a longer shelving.
_SAME_NS = 10_000_000_000
CLOCK = "event-center"
"""Who it is, in the records, that acts because a time has come."""


def shelve(event: Event, actor: str, reason: str, duration_ns: int, longest_ns: int, now_ns: int) -> Event | None:
    """The event on the shelf; None if that changes nothing. `duration_ns` 0: until its condition is over.

    Raises NoAlarm, FailedPrecondition (until it is over, and it is), InvalidArgument (the reason, the time),
    TooManyRecords.
    """
    reason = checked_reason(reason)
    marks = event.alarm.marks
    if event.alarm.state is State.NONE:
        raise NoAlarm(event.id, "shelve", event.folded_into)
    checked_duration(duration_ns, longest_ns)
    is_once = duration_ns == 0
    if is_once and event.alarm.state not in HOLDING:
        raise FailedPrecondition(f"event {event.id}", "cannot be shelved until it is over: it is", "Give a duration.")
    until_ns = now_ns + (duration_ns or longest_ns)
    shelf = marks.shelf
    is_same = shelf is not None and (shelf.by, shelf.reason, shelf.is_once) == (actor, reason, is_once)
    if is_same and shelf is not None and 0 <= until_ns - shelf.until_ns < _SAME_NS:
        return None
    check_records(event)
    stimulus = Stimulus(Deed.SHELVED, actor, now_ns, reason, until_ns=until_ns, reference=ONCE if is_once else "")
    return done(event, stimulus)


def checked_duration(duration_ns: int, longest_ns: int) -> None:
    """Raises InvalidArgument: nobody may shelve for so long."""
    if not 0 <= duration_ns <= longest_ns:
        hours = f"{longest_ns / 3.6e12:g} h"
        raise InvalidArgument(f"duration {duration_ns / 3.6e12:g} h", f"is not between 0 and {hours}",
                              "Longer belongs out of service, or into event_center.longest_shelving_s.")  # fmt: skip


def unshelve(event: Event, actor: str, reason: str, now_ns: int) -> Event | None:
    """The event off the shelf; None if it is on none. Raises InvalidArgument (the reason)."""
    reason = checked_reason(reason) if reason else ""
    return done(event, Stimulus(Deed.UNSHELVED, actor, now_ns, reason)) if event.alarm.marks.shelf else None


def expired(alarm: Alarm, now_ns: int) -> Stimulus | None:
    """The end of its shelving, if that has come: its time is over, or its condition with one that is for once."""
    shelf = alarm.marks.shelf
    if shelf is None:
        return None
    if shelf.is_once and alarm.state not in HOLDING:
        return Stimulus(Deed.UNSHELVED, CLOCK, now_ns, "its condition is over")
    return Stimulus(Deed.UNSHELVED, CLOCK, now_ns, "its time is over") if shelf.until_ns <= now_ns else None
