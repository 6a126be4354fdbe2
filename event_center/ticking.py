"""The clock as a stimulus: what is due for an event, and when the next thing is. Pure.

A process that was away finds what came due meanwhile by the same question, and does it once.
"""

from __future__ import annotations

from event_center.alarm import Stimulus
from event_center.deeds import done
from event_center.escalation import due, ripe
from event_center.event import Event
from event_center.policy import Policy
from event_center.shelving import expired

# Shelf, staleness, re-alarm and three steps of escalation: more cannot come due at one moment.
_MOST_AT_ONCE = 8


def tick(event: Event, policy: Policy, now_ns: int, *, is_same_change: bool = False) -> Event | None:
    """The event after what is due at `now_ns`; None if nothing is.

    `is_same_change`: it belongs to a change of this moment that has its version already.
    """
    changed: Event | None = None
    for _ in range(_MOST_AT_ONCE):
        stimulus = _next(changed or event, policy, now_ns)
        if stimulus is None:
            return changed
        changed = done(changed or event, stimulus, is_same_change=is_same_change or changed is not None)
    return changed


def next_due_ns(event: Event, policy: Policy) -> int:
    """When something is due for it, UTC nanoseconds; 0 if nothing ever is unless something else happens."""
    moments = [at_ns for at_ns, _ in due(event, policy)[:1]]
    if event.alarm.marks.shelf:
        moments.append(event.alarm.marks.shelf.until_ns)
    return min(moments, default=0)


def _next(event: Event, policy: Policy, now_ns: int) -> Stimulus | None:
    return expired(event.alarm, now_ns) or ripe(event, policy, now_ns)
