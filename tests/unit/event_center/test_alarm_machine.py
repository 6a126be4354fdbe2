"""The alarm machine: no state outside the model, every alarm is seen in the end, records tell everything."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_center.alarm import HOLDING, TRANSITIONS, WAITING, Alarm, Deed, State, Stimulus, apply, follow, replay
from event_center.deeds import MAX_CHARACTERS, MAX_COMMENTS, MAX_TEXT_BYTES, acknowledge, comment
from event_center.documents import from_document, to_document
from event_center.errors import InvalidStimulus, NoAlarm, TooManyComments
from event_center.event import Event, Kind
from event_center.marks import refusal
from mesh.errors import FailedPrecondition, InvalidArgument

EVENT = Event("e1", Kind.ANOMALY, "yard", "motion@1", "Motion on yard", 2, 1, changed_ns=1)

stimuli = st.builds(
    Stimulus,
    st.sampled_from(Deed),
    st.sampled_from(["aggregate", "anna", "Øystein"]),
    st.integers(0, 1 << 62),
    st.sampled_from(["", "on my way"]),
    until_ns=st.integers(0, 1 << 62),
    reference=st.sampled_from(["", "once", "rule-1", "gate *"]),
)
sequences = st.lists(stimuli, max_size=30)


def played(sequence: list[Stimulus]) -> Alarm:
    """The alarm after those of the stimuli that it takes; those it refuses change nothing."""
    alarm = Alarm()
    for stimulus in sequence:
        try:
            alarm = apply(alarm, stimulus)
        except InvalidStimulus:
            assert (alarm.state, stimulus.deed) not in TRANSITIONS or refusal(alarm.marks, stimulus)
    return alarm


def raised() -> Event:
    return replace(EVENT, alarm=follow(Alarm(), holds=True, actor="aggregate", at_ns=1))


@given(sequences)
def test_no_sequence_leads_outside_of_the_model(sequence: list[Stimulus]) -> None:
    alarm = played(sequence)
    assert alarm.state in State
    for record in alarm.records:
        assert TRANSITIONS[record.before, record.stimulus.deed] is record.after
    for earlier, later in zip(alarm.records, alarm.records[1:], strict=False):
        assert later.before is earlier.after
        assert later.number == earlier.number + 1


@given(sequences)
def test_records_replay_to_the_state(sequence: list[Stimulus]) -> None:
    alarm = played(sequence)
    assert replay(alarm.records) == alarm


@given(sequences)
def test_an_alarm_is_normal_only_if_somebody_saw_it_since_it_was_raised_last(sequence: list[Stimulus]) -> None:
    alarm = played(sequence)
    since_raised: list[Deed] = []
    for record in alarm.records:
        deed = record.stimulus.deed
        came = deed in (Deed.RAISED, Deed.RAISED_AGAIN, Deed.REALARMED, Deed.UNACKNOWLEDGED)
        came_back = deed in (Deed.UNSHELVED, Deed.UNSUPPRESSED, Deed.BROUGHT_BACK) and record.before in HOLDING
        since_raised = [] if came or came_back else [*since_raised, deed]
    was_seen = Deed.ACKNOWLEDGED in since_raised
    assert (alarm.state in WAITING) == (alarm.state is not State.NONE and not was_seen)
    assert bool(alarm.acknowledged_by) == was_seen


@given(sequences)
def test_from_every_state_an_alarm_can_be_seen_and_laid_to_rest(sequence: list[Stimulus]) -> None:
    event = replace(EVENT, alarm=follow(played(sequence), holds=False, actor="aggregate", at_ns=1))
    event = acknowledge(event, "anna", "", 2) or event
    assert event.alarm.state is State.NORMAL


@given(st.lists(st.booleans(), max_size=20), st.booleans())
def test_the_condition_told_in_any_order_stands_in_the_state(conditions: list[bool], is_seen: bool) -> None:
    event = EVENT
    for now_ns, holds in enumerate(conditions):
        event = replace(event, alarm=follow(event.alarm, holds=holds, actor="aggregate", at_ns=now_ns))
        assert (event.alarm.state in HOLDING) == holds
        again = follow(event.alarm, holds=holds, actor="aggregate", at_ns=now_ns + 1)
        assert again == event.alarm
        if is_seen:
            event = acknowledge(event, "anna", "", now_ns) or event


def test_a_stimulus_that_the_state_does_not_take_tells_the_story() -> None:
    alarm = follow(Alarm(), holds=False, actor="aggregate", at_ns=7)
    with pytest.raises(InvalidStimulus, match="cannot be returned while it is returned_unacknowledged") as caught:
        apply(alarm, Stimulus(Deed.RETURNED, "aggregate", 8))
    assert caught.value.story == (
        "1. none -> unacknowledged: raised by aggregate at 7",
        "2. unacknowledged -> returned_unacknowledged: returned by aggregate at 7",
    )
    assert isinstance(caught.value, FailedPrecondition)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_alarm_raised_again_waits_for_a_human_again() -> None:
    event = acknowledge(raised(), "anna", "", 2)
    assert event is not None
    assert event.alarm.acknowledged_by == "anna"
    alarm = follow(event.alarm, holds=False, actor="aggregate", at_ns=3)
    alarm = follow(alarm, holds=True, actor="aggregate", at_ns=4)
    assert (alarm.state, alarm.acknowledged_by, alarm.acknowledged_ns) == (State.UNACKNOWLEDGED, "", 0)


def test_acknowledging_twice_is_acknowledging_once() -> None:
    event = acknowledge(raised(), "anna", "seen", 2)
    assert event is not None
    assert (event.version, event.changed_ns) == (EVENT.version + 1, 2)
    assert acknowledge(event, "anna", "seen", 3) is None
    assert acknowledge(event, "ben", "", 3) is None
    assert [said.text for said in event.alarm.comments] == ["seen"]


def test_a_new_remark_on_an_acknowledged_alarm_is_a_comment() -> None:
    event = acknowledge(raised(), "anna", "", 2)
    assert event is not None
    event = acknowledge(event, "ben", "a fox", 3)
    assert event is not None
    assert event.alarm.acknowledged_by == "anna"
    assert [(said.actor, said.text) for said in event.alarm.comments] == [("ben", "a fox")]


def test_an_event_that_is_no_alarm_cannot_be_acknowledged_but_commented() -> None:
    with pytest.raises(NoAlarm):
        acknowledge(EVENT, "anna", "", 2)
    event = comment(EVENT, "anna", "noted", "", 2)
    assert event is not None
    assert event.alarm.state is State.NONE


def test_the_same_request_comments_once_and_another_persons_is_another() -> None:
    event = comment(raised(), "anna", "a fox", "r1", 2)
    assert event is not None
    assert comment(event, "anna", "a fox", "r1", 3) is None
    event = comment(event, "ben", "a fox", "r1", 4)
    assert event is not None
    event = comment(event, "ben", "a fox", "", 5)
    assert event is not None
    assert len(event.alarm.comments) == 3


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (MAX_CHARACTERS + 1), "red \x1b[31m", "bell \a", "null \0"])
def test_a_comment_that_is_empty_long_or_steers_a_terminal_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        comment(raised(), "anna", text, "", 2)


def test_a_comment_may_be_of_any_script_and_of_several_lines() -> None:
    event = comment(raised(), "anna", " Füchsin 🦊\r\nзабор\t3 ", "", 2)
    assert event is not None
    assert event.alarm.comments[0].text == "Füchsin 🦊\nзабор\t3"


def test_comments_of_an_event_are_bounded_in_number_and_in_bytes() -> None:
    event = raised()
    for number in range(MAX_COMMENTS):
        event = comment(event, "anna", f"{number}", "", 2) or event
    with pytest.raises(TooManyComments):
        comment(event, "anna", "one more", "", 3)
    event = raised()
    long = "🦊" * MAX_CHARACTERS
    for _ in range(MAX_TEXT_BYTES // len(long.encode())):
        event = comment(event, "anna", long, "", 2) or event
    with pytest.raises(TooManyComments):
        comment(event, "anna", long, "", 3)
    acknowledged = acknowledge(event, "anna", "", 3)
    assert acknowledged is not None


@given(sequences)
def test_an_alarm_survives_its_document(sequence: list[Stimulus]) -> None:
    event = replace(EVENT, alarm=played(sequence))
    assert from_document("e1", json.loads(json.dumps(to_document(event)))) == event
