"""What of an alarm's story is told, and to which rules: its records and the time in, tellings and a memory out. Pure.

The records of an alarm are the journal: `advance` reads those that are new, in their order, and lets come due between
them what waited (a condition that has to last, an acknowledgement that does not come). So what is told depends on the
story alone, and not on how often or how late somebody looks: a process that was away tells what it would have told.
What does not belong here: quiet hours and rates (`pacing`), storing (`journal`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from event_center.notifications.rules import Facts, Occasion, Rule
from event_center.states import HOLDING, WAITING, Deed, State


@dataclass(frozen=True, slots=True)
class Step:
    """A record of an alarm, as far as it matters here. `is_aside`: the alarm is set aside after it."""

    number: int
    deed: Deed
    at_ns: int
    before: State
    after: State
    is_aside: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """A rule waits until a moment, UTC nanoseconds, and tells then of the record `number`, if that is right still."""

    rule: str
    occasion: Occasion
    number: int
    due_ns: int


@dataclass(frozen=True, slots=True)
class Case:
    """What is remembered of one alarm between two looks."""

    seen: int = 0
    """Number of the last record that was considered."""
    waits: tuple[Wait, ...] = ()

    @property
    def due_ns(self) -> int:
        """When time alone may tell something, UTC nanoseconds; 0 for never."""
        return min((wait.due_ns for wait in self.waits), default=0)


@dataclass(frozen=True, slots=True)
class Telling:
    """A rule tells of an alarm."""

    rule: str
    occasion: Occasion
    number: int
    """Of the record that it is about."""
    at_ns: int


@dataclass(frozen=True, slots=True)
class Site:
    """The rules, and the zone that their times are meant in."""

    rules: Mapping[str, Rule]
    zone: tzinfo


_BACK = frozenset({Deed.UNSHELVED, Deed.UNSUPPRESSED, Deed.BROUGHT_BACK, Deed.UNACKNOWLEDGED, Deed.UNDONE})


def advance(
    case: Case, steps: Iterable[Step], facts: Facts, site: Site, now_ns: int, *, is_aside: bool = False
) -> tuple[Case, list[Telling]]:
    """The case after its new steps and after what came due by `now_ns`, and what is told.

    `is_aside`: whether it was set aside before the steps. `facts` are those of now.
    """
    told: list[Telling] = []
    waits = list(case.waits)
    seen = case.seen
    was_aside = is_aside
    for step in steps:
        seen = step.number
        waits = _come_due(waits, step.at_ns - 1, facts, site, told)
        waits = _after(waits, step, was_aside, site.rules)
        was_aside = step.is_aside
    waits = _come_due(waits, now_ns, facts, site, told)
    return Case(seen, tuple(waits)), told


def _after(waits: list[Wait], step: Step, was_aside: bool, rules: Mapping[str, Rule]) -> list[Wait]:
    """What is waited for after a step."""
    at_ns = step.at_ns
    if step.is_aside or (step.after not in WAITING and step.before in WAITING):
        # Somebody has seen it, or it is out of the queue. What was due at this very moment is the same change: it was
        # raised and set aside at once, and is told to nobody; but what was raised and seen at once was there.
        waits = [wait for wait in waits if not step.is_aside and wait.due_ns <= at_ns
                 and wait.occasion is not Occasion.UNACKNOWLEDGED]  # fmt: skip
    if step.is_aside:
        return waits
    if step.deed is Deed.RETURNED:
        waits = [wait for wait in waits if not _was_short(wait, at_ns, rules)]
    occasion = _occasion(step, was_aside)
    for rule in rules.values():
        if occasion is None or (occasion is Occasion.RAISE and _is_known(step, was_aside, rule)):
            continue
        due_ns = at_ns + (rule.lasting_ns if occasion is Occasion.RAISE else 0)
        if occasion in rule.on:
            waits.append(Wait(rule.id, occasion, step.number, due_ns))
        if occasion is Occasion.RAISE and rule.then and not _waits(waits, rule):
            waits.append(Wait(rule.id, Occasion.UNACKNOWLEDGED, step.number, at_ns + rule.unacknowledged_ns))
    return waits


def _occasion(step: Step, was_aside: bool) -> Occasion | None:
    if step.deed is Deed.RETURNED:
        return Occasion.RETURN
    if step.deed is Deed.ESCALATED:
        return Occasion.ESCALATE
    if step.deed in (Deed.RAISED, Deed.RAISED_AGAIN, Deed.REALARMED):
        return Occasion.RAISE
    came_back = step.deed in _BACK and (was_aside or step.before not in WAITING)
    return Occasion.RAISE if came_back and step.after in WAITING and step.after in HOLDING else None


def _is_known(step: Step, was_aside: bool, rule: Rule) -> bool:
    """Whether who follows this rule knows it already: it waits, and nobody was told that it was over."""
    if was_aside or step.before not in WAITING:
        return False
    return step.before in HOLDING or Occasion.RETURN not in rule.on


def _was_short(wait: Wait, at_ns: int, rules: Mapping[str, Rule]) -> bool:
    """Whether a condition that is over at a moment did not last as the rule wants it."""
    rule = rules.get(wait.rule)
    if rule is None or not rule.lasting_ns:
        return False
    if wait.occasion is Occasion.UNACKNOWLEDGED:
        return at_ns < wait.due_ns - rule.unacknowledged_ns + rule.lasting_ns
    return wait.occasion is Occasion.RAISE and at_ns < wait.due_ns


def _waits(waits: Sequence[Wait], rule: Rule) -> bool:
    return any(wait.rule == rule.id and wait.occasion is Occasion.UNACKNOWLEDGED for wait in waits)


def _come_due(waits: list[Wait], now_ns: int, facts: Facts, site: Site, told: list[Telling]) -> list[Wait]:
    """Tells what is due, the earliest first; returns what is left."""
    due = sorted((wait for wait in waits if wait.due_ns <= now_ns), key=lambda wait: (wait.due_ns, wait.number))
    for wait in due:
        rule = site.rules.get(wait.rule)
        if rule is not None and rule.concerns(facts) and rule.is_scheduled(wait.due_ns, site.zone):
            told.append(Telling(rule.id, wait.occasion, wait.number, wait.due_ns))
    return [wait for wait in waits if wait.due_ns > now_ns]
