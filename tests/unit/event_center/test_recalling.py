"""After a restart the desk knows what it knew, and does once what came due while nobody ran."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_center.alarm import Deed, State
from event_center.book import EventBook
from event_center.filters import EventFilter
from event_center.folding import AnomalyReport
from event_center.policy import SITE, Policy
from mesh.clocks import ManualClock
from mesh.ids import FrameId
from mesh.store import SqliteStore

SECOND = 1_000_000_000
DAY = 86_400
POLICY = Policy(longest_shelving_ns=30 * DAY * SECOND, escalate_ns=(0, 600 * SECOND, 0), group_flood=0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        yield store


async def told(book: EventBook, clock: ManualClock, name: str, *, camera: str = "yard", is_over: bool = False) -> None:
    frame, now_ns = FrameId(camera, 1, 3), clock.utc_ns()
    await book.tell_anomaly(
        AnomalyReport(name, 2 if is_over else 1, camera, "", "motion@1", frame, frame, frame, now_ns, now_ns,
                      now_ns if is_over else 0, 0.9, (), (), inspection=f"{camera}.motion")
    )  # fmt: skip


async def deeds(book: EventBook, name: str) -> list[Deed]:
    return [record.stimulus.deed for record in (await book.get(name)).alarm.records]


async def test_an_alarm_laid_to_rest_on_the_shelf_comes_off_it_after_a_restart_days_later(store: SqliteStore) -> None:
    clock = ManualClock()
    book = await EventBook.open(store, clock, POLICY)
    await told(book, clock, "a1", is_over=True)
    await book.shelve("a1", "anna", "painters", 10 * DAY * SECOND)
    await book.acknowledge("a1", "anna", "")
    clock.advance(5 * DAY)
    book = await EventBook.open(store, clock, POLICY)
    await book.tick()
    assert (await book.get("a1")).alarm.marks.shelf
    await told(book, clock, "a2")
    assert (await book.get("a2")).folded_into == "a1", "its source is shelved still"
    clock.advance(6 * DAY)
    book = await EventBook.open(store, clock, POLICY)
    await book.tick()
    event = await book.get("a1")
    assert event.alarm.marks.shelf is None
    assert event.alarm.state is State.UNACKNOWLEDGED


async def test_what_came_due_while_nobody_ran_happens_at_the_first_tick_once(store: SqliteStore) -> None:
    clock = ManualClock()
    book = await EventBook.open(store, clock, POLICY)
    await told(book, clock, "a1")
    clock.advance(3 * DAY)
    for _ in range(3):
        book = await EventBook.open(store, clock, POLICY)
        await book.tick()
        await book.tick()
    assert await deeds(book, "a1") == [Deed.RAISED, Deed.ESCALATED, Deed.STALE]
    assert (await book.get("a1")).shown_priority == 2
    assert [event.id for event in (await book.page(EventFilter(is_stale=True)))[0]] == ["a1"]


async def test_a_flood_goes_on_over_a_restart_and_ends_when_it_is_calm(store: SqliteStore) -> None:
    clock = ManualClock()
    book = await EventBook.open(store, clock, POLICY)
    for number in range(12):
        await told(book, clock, f"a{number:02d}", camera=f"cam-{number}")
        clock.advance(1)
    book = await EventBook.open(store, clock, POLICY)
    flood = book.desk.flood_watch.floods[SITE]
    assert (flood.members, flood.first_out) == (12, "a00")
    await told(book, clock, "a99", camera="cam-99")
    await book.tick()
    members, _ = await book.page(EventFilter(flood=flood.id))
    assert len(members) == 13
    assert "13 alarms" in (await book.get(flood.id)).summary
    clock.advance(700)
    await book.tick()
    over = await book.get(flood.id)
    assert over.alarm.state is State.RETURNED
    assert over.summary.startswith("Alarm flood is over: 13 alarms")


async def test_members_that_a_killed_process_left_unmarked_are_marked_after_the_start(store: SqliteStore) -> None:
    clock = ManualClock()
    book = await EventBook.open(store, clock, POLICY)
    for number in range(11):
        await told(book, clock, f"a{number:02d}", camera=f"cam-{number}")
    (flood,) = book.desk.flood_watch.floods.values()
    # As if it was killed behind the flood's own write, before this one.
    document = await book.events.get("a03")
    marks = {key: value for key, value in document.body["marks"].items() if key != "flood"}
    body = {key: value for key, value in document.body.items() if key != "flood"}
    await book.events.put("a03", body | {"marks": marks, "records": document.body["records"][:-1]})
    book = await EventBook.open(store, clock, POLICY)
    await book.tick()
    assert (await book.get("a03")).alarm.marks.flood == flood.id
    assert await deeds(book, "a03") == [Deed.RAISED, Deed.GROUPED]


async def test_an_event_of_before_there_were_marks_is_taken_over_with_all_that_stands(store: SqliteStore) -> None:
    clock = ManualClock()
    book = await EventBook.open(store, clock, POLICY)
    await told(book, clock, "a1")
    document = await book.events.get("a1")
    later = ("format", "marks", "base_priority", "open_members", "members_end_ns", "group", "first_out", "flood_scope",
             "folded_into", "raised_ns")  # fmt: skip
    await book.events.put("a1", {key: value for key, value in document.body.items() if key not in later})
    clock.advance(2 * DAY)
    book = await EventBook.open(store, clock, POLICY)
    await book.tick()
    assert (await book.get("a1")).alarm.marks.is_stale
    assert (await book.events.get("a1")).body["format"] == 2
    event = await book.acknowledge("a1", "anna", "")
    assert event.alarm.state is State.ACKNOWLEDGED
