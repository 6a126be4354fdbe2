"""What time alone does to an alarm that stands: it escalates, becomes stale, has to be seen again. Pure.

`due` says when the next of it comes, `ripe` which deed is due now. Each step happens once: the next one counts from the
record of this one, however late that was written.
"""

from __future__ import annotations

from event_center.alarm import Deed, State, Stimulus
from event_center.event import Event
from event_center.policy import Policy
from event_center.shelving import CLOCK
from event_center.states import STANDING, WAITING


def due(event: Event, policy: Policy) -> list[tuple[int, Deed]]:
    """What time will do to its alarm, with the moment in UTC nanoseconds, the earliest first."""
    coming: list[tuple[int, Deed]] = []
    alarm, marks = event.alarm, event.alarm.marks
    if policy.stale_ns and alarm.state in STANDING and not marks.is_stale:
        coming.append((marks.standing_ns + policy.stale_ns, Deed.STALE))
    if not marks.is_set_aside:
        priority = event.shown_priority
        if alarm.state in WAITING and 2 <= priority <= 4 and (after_ns := policy.escalate_ns[priority - 2]):
            coming.append((marks.waiting_ns + after_ns, Deed.ESCALATED))
        if policy.realarm_ns and alarm.state is State.ACKNOWLEDGED:
            coming.append((alarm.acknowledged_ns + policy.realarm_ns, Deed.REALARMED))
    return sorted(coming)


def ripe(event: Event, policy: Policy, now_ns: int) -> Stimulus | None:
    """The first that is due at `now_ns`, if anything is."""
    return next((Stimulus(deed, CLOCK, now_ns) for at_ns, deed in due(event, policy) if at_ns <= now_ns), None)
