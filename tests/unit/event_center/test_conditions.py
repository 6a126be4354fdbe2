"""What ails trueframe itself becomes an alarm, once, and returns when it is over."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from event_center.alarm import State
from event_center.book import EventBook
from event_center.conditions import ConditionReport, fold_condition
from event_center.event import Event, Kind
from event_center.filters import EventFilter
from event_center.folding import CameraMemory
from event_center.wire import condition_report
from mesh.clocks import ManualClock
from mesh.conditions import condition_payload, system_subject
from mesh.errors import InvalidArgument
from mesh.store import SqliteStore

FULL = ConditionReport("broker", "ring_memory", "", True, 5, "Broker: rings are full", 3)
OVER = replace(FULL, holds=False, since_ns=9, summary="")


def told(*reports: ConditionReport) -> dict[str, Event]:
    events: dict[str, Event] = {}
    memory = CameraMemory()
    for report in reports:
        memory, event = fold_condition(memory, events.get(memory.open_event), report, 100 + report.since_ns)
        if event is not None:
            events[event.id] = event
    return events


def test_a_condition_is_an_alarm_of_the_system_that_returns_when_it_is_over() -> None:
    (event,) = told(FULL).values()
    assert (event.kind, event.camera, event.detector) == (Kind.SYSTEM, "", "broker.ring_memory")
    assert (event.summary, event.priority, event.alarm.state) == ("Broker: rings are full", 3, State.UNACKNOWLEDGED)
    (event,) = told(FULL, OVER).values()
    assert (event.ended_ns, event.alarm.state, event.version) == (9, State.RETURNED, 2)
    assert event.summary == "Broker: rings are full", "what it was stays to be read"


def test_a_condition_told_again_changes_nothing_and_one_that_never_held_is_no_event() -> None:
    assert told(FULL, FULL, OVER, OVER, FULL) == told(FULL, OVER)
    assert told(OVER) == {}


def test_a_condition_that_comes_again_is_another_event() -> None:
    events = list(told(FULL, OVER, replace(FULL, since_ns=20)).values())
    assert [event.alarm.state for event in events] == [State.RETURNED, State.UNACKNOWLEDGED]


def test_a_condition_that_grows_worse_changes_its_event() -> None:
    (event,) = told(FULL, replace(FULL, since_ns=6, summary="Broker: worse", priority=1)).values()
    assert (event.summary, event.priority, event.version, event.started_ns) == ("Broker: worse", 1, 2, 5)


def test_conditions_told_in_any_order_end_as_the_newest_says() -> None:
    for order in permutations((FULL, OVER, replace(FULL, since_ns=20), replace(OVER, since_ns=30))):
        assert all(event.ended_ns for event in told(*order).values())


def test_conditions_of_several_things_do_not_touch_each_other() -> None:
    others = [replace(FULL, service="pixels"), replace(FULL, name="cpu"), replace(FULL, camera="gate")]
    assert len({one.key for one in (FULL, *others)}) == 4


def test_what_a_service_says_is_what_the_event_center_understands() -> None:
    payload = condition_payload("broker", "clock", holds=True, since_ns=5, summary="Drifts", camera="gate", priority=2)
    assert condition_report(payload) == ConditionReport("broker", "clock", "gate", True, 5, "Drifts", 2)
    assert system_subject("broker") == "trueframe.system.broker"
    with pytest.raises(InvalidArgument):
        system_subject("broker.>")
    with pytest.raises(InvalidArgument):
        condition_payload("broker", "ring memory", holds=True, since_ns=5, summary="")


@pytest.mark.parametrize(
    "change",
    [{"service": "a.b"}, {"condition": ""}, {"camera": "Ä"}, {"since_ns": -1}, {"summary": ""}, {"since_ns": None}],
)
def test_a_condition_that_cannot_be_understood_is_refused(change: dict[str, object]) -> None:
    body = json.loads(condition_payload("broker", "cpu", holds=True, since_ns=5, summary="Broker is busy"))
    with pytest.raises(InvalidArgument):
        condition_report(json.dumps(body | change).encode())


async def test_the_book_remembers_a_condition_over_its_own_restart(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        await (await EventBook.open(store, ManualClock())).tell_condition(FULL)
        book = await EventBook.open(store, ManualClock())
        await book.tell_condition(FULL)
        ((event,), _) = await book.page(EventFilter(kinds=[Kind.SYSTEM]))
        assert event.alarm.records[0].stimulus.actor == "broker"
        await book.tell_condition(OVER)
        ((event,), _) = await book.page(EventFilter(states=[State.RETURNED]))
        assert event.ended_ns == 9
