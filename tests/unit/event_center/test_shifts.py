"""Hand-overs and saved searches over a real store: what is told is what stands, and a note is taken over once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_center.book import EventBook
from event_center.cases.book import CaseBook
from event_center.folding import AnomalyReport
from event_center.shifts.handover import from_document, to_document
from event_center.shifts.handover_book import HandoverBook
from event_center.shifts.searches import SavedSearch, SearchBook, checked_name
from event_center.work import deeds as work
from mesh.clocks import ManualClock
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from mesh.ids import FrameId
from mesh.roles import Role
from mesh.security import Principal
from mesh.store import SqliteStore
from trueframe.v1.events_pb2 import ListEventsRequest

SECOND = 1_000_000_000
ALL = Principal("anna", Role.OPERATOR, None)
YARD = Principal("till", Role.OPERATOR, frozenset({"yard"}))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        yield store


def anomaly(name: str, camera: str, at_s: int) -> AnomalyReport:
    frame = FrameId(camera, 1, at_s)
    return AnomalyReport(
        id=name, version=1, camera=camera, camera_name="", detector="motion@1", first=frame, peak=frame, last=frame,
        started_ns=at_s * SECOND, peak_ns=at_s * SECOND, ended_ns=0, score=0.9, boxes=(), regions=(),
    )  # fmt: skip


async def test_a_note_tells_what_stands_is_set_aside_and_changed_since_the_last_one(store: SqliteStore) -> None:
    clock = ManualClock()
    events = await EventBook.open(store, clock)
    cases = await CaseBook.open(store, clock)
    book = await HandoverBook.open(store, events, cases, clock)
    for number, camera in enumerate(("gate", "yard", "dock"), 1):
        await events.tell_anomaly(anomaly(f"a{number}", camera, 1000 * number))
    await events.acknowledge("a1", "anna", "")
    await events.do("a1", lambda event, now: work.assign(event, "anna", "otto", "", now))
    await events.shelve("a2", "anna", "painters", 3600 * SECOND)
    await events.take_out("dock", "", "maria", "new lens")
    await cases.begin("fence", "anna")
    state = await book.state(ALL)
    assert [(one.id, one.why) for one in state.standing] == [("a1", "seen by anna, otto has it")]
    assert [(one.id, one.why) for one in state.shelved] == [("a2", "shelved by anna: painters")]
    assert [one.why for one in state.out_of_service] == ["taken out by maria: new lens"]
    assert (state.raised, state.acknowledged, state.cases_changed, state.unseen_count) == (3, 1, 1, 0)
    scoped = await book.state(YARD)
    assert (scoped.cameras, scoped.raised, scoped.standing_count) == ({"yard"}, 1, 0)
    clock.advance(1)
    given = await book.give("anna", "lens tomorrow", state)
    assert from_document(given.id, to_document(given)) == given
    clock.advance(60)
    after = await book.state(ALL)
    assert (after.since_ns, after.raised, after.acknowledged, after.cases_changed) == (given.given_ns, 0, 0, 0)
    assert after.standing_count == 1


async def test_a_note_is_taken_over_once_by_somebody_else(store: SqliteStore) -> None:
    events, cases = await EventBook.open(store, ManualClock()), await CaseBook.open(store)
    book = await HandoverBook.open(store, events, cases)
    note = await book.give("anna", "", await book.state(ALL))
    with pytest.raises(FailedPrecondition, match="your own"):
        await book.take(note.id, "anna")
    taken = await book.take(note.id, "otto")
    assert (taken.taken_by, taken.taken_ns > 0) == ("otto", True)
    assert await book.take(note.id, "otto") == taken
    with pytest.raises(FailedPrecondition, match="otto"):
        await book.take(note.id, "till")
    with pytest.raises(NotFound):
        await book.take("nope", "otto")
    assert [one.taken_by for one in (await book.page())[0]] == ["otto"]


async def test_searches_are_kept_by_person_and_shared_ones_are_seen_by_all(store: SqliteStore) -> None:
    book = await SearchBook.open(store)
    wanted = ListEventsRequest(query="정문 고양이", cameras=["gate"], page_size=7)
    await book.put(SavedSearch("anna", "cats", False, wanted, 1))
    await book.put(SavedSearch("anna", "night", True, ListEventsRequest(priorities=[1]), 1))
    await book.put(SavedSearch("otto", "cats", False, ListEventsRequest(query="cat"), 1))
    mine = await (await SearchBook.open(store)).of("anna")
    assert [(one.name, one.owner) for one in mine] == [("cats", "anna"), ("night", "anna")]
    assert mine[0].wanted == ListEventsRequest(query="정문 고양이", cameras=["gate"])
    assert [(one.name, one.owner) for one in await book.of("otto")] == [("cats", "otto"), ("night", "anna")]
    await book.put(SavedSearch("anna", "cats", False, ListEventsRequest(query="dog"), 2))
    assert (await book.of("anna"))[0].wanted.query == "dog"
    await book.delete("anna", "cats")
    with pytest.raises(NotFound):
        await book.delete("otto", "night")
    with pytest.raises(InvalidArgument):
        checked_name("\x1b")


async def test_no_search_of_one_person_is_that_of_another_however_they_are_named(store: SqliteStore) -> None:
    book = await SearchBook.open(store)
    for owner, name in (("a | b", "c"), ("a", "b | c")):
        await book.put(SavedSearch(owner, name, False, ListEventsRequest(), 1))
    await book.delete("a", "b | c")
    assert [one.name for one in await book.of("a | b")] == ["c"]
