"""What stands beside the state of an alarm: shelf, suppression, service, flood, owner, label, counts and clocks.

Pure, and derived from the records alone: `marked` says what a deed makes of the marks, `refusal` which deeds they do
not take. What does not belong here: who may shelve and for how long (`shelving`), which rule suppresses
(`suppression`), when something is due (`ticking`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from event_center.states import STANDING, WAITING, Deed, State, Stimulus
from event_center.work.labels import Label

ONCE = "once"
UNDO_NS = 10 * 1_000_000_000
"""So long may a deed be taken back."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """An alarm is out of the queue until a time, UTC nanoseconds, because somebody wants it so."""

    until_ns: int
    by: str
    reason: str
    is_once: bool = False
    """Only until its condition is over."""


@dataclass(frozen=True, slots=True)
class Was:
    """What a deed that may be taken back replaced."""

    deed: Deed
    number: int
    """Of the record."""
    actor: str
    at_ns: int
    before: Marks
    """What stood before it, without what could be taken back then."""


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
    owner: str = ""
    """Who has it in hand."""
    label: Label | None = None
    undoable: tuple[Was, ...] = ()
    """Of each kind of deed that can be taken back the newest, for so long as it can."""

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
    if stimulus.deed in (Deed.UNACKNOWLEDGED, Deed.UNDONE):
        return "" if _undone(marks, stimulus) else "not to be taken back"
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


def marked(marks: Marks, stimulus: Stimulus, before: State, after: State, number: int) -> Marks:
    """The marks after a deed, the record of that number, that led from a state to a state."""
    earlier = marks
    was = _undone(marks, stimulus)
    marks = _restored(marks, was) if was else _timed(marks, stimulus, before, after)
    return replace(marks, undoable=_undoable(earlier, stimulus, after, number))


def _timed(marks: Marks, stimulus: Stimulus, before: State, after: State) -> Marks:
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
        case Deed.ASSIGNED | Deed.HANDED_BACK:
            return replace(marks, owner=stimulus.reference)
        case Deed.LABELLED:
            return replace(marks, label=stimulus.label)
        case Deed.ESCALATED:
            return replace(marks, steps=marks.steps + 1, escalated_ns=stimulus.at_ns, waiting_ns=stimulus.at_ns)
        case _:
            return marks


# By what may be taken back: what makes an end of that, because something newer is so.
_ENDS: dict[Deed, frozenset[Deed]] = {
    Deed.ACKNOWLEDGED: frozenset(),
    Deed.SHELVED: frozenset({Deed.SHELVED, Deed.UNSHELVED}),
    Deed.LABELLED: frozenset({Deed.LABELLED}),
    Deed.ASSIGNED: frozenset({Deed.ASSIGNED, Deed.HANDED_BACK}),
    Deed.HANDED_BACK: frozenset({Deed.ASSIGNED, Deed.HANDED_BACK}),
}


def _undone(marks: Marks, stimulus: Stimulus) -> Was | None:
    """What a deed takes back, if it takes one back and that can be."""
    if stimulus.deed not in (Deed.UNACKNOWLEDGED, Deed.UNDONE):
        return None
    is_acknowledgement = stimulus.deed is Deed.UNACKNOWLEDGED
    for was in marks.undoable:
        if str(was.number) == stimulus.reference and (was.deed is Deed.ACKNOWLEDGED) == is_acknowledgement:
            return was
    return None


def _restored(marks: Marks, was: Was) -> Marks:
    before = was.before
    match was.deed:
        case Deed.ACKNOWLEDGED:
            # As if nobody had seen it: the time that somebody has for it goes on from where it began.
            return replace(marks, waiting_ns=before.waiting_ns, steps=before.steps, escalated_ns=before.escalated_ns,
                           standing_ns=before.standing_ns, is_stale=before.is_stale)  # fmt: skip
        case Deed.SHELVED:
            return replace(marks, shelf=before.shelf)
        case Deed.LABELLED:
            return replace(marks, label=before.label)
        case _:
            return replace(marks, owner=before.owner)


def _undoable(marks: Marks, stimulus: Stimulus, after: State, number: int) -> tuple[Was, ...]:
    """What can be taken back after a deed. `marks`: those before it."""
    kept = [
        was for was in marks.undoable
        if stimulus.at_ns - was.at_ns <= UNDO_NS
        and stimulus.deed not in _ENDS[was.deed]
        and not (was.deed is Deed.ACKNOWLEDGED and after in WAITING)
        and str(was.number) != (stimulus.reference if stimulus.deed in (Deed.UNACKNOWLEDGED, Deed.UNDONE) else "")
    ]  # fmt: skip
    if stimulus.deed in _ENDS:
        before = replace(marks, undoable=())
        kept.append(Was(stimulus.deed, number, stimulus.actor, stimulus.at_ns, before))
    return tuple(kept)
