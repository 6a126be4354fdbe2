"""What stands beside the state of an alarm, independent of it: shelf, suppression, service, flood, counts and clocks.

Pure, and derived from the records alone: `marked` says what a deed makes of the marks, `refusal` which deeds they do
not take. What does not belong here: who may shelve and for how long (`shelving`), which rule suppresses
(`suppression`), when something is due (`ticking`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from event_center.states import STANDING, WAITING, Deed, State, Stimulus

ONCE = "once"


@dataclass(frozen=True, slots=True)
class Shelf:
    """An alarm is out of the queue until a time, UTC nanoseconds, because somebody wants it so."""

    until_ns: int
    by: str
    reason: str
    is_once: bool = False
    """Only until its condition is over."""


@dataclass(frozen=True, slots=True)
class Marks:
    """All of it. Times in UTC nanoseconds, 0 where there is none."""

    shelf: Shelf | None = None
    suppressed_by: str = ""
    """The rule that suppresses it."""
    out_of_service: str = ""
    """What is out of service: the key of the entry."""
    flood: str = ""
    """The flood that it is a member of."""
    is_stale: bool = False
    occurrences: int = 0
    raised_ns: int = 0
    """When it was raised first."""
    standing_ns: int = 0
    """Since when it stands."""
    waiting_ns: int = 0
    """Since when it waits in the queue without anything new: what escalation counts from."""
    steps: int = 0
    """By how many steps its priority was raised since it began to wait."""
    escalated_ns: int = 0

    @property
    def is_set_aside(self) -> bool:
        """It is not in the queue."""
        return self.shelf is not None or bool(self.suppressed_by) or bool(self.out_of_service)

    @property
    def words(self) -> list[str]:
        """What stands beside the state, as words."""
        named = {
            "shelved": self.shelf is not None,
            "suppressed": bool(self.suppressed_by),
            "out_of_service": bool(self.out_of_service),
            "stale": self.is_stale,
        }
        return [word for word, is_so in named.items() if is_so]


def refusal(marks: Marks, stimulus: Stimulus) -> str:
    """Why the marks do not take a deed; empty if they do."""
    missing = {
        Deed.UNSHELVED: marks.shelf is None,
        Deed.UNSUPPRESSED: not marks.suppressed_by,
        Deed.BROUGHT_BACK: not marks.out_of_service,
    }
    if missing.get(stimulus.deed, False):
        return "not set aside that way"
    same = {
        Deed.SUPPRESSED: marks.suppressed_by == stimulus.reference,
        Deed.TAKEN_OUT: marks.out_of_service == stimulus.reference,
        Deed.GROUPED: marks.flood == stimulus.reference,
        Deed.STALE: marks.is_stale,
    }
    return "so already" if same.get(stimulus.deed, False) else ""


def marked(marks: Marks, stimulus: Stimulus, before: State, after: State) -> Marks:
    """The marks after a deed that led from a state to a state."""
    at_ns = stimulus.at_ns
    was_aside = marks.is_set_aside
    marks = _done(marks, stimulus)
    if before not in STANDING and after in STANDING:
        marks = replace(marks, standing_ns=at_ns)
    if after in WAITING and before not in WAITING:
        marks = replace(marks, waiting_ns=at_ns, steps=0, escalated_ns=0)
    elif after in WAITING and was_aside and not marks.is_set_aside:
        # Nobody could see it meanwhile: the time that somebody has for it begins now.
        marks = replace(marks, waiting_ns=at_ns)
    elif after not in WAITING:
        marks = replace(marks, waiting_ns=0)
    return marks if after in STANDING else replace(marks, standing_ns=0, is_stale=False)


def _done(marks: Marks, stimulus: Stimulus) -> Marks:
    match stimulus.deed:
        case Deed.RAISED:
            return replace(marks, occurrences=1, raised_ns=stimulus.at_ns)
        case Deed.RAISED_AGAIN:
            return replace(marks, occurrences=marks.occurrences + 1)
        case Deed.SHELVED:
            shelf = Shelf(stimulus.until_ns, stimulus.actor, stimulus.text, stimulus.reference == ONCE)
            return replace(marks, shelf=shelf)
        case Deed.UNSHELVED:
            return replace(marks, shelf=None)
        case Deed.SUPPRESSED:
            return replace(marks, suppressed_by=stimulus.reference)
        case Deed.UNSUPPRESSED:
            return replace(marks, suppressed_by="")
        case Deed.TAKEN_OUT:
            return replace(marks, out_of_service=stimulus.reference)
        case Deed.BROUGHT_BACK:
            return replace(marks, out_of_service="")
        case Deed.GROUPED:
            return replace(marks, flood=stimulus.reference)
        case Deed.STALE:
            return replace(marks, is_stale=True)
        case Deed.ESCALATED:
            return replace(marks, steps=marks.steps + 1, escalated_ns=stimulus.at_ns, waiting_ns=stimulus.at_ns)
        case _:
            return marks
