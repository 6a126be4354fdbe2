"""The book of events over a real store: what is told is on disk with its message, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from event_center.alarm import State
from event_center.book import EventBook
from event_center.errors import UnknownEvent
from event_center.event import Box, Clip
from event_center.filters import EventFilter
from event_center.folding import AnomalyReport, CameraReport, HoldReport
from event_center.suppression import Rule, While
from mesh.clocks import ManualClock
from mesh.ids import FrameId
from mesh.outbox import PENDING_FIELD, OutboxPublisher
from mesh.store import SqliteStore
from tests.one_stream import OneStream
from trueframe.v1 import events_pb2

SECOND = 1_000_000_000


class Hears(OneStream):
    """Stands for the bus: keeps what it is given."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, events_pb2.Event]] = []

    async def publish(self, subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        self.told.append((event_id, type, events_pb2.Event.FromString(payload)))
        return len(self.told)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        yield store


@pytest.fixture
async def book(store: SqliteStore) -> EventBook:
    return await EventBook.open(store, ManualClock())


def anomaly(version: int = 1, *, last: int = 10, is_over: bool = False) -> AnomalyReport:
    first, peak = FrameId("yard", 1, 3), FrameId("yard", 1, 5)
    return AnomalyReport(
        id="a1", version=version, camera="yard", camera_name="", detector="motion@1", first=first, peak=peak,
        last=FrameId("yard", 1, last), started_ns=SECOND, peak_ns=2 * SECOND, ended_ns=3 * SECOND if is_over else 0,
        score=0.9, boxes=(Box(0.1, 0.2, 0.3, 0.4, "motion", 0.9),), regions=(), inspection="yard.motion",
    )  # fmt: skip


def hold(version: int = 1, *, is_confirmed: bool = False) -> HoldReport:
    return HoldReport("a1", "yard", Clip(0, 13 * SECOND, is_confirmed, version))


async def test_a_change_and_its_message_are_one_document(book: EventBook) -> None:
    await book.tell_anomaly(anomaly())
    await book.acknowledge("a1", "anna", "")
    document = await book.events.get("a1")
    assert document.version == 2
    assert document.body[PENDING_FIELD] == 2
    bus = Hears()
    await OutboxPublisher(book.events, bus).send_pending()
    assert [(event_id, type_) for event_id, type_, _ in bus.told] == [
        ("event-a1-1", "trueframe.event.raised"),
        ("event-a1-2", "trueframe.event.acknowledged"),
    ]
    assert bus.told[1][2].alarm_state == events_pb2.ALARM_STATE_ACKNOWLEDGED


async def test_what_is_told_again_is_neither_written_nor_told_on(book: EventBook) -> None:
    for _ in range(3):
        await book.tell_anomaly(anomaly(2, is_over=True))
        await book.tell_anomaly(anomaly(1))
        await book.tell_hold(hold())
        await book.acknowledge("a1", "anna", "seen")
        await book.comment("a1", "anna", "a fox", "r1")
    event = await book.get("a1")
    assert event.version == (await book.events.get("a1")).version == 4
    assert [record.stimulus.deed.value for record in event.alarm.records] == [
        "raised", "returned", "acknowledged", "commented",
    ]  # fmt: skip
    assert event.alarm.state is State.NORMAL


async def test_the_publisher_marking_what_it_sent_does_not_get_in_the_way(book: EventBook) -> None:
    bus = Hears()
    async with OutboxPublisher(book.events, bus) as publisher:
        book.on_stored = publisher.wake
        await book.tell_anomaly(anomaly())
        for number in range(50):
            await book.comment("a1", "anna", f"remark {number}", "")
    await OutboxPublisher(book.events, bus).send_pending()
    event = await book.get("a1")
    assert event.version == 51
    # At least once: what was sent when the publisher ended, and not marked, is sent again.
    versions = [message.version for _, _, message in bus.told]
    assert versions[-1] == max(versions) == 51
    assert (await book.events.get("a1")).body[PENDING_FIELD] < 0


async def test_a_clip_is_kept_over_later_news_and_an_older_one_is_not_taken(book: EventBook) -> None:
    await book.tell_anomaly(anomaly())
    await book.tell_hold(hold(3, is_confirmed=True))
    await book.tell_hold(hold(2))
    await book.tell_anomaly(anomaly(2, is_over=True))
    event = await book.get("a1")
    assert event.clip == Clip(0, 13 * SECOND, True, 3)


async def test_a_hold_for_an_unknown_event_is_left_alone(book: EventBook) -> None:
    await book.tell_hold(hold())
    with pytest.raises(UnknownEvent):
        await book.get("a1")


async def test_footage_stays_confirmed_over_a_restart_and_a_repeated_end(store: SqliteStore) -> None:
    book = await EventBook.open(store, ManualClock())
    await book.tell_anomaly(anomaly())
    await book.tell_watermarks([FrameId("yard", 1, 10)])
    assert (await book.get("a1")).is_confirmed
    book = await EventBook.open(store, ManualClock())
    await book.tell_anomaly(anomaly(2, is_over=True))
    assert (await book.get("a1")).is_confirmed
    await book.tell_anomaly(anomaly(3, last=20, is_over=True))
    assert not (await book.get("a1")).is_confirmed
    await book.tell_watermarks([FrameId("yard", 1, 25)])
    assert (await book.get("a1")).is_confirmed


async def test_an_event_that_went_before_its_footage_came_keeps_no_other_from_being_confirmed(
    store: SqliteStore, book: EventBook
) -> None:
    await book.tell_anomaly(anomaly())
    await (await store.collection("events")).delete("a1")
    await book.tell_anomaly(replace(anomaly(), id="a2", inspection="yard.other"))
    await book.tell_watermarks([FrameId("yard", 1, 10)])
    assert (await book.get("a2")).is_confirmed


async def test_an_alarm_that_comes_again_under_a_rule_made_meanwhile_is_suppressed(book: EventBook) -> None:
    await book.tell_anomaly(anomaly(is_over=True))
    await book.acknowledge("a1", "anna", "")
    rule = Rule("r", While.SCHEDULE, "mon-sun 00:00-24:00", ("yard",), (), "works")
    await book.put_rule(rule, "max")
    await book.tell_anomaly(anomaly(2))
    marks = (await book.get("a1")).alarm.marks
    assert (marks.suppressed_by, marks.is_set_aside) == ("r", True)
    await book.delete_rule("r", "max", "")
    event = await book.get("a1")
    assert not event.alarm.marks.is_set_aside
    assert [row.id for row in book.desk.standing] == ["a1"]


async def test_a_lost_camera_is_an_alarm_that_returns_when_it_is_live(book: EventBook) -> None:
    await book.tell_camera(CameraReport("gate", "Nordtor", "lost", SECOND, ""))
    ((event,), _) = await book.page(EventFilter(states=[State.UNACKNOWLEDGED]))
    assert event.alarm.records[0].stimulus.actor == "broker"
    await book.tell_camera(CameraReport("gate", "Nordtor", "live", 2 * SECOND, ""))
    ((event,), _) = await book.page(EventFilter(states=[State.RETURNED]))
    assert event.ended_ns == 2 * SECOND


async def test_a_wrong_clock_and_a_lost_picture_of_one_camera_are_two_alarms(book: EventBook) -> None:
    await book.tell_camera(CameraReport("gate", "", "clock-wrong", SECOND, "It jumped.", about="clock"))
    await book.tell_camera(CameraReport("gate", "", "lost", SECOND, ""))
    await book.tell_camera(CameraReport("gate", "", "live", 2 * SECOND, ""))
    (events, _) = await book.page(EventFilter())
    states = {event.detector: event.alarm.state for event in events}
    assert states == {"camera-clock": State.UNACKNOWLEDGED, "camera-state": State.RETURNED}
    await book.tell_camera(CameraReport("gate", "", "clock-good", 3 * SECOND, "", about="clock"))
    (events, _) = await book.page(EventFilter(states=[State.RETURNED]))
    assert len(events) == 2


async def test_camera_trouble_told_again_after_a_kill_between_two_writes_changes_nothing(store: SqliteStore) -> None:
    book = await EventBook.open(store, ManualClock())
    lost = CameraReport("gate", "", "lost", SECOND, "")
    await book.tell_camera(lost)
    # As if it was killed before the camera's memory was written.
    await (await store.collection("cameras")).delete("gate")
    ((before,), _) = await book.page(EventFilter())
    await book.tell_camera(lost)
    ((after,), _) = await book.page(EventFilter())
    assert after == before
    await book.tell_camera(replace(lost, state="live", since_ns=2 * SECOND))
    assert (await book.get(after.id)).alarm.state is State.RETURNED


async def test_events_are_paged_by_the_state_of_their_alarms(book: EventBook) -> None:
    for number in range(5):
        await book.tell_anomaly(
            replace(anomaly(), id=f"a{number}", started_ns=(number + 1) * SECOND, inspection=f"{number}")
        )
    await book.acknowledge("a2", "anna", "")
    waiting, token = await book.page(EventFilter(states=[State.UNACKNOWLEDGED]), limit=3)
    more, end = await book.page(EventFilter(states=[State.UNACKNOWLEDGED]), limit=3, page_token=token)
    assert [event.id for event in [*waiting, *more]] == ["a4", "a3", "a1", "a0"]
    assert not end
