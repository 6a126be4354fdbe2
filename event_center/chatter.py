"""Chatter: what one source raises again and again within a short time is one alarm with a count. Pure.

Every occurrence stays an event with its frames, its clip and its times; only its alarm is that of the first one, its
leader. Times here are those of the events, not of their arrival: what comes late folds as it would have in time. While
a leader is shelved all that its source raises folds into it: that is what the operator shelved.
"""

from __future__ import annotations

from dataclasses import replace

from event_center.alarm import Alarm, Deed, State, Stimulus, apply, follow
from event_center.event import Event
from event_center.policy import detector_name

# Then a new alarm begins: the records of one have a bound.
MAX_OCCURRENCES = 200

Source = tuple[str, str, str]


def source_of(event: Event) -> Source | None:
    """What may chatter: one inspection, or one trouble, of one camera. None for alarms of floods: each is one."""
    named = event.inspection or detector_name(event.detector)
    return None if event.flood_scope else (event.kind.value, event.camera, named)


def takes(leader: Event, event: Event, chatter_ns: int) -> bool:
    """Whether an event is one more occurrence of `leader`."""
    if leader.id == event.id or leader.alarm.state is State.NONE or source_of(leader) != source_of(event):
        return False
    if knows(leader, event.id):
        return True
    if leader.alarm.marks.occurrences >= MAX_OCCURRENCES:
        return False
    if leader.alarm.marks.shelf is not None:
        return True
    if chatter_ns <= 0 or event.started_ns < leader.started_ns - chatter_ns:
        return False
    return leader.holds or event.started_ns <= max(leader.ended_ns, leader.members_end_ns) + chatter_ns


def knows(leader: Event, event_id: str) -> bool:
    """Whether that event was counted already."""
    return any(record.stimulus.reference == event_id for record in leader.alarm.records
               if record.stimulus.deed is Deed.RAISED_AGAIN)  # fmt: skip


def folded(event: Event, leader: Event) -> Event:
    """The event as an occurrence of `leader`."""
    return replace(event, alarm=Alarm(), folded_into=leader.id, group="", first_out="")


def with_occurrence(leader: Event, member: Event, actor: str, now_ns: int) -> Event | None:
    """The leader after an occurrence began, or ended; None if it has that already."""
    was_open = member.id in leader.open_members
    is_new = not knows(leader, member.id)
    if not is_new and was_open == (member.ended_ns == 0):
        return None
    alarm = leader.alarm
    if is_new:
        alarm = apply(alarm, Stimulus(Deed.RAISED_AGAIN, actor, now_ns, reference=member.id))
    others = tuple(one for one in leader.open_members if one != member.id)
    leader = replace(
        leader,
        open_members=others if member.ended_ns else (*others, member.id),
        members_end_ns=max(leader.members_end_ns, member.ended_ns),
        version=leader.version + 1,
        changed_ns=now_ns,
    )
    return replace(leader, alarm=follow(alarm, holds=leader.holds, actor=actor, at_ns=now_ns))


def inherited(event: Event, leader: Event) -> Event:
    """A new alarm of a source whose last one is full and shelved: it is shelved as that one is, by the same person."""
    shelf = leader.alarm.marks.shelf
    if shelf is None or leader.alarm.marks.occurrences < MAX_OCCURRENCES:
        return event
    stimulus = Stimulus(Deed.SHELVED, shelf.by, event.changed_ns, shelf.reason, until_ns=shelf.until_ns)
    return replace(event, alarm=apply(event.alarm, stimulus))
