"""Shelving, staleness, escalation and re-alarm: what people order and what time does, each once, and nothing unseen."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from event_center.alarm import Alarm, State, follow, replay
from event_center.deeds import MAX_RECORDS, acknowledge
from event_center.documents import from_document, to_document
from event_center.errors import InvalidStimulus, NoAlarm, TooManyRecords
from event_center.event import Event, Kind
from event_center.policy import Policy
from event_center.shelving import shelve, unshelve
from event_center.ticking import next_due_ns, tick
from mesh.errors import FailedPrecondition, InvalidArgument

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
POLICY = Policy(stale_ns=24 * HOUR, escalate_ns=(2 * HOUR, HOUR, 0), realarm_ns=0)
EVENT = Event("e1", Kind.ANOMALY, "yard", "motion@1", "Motion on yard", 3, SECOND, changed_ns=SECOND)


def raised(at_ns: int = SECOND) -> Event:
    return replace(EVENT, alarm=follow(Alarm(), holds=True, actor="aggregate", at_ns=at_ns), changed_ns=at_ns)


def returned(event: Event, at_ns: int) -> Event:
    alarm = follow(event.alarm, holds=False, actor="aggregate", at_ns=at_ns)
    return replace(event, alarm=alarm, ended_ns=at_ns, changed_ns=at_ns)


def shelved(event: Event, for_ns: int = HOUR, now_ns: int = 2 * SECOND) -> Event:
    event_on_shelf = shelve(event, "anna", "painters", for_ns, 12 * HOUR, now_ns)
    assert event_on_shelf is not None
    return event_on_shelf


def seen(event: Event, now_ns: int) -> Event:
    return acknowledge(event, "ben", "", now_ns) or event


def test_shelving_to_and_fro_does_not_fill_the_records_and_seeing_stays_possible() -> None:
    event = raised()
    while len(event.alarm.records) < MAX_RECORDS:
        event = unshelve(shelved(event), "anna", "", 3 * SECOND) or event
    assert not event.alarm.marks.is_set_aside
    with pytest.raises(TooManyRecords, match="out of service"):
        shelved(event)
    assert seen(event, HOUR).alarm.state is State.ACKNOWLEDGED


def test_a_shelved_alarm_leaves_the_queue_and_keeps_its_state() -> None:
    event = shelved(raised())
    assert not event.alarm.is_in_queue
    assert event.alarm.state is State.UNACKNOWLEDGED
    shelf = event.alarm.marks.shelf
    assert shelf is not None
    assert (shelf.by, shelf.reason, shelf.until_ns) == ("anna", "painters", 2 * SECOND + HOUR)


def test_a_shelved_alarm_comes_back_by_itself_at_its_time_and_not_before() -> None:
    event = shelved(raised())
    assert next_due_ns(event, POLICY) == 2 * SECOND + HOUR
    assert tick(event, POLICY, 2 * SECOND + HOUR - 1) is None
    event = tick(event, POLICY, 2 * SECOND + HOUR) or event
    assert event.alarm.is_in_queue
    assert tick(event, POLICY, 2 * SECOND + HOUR) is None


def test_an_alarm_that_was_seen_waits_again_when_it_comes_back_and_still_holds() -> None:
    event = seen(shelved(raised()), 3 * SECOND)
    assert event.alarm.state is State.ACKNOWLEDGED
    event = unshelve(event, "anna", "", 4 * SECOND) or event
    assert event.alarm.state is State.UNACKNOWLEDGED
    assert event.alarm.acknowledged_by == ""


def test_an_alarm_that_returned_on_the_shelf_is_seen_afterwards() -> None:
    event = returned(shelved(raised()), 5 * SECOND)
    assert event.alarm.state is State.RETURNED
    event = tick(event, POLICY, 2 * HOUR) or event
    assert event.alarm.is_in_queue


def test_shelving_for_once_ends_with_the_condition_and_at_the_longest_time() -> None:
    event = shelved(raised(), 0)
    over = returned(event, 5 * SECOND)
    back = tick(over, POLICY, 5 * SECOND)
    assert back is not None
    assert back.alarm.marks.shelf is None
    assert back.alarm.state is State.RETURNED
    assert (tick(event, POLICY, 12 * HOUR + 2 * SECOND) or event).alarm.marks.shelf is None


def test_shelving_for_once_what_is_over_is_refused_and_for_a_time_is_not() -> None:
    event = returned(raised(), 2 * SECOND)
    with pytest.raises(FailedPrecondition, match="it is"):
        shelve(event, "anna", "painters", 0, 12 * HOUR, 3 * SECOND)
    assert shelved(event).alarm.marks.shelf


@pytest.mark.parametrize("duration_ns", [-1, 12 * HOUR + 1, 1 << 62])
def test_shelving_longer_than_the_site_allows_is_refused(duration_ns: int) -> None:
    with pytest.raises(InvalidArgument, match="12 h"):
        shelve(raised(), "anna", "painters", duration_ns, 12 * HOUR, 2 * SECOND)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "bell \a"])
def test_shelving_without_a_reason_is_refused(reason: str) -> None:
    with pytest.raises(InvalidArgument):
        shelve(raised(), "anna", reason, HOUR, 12 * HOUR, 2 * SECOND)


def test_an_event_without_an_alarm_is_not_shelved_and_names_the_alarm_it_is_part_of() -> None:
    with pytest.raises(NoAlarm, match="alarm leader"):
        shelve(replace(EVENT, folded_into="leader"), "anna", "painters", HOUR, 12 * HOUR, 2 * SECOND)


def test_the_same_order_repeated_is_one_shelving_and_a_later_one_is_longer() -> None:
    event = shelved(raised())
    assert shelve(event, "anna", "painters", HOUR, 12 * HOUR, 3 * SECOND) is None
    longer = shelve(event, "anna", "painters", 2 * HOUR, 12 * HOUR, 3 * SECOND)
    assert longer is not None
    assert longer.alarm.marks.shelf is not None
    assert longer.alarm.marks.shelf.until_ns == 3 * SECOND + 2 * HOUR
    assert unshelve(raised(), "anna", "", 3 * SECOND) is None


def test_priority_is_raised_once_a_step_while_nobody_looks_however_late_the_clock_comes() -> None:
    event = raised()
    assert tick(event, POLICY, HOUR) is None
    event = tick(event, POLICY, 20 * HOUR) or event
    assert (event.shown_priority, event.priority) == (2, 3)
    assert tick(event, POLICY, 20 * HOUR) is None
    event = tick(event, POLICY, 22 * HOUR) or event
    assert event.shown_priority == 1
    assert next_due_ns(event, POLICY) == SECOND + 24 * HOUR, "only staleness is left"


def test_what_is_seen_or_set_aside_does_not_escalate_and_counts_anew_when_it_is_back() -> None:
    assert tick(seen(raised(), 2 * SECOND), POLICY, 20 * HOUR) is None
    event = shelved(raised(), 10 * HOUR)
    event = tick(event, POLICY, 10 * HOUR + 2 * SECOND) or event
    assert event.shown_priority == 3
    assert next_due_ns(event, POLICY) == 11 * HOUR + 2 * SECOND


def test_an_alarm_that_is_raised_again_after_it_was_seen_has_its_own_priority_again() -> None:
    event = tick(raised(), POLICY, 2 * HOUR) or raised()
    event = returned(seen(event, 3 * HOUR), 4 * HOUR)
    again = follow(event.alarm, holds=True, actor="aggregate", at_ns=5 * HOUR)
    assert replace(event, alarm=again).shown_priority == 3


def test_an_alarm_that_stands_too_long_is_stale_once_until_it_is_laid_to_rest() -> None:
    policy = replace(POLICY, escalate_ns=(0, 0, 0))
    event = seen(raised(), 2 * SECOND)
    event = tick(event, policy, SECOND + 24 * HOUR) or event
    assert event.alarm.marks.is_stale
    assert next_due_ns(event, policy) == 0
    assert not returned(event, 25 * HOUR).alarm.marks.is_stale


def test_what_was_seen_long_ago_and_holds_has_to_be_seen_again() -> None:
    policy = Policy(stale_ns=0, realarm_ns=HOUR)
    event = seen(raised(), 2 * SECOND)
    event = tick(event, policy, 2 * SECOND + HOUR) or event
    assert event.alarm.state is State.UNACKNOWLEDGED
    assert tick(seen(event, 2 * HOUR), policy, 2 * HOUR) is None


def test_everything_that_stands_beside_the_state_survives_its_document_and_replays() -> None:
    event = shelved(tick(raised(), POLICY, 2 * HOUR) or raised(), HOUR, 3 * HOUR)
    assert from_document("e1", json.loads(json.dumps(to_document(event)))) == event
    assert replay(event.alarm.records) == event.alarm


def test_a_document_of_before_there_were_marks_is_read_and_has_them_from_its_records() -> None:
    event = seen(raised(), 2 * SECOND)
    body = to_document(event)
    old = {key: body[key] for key in (
        "kind", "camera", "detector", "summary", "priority", "started_ns", "ended_ns", "score", "peak_ns", "version",
        "changed_ns", "is_confirmed", "source_version", "inspection", "first", "peak", "last", "boxes", "alarm_state",
        "acknowledged_by", "acknowledged_ns", "records", "clip",
    )}  # fmt: skip
    assert from_document("e1", old) == event
    assert from_document("e1", old).alarm.marks.standing_ns == SECOND


def test_taking_off_the_shelf_what_is_on_none_is_refused_by_the_machine() -> None:
    from event_center.alarm import Deed, Stimulus, apply

    with pytest.raises(InvalidStimulus, match="not set aside"):
        apply(raised().alarm, Stimulus(Deed.UNSHELVED, "anna", 2))
