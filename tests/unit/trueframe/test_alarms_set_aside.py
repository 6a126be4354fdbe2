"""What is set aside leaves an operator's queue, and comes back as something that waits."""

from __future__ import annotations

from dataclasses import replace

from trueframe.alarms import EventSight, urgency
from trueframe.commands.records import event_record
from trueframe.sights import event_sight
from trueframe.v1 import events_pb2

WAITS = EventSight("e1", "anomaly", "yard", "motion@1", "Motion", alarm="unacknowledged", priority=1)


def test_an_alarm_that_is_set_aside_does_not_wait_and_stands_behind_what_does() -> None:
    aside = replace(WAITS, id="e2", is_set_aside=True)
    assert WAITS.waits
    assert not aside.waits
    less = replace(WAITS, id="e3", priority=4)
    assert sorted([aside, less, WAITS], key=urgency) == [WAITS, less, aside]


def test_views_and_scripts_are_told_that_it_is_set_aside_and_why() -> None:
    message = events_pb2.Event(
        id="e1", alarm_state=events_pb2.ALARM_STATE_UNACKNOWLEDGED, set_aside=True, shelved_until_ns=5,
        shelved_by="anna", shelve_reason="painters", occurrences=3,
    )  # fmt: skip
    assert event_sight(message).is_set_aside
    record = event_record(message)
    assert (record["set_aside"], record["occurrences"]) == (True, 3)
    assert isinstance(record["shelf"], dict)
    assert (record["shelf"]["by"], record["shelf"]["reason"]) == ("anna", "painters")
