"""The alarm machine: stimuli in, immutable records out. Pure; `docs/design/0010-alarms.md` has the table as a picture.

An alarm is nothing but its records: `replay` gives its state and its marks back from them, and every state says which
record led to it. A stimulus that the state does not take raises InvalidStimulus, with the story so far. What does not
belong here: which events are alarms (`folding`), what stands beside the state (`marks`), who may do what (`service`),
storing (`book`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from event_center.errors import InvalidStimulus
from event_center.marks import Marks, marked, refusal
from event_center.states import ALARMS, HOLDING, STANDING, TRANSITIONS, WAITING, Deed, State, Stimulus

__all__ = [
    "ALARMS",
    "HOLDING",
    "STANDING",
    "TRANSITIONS",
    "WAITING",
    "Alarm",
    "Deed",
    "Marks",
    "Record",
    "State",
    "Stimulus",
    "apply",
    "follow",
    "replay",
    "story",
]

# Texts of the other deeds are reasons, not remarks.
_SAYING = frozenset({Deed.ACKNOWLEDGED, Deed.COMMENTED})


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
    marks: Marks = field(default_factory=Marks)

    @property
    def comments(self) -> list[Stimulus]:
        """What people wrote, with an acknowledgement or by itself, oldest first."""
        return [r.stimulus for r in self.records if r.stimulus.text and r.stimulus.deed in _SAYING]

    @property
    def is_in_queue(self) -> bool:
        """It waits for a human, and is not set aside."""
        return self.state in WAITING and not self.marks.is_set_aside


def apply(alarm: Alarm, stimulus: Stimulus) -> Alarm:
    """The alarm after a stimulus, with one more record. Raises InvalidStimulus."""
    before = alarm.state
    after = TRANSITIONS.get((before, stimulus.deed))
    if after is None:
        raise InvalidStimulus(before, stimulus.deed, story(alarm))
    if why := refusal(alarm.marks, stimulus):
        raise InvalidStimulus(f"{before}, {why}", stimulus.deed, story(alarm))
    record = Record(len(alarm.records) + 1, stimulus, before, after)
    marks = marked(alarm.marks, stimulus, before, after, record.number)
    alarm = replace(alarm, state=after, records=(*alarm.records, record), marks=marks)
    if stimulus.deed is Deed.ACKNOWLEDGED:
        return replace(alarm, acknowledged_by=stimulus.actor, acknowledged_ns=stimulus.at_ns)
    if after in WAITING and before not in WAITING:
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
