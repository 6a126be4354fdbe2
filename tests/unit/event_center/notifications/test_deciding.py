"""What of an alarm's story is told, and to whom: the story alone decides, whoever looks and whenever."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_center.alarm import Alarm, apply
from event_center.errors import InvalidStimulus
from event_center.notifications.deciding import Case, Site, Telling, advance
from event_center.notifications.notifier import steps_of
from event_center.notifications.rules import Facts, Occasion, Rule
from event_center.states import Deed, State, Stimulus
from mesh.schedule import parse_window

S = 1_000_000_000
UTC = ZoneInfo("UTC")
FACTS = Facts("gate", "north", "anomaly", "motion", 2, ("door",))
MONDAY_NOON = 1_767_614_400 * S  # 2026-01-05 12:00 UTC
EVERYTHING = frozenset({Occasion.RAISE, Occasion.ESCALATE, Occasion.RETURN})
DEEDS = [
    Deed.RAISED_AGAIN, Deed.RETURNED, Deed.ACKNOWLEDGED, Deed.COMMENTED, Deed.SHELVED, Deed.UNSHELVED, Deed.SUPPRESSED,
    Deed.UNSUPPRESSED, Deed.ESCALATED, Deed.REALARMED, Deed.STALE,
]  # fmt: skip


def story(*deeds: tuple[Deed, float]) -> Alarm:
    """An alarm to which these happened, at seconds after noon; what its state does not take is left out."""
    alarm = Alarm()
    for deed, at_s in deeds:
        try:
            alarm = apply(alarm, Stimulus(deed, "somebody", MONDAY_NOON + round(at_s * S), "x", reference=deed.value))
        except InvalidStimulus:
            continue
    return alarm


def told(alarm: Alarm, *rules: Rule, now_s: float = 10_000, facts: Facts = FACTS) -> list[tuple[str, str, float]]:
    """Rule, occasion and second of all that is told."""
    steps, was_aside = steps_of(alarm, 0)
    site = Site({rule.id: rule for rule in rules}, UTC)
    _, tellings = advance(Case(), steps, facts, site, MONDAY_NOON + round(now_s * S), is_aside=was_aside)
    return [(one.rule, one.occasion.value, (one.at_ns - MONDAY_NOON) / S) for one in tellings]


def rule(**fields: object) -> Rule:
    return Rule("r", ("mail",), **({"on": EVERYTHING} | fields))  # type: ignore[arg-type]


def test_an_alarm_is_told_when_it_is_raised_escalates_and_returns() -> None:
    alarm = story((Deed.RAISED, 0), (Deed.ESCALATED, 5), (Deed.RETURNED, 9))
    assert told(alarm, rule()) == [("r", "raise", 0), ("r", "escalate", 5), ("r", "return", 9)]
    assert told(alarm, rule(on=frozenset({Occasion.ESCALATE}))) == [("r", "escalate", 5)]


def test_a_condition_that_was_over_at_once_is_told_all_the_same() -> None:
    assert told(story((Deed.RAISED, 0), (Deed.RETURNED, 0)), rule()) == [("r", "raise", 0), ("r", "return", 0)]


def test_what_does_not_last_is_not_told_and_what_does_is_told_then() -> None:
    lasting = rule(on=frozenset({Occasion.RAISE}), lasting_ns=10 * S)
    assert told(story((Deed.RAISED, 0), (Deed.RETURNED, 9.9)), lasting) == []
    assert told(story((Deed.RAISED, 0), (Deed.RETURNED, 10.1)), lasting) == [("r", "raise", 10)]
    assert told(story((Deed.RAISED, 0)), lasting, now_s=9) == []
    assert told(story((Deed.RAISED, 0)), lasting, now_s=10) == [("r", "raise", 10)]


def test_an_alarm_that_nobody_acknowledges_goes_to_the_next_channel() -> None:
    rising = rule(on=frozenset({Occasion.RAISE}), unacknowledged_ns=60 * S, then=("boss",))
    assert told(story((Deed.RAISED, 0)), rising, now_s=59) == [("r", "raise", 0)]
    assert told(story((Deed.RAISED, 0)), rising) == [("r", "raise", 0), ("r", "unacknowledged", 60)]
    assert told(story((Deed.RAISED, 0), (Deed.ACKNOWLEDGED, 59)), rising) == [("r", "raise", 0)]
    # It is over, and still nobody has seen it.
    assert ("r", "unacknowledged", 60) in told(story((Deed.RAISED, 0), (Deed.RETURNED, 5)), rising)


def test_what_did_not_last_goes_to_nobody_later_either() -> None:
    rising = rule(on=frozenset({Occasion.RAISE}), lasting_ns=10 * S, unacknowledged_ns=60 * S, then=("boss",))
    assert told(story((Deed.RAISED, 0), (Deed.RETURNED, 5)), rising) == []


def test_what_is_set_aside_is_not_told_until_it_comes_back() -> None:
    aside = story((Deed.RAISED, 0), (Deed.SUPPRESSED, 0), (Deed.ESCALATED, 5), (Deed.UNSUPPRESSED, 20))
    assert told(aside, rule()) == [("r", "raise", 20)]


def test_what_comes_again_while_it_waits_is_not_told_again() -> None:
    again = story((Deed.RAISED, 0), (Deed.RAISED_AGAIN, 5), (Deed.RETURNED, 6), (Deed.RAISED_AGAIN, 7))
    assert told(again, rule(on=frozenset({Occasion.RAISE}))) == [("r", "raise", 0)]
    # Who was told that it is over has to be told that it is not.
    assert [what for _, what, _ in told(again, rule())] == ["raise", "return", "raise"]
    seen = story((Deed.RAISED, 0), (Deed.ACKNOWLEDGED, 1), (Deed.RAISED_AGAIN, 5))
    assert [what for _, what, _ in told(seen, rule())] == ["raise", "raise"]


@pytest.mark.parametrize(
    "fields",
    [
        {"priorities": (1,)}, {"cameras": ("yard-*",)}, {"groups": ("south",)}, {"regions": ("gate",)},
        {"kinds": ("system",)}, {"detectors": ("signal",)}, {"schedule": (parse_window("tue 00:00-24:00"),)},
    ],
)  # fmt: skip
def test_what_a_rule_does_not_concern_it_does_not_tell(fields: dict[str, object]) -> None:
    assert told(story((Deed.RAISED, 0)), rule(**fields)) == []


def test_what_a_rule_names_it_tells() -> None:
    named = rule(
        priorities=(1, 2), cameras=("gat*",), groups=("north",), regions=("door",), kinds=("anomaly",),
        detectors=("motion",), schedule=(parse_window("mon 11:00-13:00"),),
    )  # fmt: skip
    assert told(story((Deed.RAISED, 0)), named) == [("r", "raise", 0)]


RULES = [
    rule(),
    Rule("lasting", ("mail",), on=EVERYTHING, lasting_ns=7 * S),
    Rule("rising", ("mail",), unacknowledged_ns=11 * S, then=("boss",)),
    Rule("both", ("mail",), lasting_ns=3 * S, unacknowledged_ns=5 * S, then=("boss",)),
]
stories = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 12)), max_size=14)


def moments(gaps: list[tuple[Deed, int]]) -> Alarm:
    at_s, deeds = 0, [(Deed.RAISED, 0.0)]
    for deed, gap in gaps:
        at_s += gap
        deeds.append((deed, float(at_s)))
    return story(*deeds)


def upto(alarm: Alarm, now_ns: int) -> Alarm:
    """The alarm as it was at a moment, its records of that moment included."""
    past = Alarm()
    for record in alarm.records:
        if record.stimulus.at_ns <= now_ns:
            past = apply(past, record.stimulus)
    return past


@settings(max_examples=150, deadline=None)
@given(stories, st.lists(st.integers(0, 200), max_size=12))
def test_what_is_told_does_not_depend_on_when_somebody_looks(gaps: list[tuple[Deed, int]], looks: list[int]) -> None:
    alarm = moments(gaps)
    site = Site({one.id: one for one in RULES}, UTC)
    end_ns = MONDAY_NOON + 1000 * S
    steps, was_aside = steps_of(alarm, 0)
    _, at_once = advance(Case(), steps, FACTS, site, end_ns, is_aside=was_aside)
    case, bit_by_bit = Case(), list[Telling]()
    for now_ns in [*(MONDAY_NOON + one * S for one in sorted(looks)), end_ns]:
        steps, was_aside = steps_of(upto(alarm, now_ns), case.seen)
        case, more = advance(case, steps, FACTS, site, now_ns, is_aside=was_aside)
        bit_by_bit += more
    key = lambda one: (one.at_ns, one.number, one.rule, one.occasion)  # noqa: E731
    assert sorted(bit_by_bit, key=key) == sorted(at_once, key=key)
    assert len(set(bit_by_bit)) == len(bit_by_bit)
    assert case.due_ns == 0


@settings(max_examples=150, deadline=None)
@given(stories)
def test_every_alarm_that_waits_for_a_human_is_told_to_an_open_rule(gaps: list[tuple[Deed, int]]) -> None:
    alarm = moments(gaps)
    tellings = told(alarm, rule(on=frozenset({Occasion.RAISE})))
    if alarm.is_in_queue and alarm.state is State.UNACKNOWLEDGED:
        assert tellings
