"""The alarm machine: stimuli in, immutable records out. Pure; `docs/design/0010-alarms.md` has the table as a picture.

An alarm is nothing but its records: `replay` gives its state back from them, and every state says which record led to
it. A stimulus that the state does not take raises InvalidStimulus, with the story so far. What does not belong here:
which events are alarms (`folding`), who may do what (`service`), storing (`book`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from event_center.errors import InvalidStimulus


class State(StrEnum):
    """Where an alarm stands (OPC UA Part 9, ISA-18.2)."""

    NONE = "none"
    """No alarm: the event needs no human."""
    UNACKNOWLEDGED = "unacknowledged"
    """The condition holds and nobody has seen it."""
    ACKNOWLEDGED = "acknowledged"
    """The condition holds and a human has seen it."""
    RETURNED = "returned_unacknowledged"
    """The condition is over and nobody has seen it."""
    NORMAL = "normal"
    """The condition is over and a human has seen it."""


class Deed(StrEnum):
    """What happens to an event."""

    RAISED = "raised"
    RETURNED = "returned"
    RAISED_AGAIN = "raised_again"
    ACKNOWLEDGED = "acknowledged"
    COMMENTED = "commented"


WAITING = frozenset({State.UNACKNOWLEDGED, State.RETURNED})
"""States that wait for a human."""
HOLDING = frozenset({State.UNACKNOWLEDGED, State.ACKNOWLEDGED})
"""States whose condition holds."""

# What is not in here is refused. A comment changes no state, not even that of an event which is no alarm.
TRANSITIONS: dict[tuple[State, Deed], State] = {
    (State.NONE, Deed.RAISED): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Deed.RETURNED): State.RETURNED,
    (State.UNACKNOWLEDGED, Deed.ACKNOWLEDGED): State.ACKNOWLEDGED,
    (State.ACKNOWLEDGED, Deed.RETURNED): State.NORMAL,
    (State.RETURNED, Deed.ACKNOWLEDGED): State.NORMAL,
    (State.RETURNED, Deed.RAISED_AGAIN): State.UNACKNOWLEDGED,
    (State.NORMAL, Deed.RAISED_AGAIN): State.UNACKNOWLEDGED,
    **{(state, Deed.COMMENTED): state for state in State},
}


@dataclass(frozen=True, slots=True)
class Stimulus:
    """Something that is done to an alarm. `actor`: a user, or the name of a service. `at_ns`: UTC nanoseconds."""

    deed: Deed
    actor: str
    at_ns: int
    text: str = ""
    """What a human wrote with it."""
    request_id: str = ""
    """Chosen by a client, so that the same comment sent twice is one."""


@dataclass(frozen=True, slots=True)
class Record:
    """One deed with the states around it. Never changed, never removed."""

    number: int
    """Counts up inside the event, from 1."""
    stimulus: Stimulus
    before: State
    after: State


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as its records tell it."""

    state: State = State.NONE
    acknowledged_by: str = ""
    """Who acknowledged it since it was raised last; empty if nobody did."""
    acknowledged_ns: int = 0
    records: tuple[Record, ...] = ()

    @property
    def comments(self) -> list[Stimulus]:
        """What people wrote, with an acknowledgement or by itself, oldest first."""
        return [record.stimulus for record in self.records if record.stimulus.text]


def apply(alarm: Alarm, stimulus: Stimulus) -> Alarm:
    """The alarm after a stimulus, with one more record. Raises InvalidStimulus."""
    after = TRANSITIONS.get((alarm.state, stimulus.deed))
    if after is None:
        raise InvalidStimulus(alarm.state, stimulus.deed, story(alarm))
    record = Record(len(alarm.records) + 1, stimulus, alarm.state, after)
    alarm = replace(alarm, state=after, records=(*alarm.records, record))
    if stimulus.deed is Deed.ACKNOWLEDGED:
        return replace(alarm, acknowledged_by=stimulus.actor, acknowledged_ns=stimulus.at_ns)
    if stimulus.deed is Deed.RAISED_AGAIN:
        return replace(alarm, acknowledged_by="", acknowledged_ns=0)
    return alarm


def replay(records: Iterable[Record]) -> Alarm:
    """The alarm that these records tell. Raises InvalidStimulus if no alarm has such a story."""
    alarm = Alarm()
    for record in records:
        alarm = apply(alarm, record.stimulus)
    return alarm


def follow(alarm: Alarm, *, holds: bool, actor: str, at_ns: int) -> Alarm:
    """The alarm once it is known whether its condition holds: raised, raised again or returned as that takes.

    A condition that is over when it is first told was there all the same: it is raised and returned.
    """
    if alarm.state is State.NONE:
        alarm = apply(alarm, Stimulus(Deed.RAISED, actor, at_ns))
    if holds == (alarm.state in HOLDING):
        return alarm
    return apply(alarm, Stimulus(Deed.RAISED_AGAIN if holds else Deed.RETURNED, actor, at_ns))


def story(alarm: Alarm) -> list[str]:
    """What happened to an alarm, one sentence a record, for whoever has to find out why it stands where it does."""
    return [
        f"{record.number}. {record.before} -> {record.after}: {record.stimulus.deed} by {record.stimulus.actor} "
        f"at {record.stimulus.at_ns}"
        for record in alarm.records
    ]
