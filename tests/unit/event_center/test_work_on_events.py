"""Owner, label, taking back, searching and bulk: pure rules, and the same over a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_center import deeds, shelving
from event_center.alarm import Alarm, Deed, State, Stimulus, follow, replay
from event_center.book import EventBook
from event_center.documents import from_document, to_document
from event_center.event import Event, Kind
from event_center.filters import EventFilter
from event_center.folding import AnomalyReport
from event_center.work import deeds as work
from event_center.work.bulk import MAX_EVENTS, PREVIEW_NS, Bulk, BulkDesk
from event_center.work.labels import Label, Verdict, checked_label
from mesh.clocks import ManualClock
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from mesh.ids import FrameId
from mesh.store import SqliteStore

SECOND = 1_000_000_000
EVENT = Event("e1", Kind.ANOMALY, "yard", "motion@1", "Motion on yard", 2, 1, changed_ns=1)
RAISED = replace(EVENT, alarm=follow(Alarm(), holds=True, actor="aggregate", at_ns=SECOND))


def changed(event: Event | None) -> Event:
    assert event is not None
    return event


def test_an_owner_is_taken_assigned_and_handed_back_each_a_record() -> None:
    event = changed(work.assign(RAISED, "anna", "anna", "", 2 * SECOND))
    assert event.alarm.marks.owner == "anna"
    assert work.assign(event, "otto", "anna", "", 3 * SECOND) is None
    event = changed(work.assign(event, "anna", "김민수", "your floor", 3 * SECOND))
    event = changed(work.assign(event, "김민수", "", "", 4 * SECOND))
    assert event.alarm.marks.owner == ""
    assert [record.stimulus.deed for record in event.alarm.records[1:]] == [
        Deed.ASSIGNED, Deed.ASSIGNED, Deed.HANDED_BACK,
    ]  # fmt: skip
    assert event.alarm.state is State.UNACKNOWLEDGED


def test_what_is_no_alarm_can_be_labelled_and_owned_too() -> None:
    event = changed(work.label(EVENT, "anna", Label(Verdict.FALSE), 2))
    assert changed(work.assign(event, "anna", "anna", "", 3)).alarm.state is State.NONE


def test_labels_are_checked_and_kept_in_one_form() -> None:
    assert checked_label(Verdict.TRUE, " the  door ", ("night", "cat", "cat", " ")) == Label(
        Verdict.TRUE, "the door", ("cat", "night")
    )
    with pytest.raises(InvalidArgument, match="control character"):
        checked_label(Verdict.TRUE, "", ("\x1b[2J",))
    with pytest.raises(InvalidArgument, match="20 at most"):
        checked_label(Verdict.TRUE, "", tuple(str(one) for one in range(21)))


def test_an_undone_acknowledgement_waits_as_if_nobody_had_seen_it() -> None:
    event = changed(deeds.acknowledge(RAISED, "anna", "", 5 * SECOND))
    event = work.undo(event, "anna", 2, 6 * SECOND)
    alarm = event.alarm
    assert (alarm.state, alarm.acknowledged_by, alarm.acknowledged_ns) == (State.UNACKNOWLEDGED, "", 0)
    assert replace(alarm.marks, undoable=()) == replace(RAISED.alarm.marks, undoable=())
    assert [record.stimulus.deed for record in alarm.records[1:]] == [Deed.ACKNOWLEDGED, Deed.UNACKNOWLEDGED]


def test_an_acknowledgement_is_undone_even_if_the_condition_ended_meanwhile() -> None:
    event = changed(deeds.acknowledge(RAISED, "anna", "", 5 * SECOND))
    event = replace(event, alarm=follow(event.alarm, holds=False, actor="aggregate", at_ns=6 * SECOND))
    assert event.alarm.state is State.NORMAL
    event = work.undo(event, "anna", 0, 7 * SECOND)
    assert event.alarm.state is State.RETURNED
    assert event.alarm.marks.waiting_ns == RAISED.alarm.marks.waiting_ns


def test_shelf_label_and_owner_are_put_back_as_they_were() -> None:
    shelved = changed(shelving.shelve(RAISED, "otto", "painters", 60 * SECOND, 3600 * SECOND, 2 * SECOND))
    labelled = changed(work.label(shelved, "otto", Label(Verdict.TRUE), 2 * SECOND))
    owned = changed(work.assign(labelled, "otto", "otto", "", 2 * SECOND))
    event = changed(shelving.shelve(owned, "anna", "longer", 900 * SECOND, 3600 * SECOND, 30 * SECOND))
    event = changed(work.label(event, "anna", Label(Verdict.FALSE, "door"), 31 * SECOND))
    event = changed(work.assign(event, "anna", "", "", 32 * SECOND))
    for _ in range(3):
        event = work.undo(event, "anna", 0, 33 * SECOND)
    marks = event.alarm.marks
    assert (marks.shelf, marks.label, marks.owner) == (
        owned.alarm.marks.shelf, owned.alarm.marks.label, owned.alarm.marks.owner,
    )  # fmt: skip
    with pytest.raises(FailedPrecondition):
        work.undo(event, "anna", 0, 34 * SECOND)


def test_nobody_takes_back_what_another_did_or_what_is_too_old_or_overtaken() -> None:
    event = changed(deeds.acknowledge(RAISED, "anna", "", 5 * SECOND))
    with pytest.raises(PermissionDenied, match="anna"):
        work.undo(event, "otto", 2, 6 * SECOND)
    with pytest.raises(FailedPrecondition, match="11 s ago"):
        work.undo(event, "anna", 2, 16 * SECOND)
    with pytest.raises(FailedPrecondition, match="no such record"):
        work.undo(event, "anna", 9, 6 * SECOND)
    again = replace(event, alarm=follow(follow(event.alarm, holds=False, actor="a", at_ns=6 * SECOND), holds=True,
                                        actor="a", at_ns=7 * SECOND))  # fmt: skip
    with pytest.raises(FailedPrecondition):
        work.undo(again, "anna", 2, 8 * SECOND)
    # Seen by another one since: that stays.
    seen = changed(deeds.acknowledge(again, "otto", "", 8 * SECOND))
    with pytest.raises(FailedPrecondition):
        work.undo(seen, "anna", 2, 9 * SECOND)
    label = changed(work.label(RAISED, "anna", Label(Verdict.TRUE), 5 * SECOND))
    label = changed(work.label(label, "otto", Label(Verdict.FALSE), 6 * SECOND))
    with pytest.raises(FailedPrecondition):
        work.undo(label, "anna", 2, 7 * SECOND)


_DEEDS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), max_size=25)


@given(_DEEDS)
def test_records_and_documents_give_the_same_whatever_was_done_and_undone(chosen: list[tuple[int, int]]) -> None:
    event, now_ns = RAISED, SECOND
    for number, later_s in chosen:
        now_ns += later_s * SECOND
        try:
            after = (
                deeds.acknowledge(event, "anna", "", now_ns) if number == 0
                else work.label(event, "anna", Label(Verdict.FALSE, "door", (str(later_s),)), now_ns) if number == 1
                else work.assign(event, "anna", ("anna", "otto")[later_s % 2], "", now_ns) if number == 2
                else shelving.shelve(event, "anna", "why", (1 + later_s) * SECOND, 99 * SECOND, now_ns) if number == 3
                else shelving.unshelve(event, "anna", "", now_ns) if number == 4
                else replace(event, alarm=follow(event.alarm, holds=later_s % 2 == 0, actor="a", at_ns=now_ns))
                if number == 5
                else work.undo(event, "anna", 0, now_ns)
            )  # fmt: skip
        except FailedPrecondition:
            continue
        event = after or event
    assert replay(event.alarm.records) == event.alarm
    assert from_document("e1", to_document(event)) == event
    assert len(event.alarm.marks.undoable) <= 5


def test_a_preview_confirms_once_soon_and_for_who_previewed() -> None:
    desk = BulkDesk()

    def nothing(event: Event, now_ns: int) -> None:
        return None

    token, preview = desk.preview("anna", ["b", "a", "b"], nothing, 0)
    assert preview.ids == ("b", "a")
    with pytest.raises(NotFound):
        desk.take(token, "otto", 1)
    assert desk.take(token, "anna", 1) is preview
    with pytest.raises(NotFound):
        desk.take(token, "anna", 1)
    token, _ = desk.preview("anna", ["a"], nothing, 0)
    with pytest.raises(NotFound):
        desk.take(token, "anna", PREVIEW_NS + 1)
    with pytest.raises(InvalidArgument):
        desk.preview("anna", [], nothing, 0)
    with pytest.raises(ResourceExhausted):
        desk.preview("anna", [str(one) for one in range(MAX_EVENTS + 1)], nothing, 0)
    desk.note(Bulk("b1", "anna", 0, (("a", 2),), 0, ()))
    assert desk.undoable("b1", "anna", 10 * SECOND).changed == (("a", 2),)
    with pytest.raises(FailedPrecondition):
        desk.undoable("b1", "anna", 11 * SECOND)
    with pytest.raises(PermissionDenied):
        desk.undoable("b1", "otto", 1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        yield store


def anomaly(name: str, camera_name: str, *regions: str, at_s: int) -> AnomalyReport:
    frame = FrameId("yard", 1, at_s)
    return AnomalyReport(
        id=name, version=1, camera="yard", camera_name=camera_name, detector="motion@1", first=frame, peak=frame,
        last=frame, started_ns=at_s * SECOND, peak_ns=at_s * SECOND, ended_ns=0, score=0.9, boxes=(), regions=regions,
    )  # fmt: skip


async def found(book: EventBook, query: str) -> list[str]:
    events, _ = await book.page(EventFilter(query=query))
    return [event.id for event in events]


async def test_events_are_found_by_cameras_regions_comments_labels_and_owners_in_any_script(store: SqliteStore) -> None:
    book = await EventBook.open(store, ManualClock())
    await book.tell_anomaly(anomaly("a1", "정문 카메라", "주차장", at_s=1000))
    await book.tell_anomaly(anomaly("a2", "北门摄像机", "装卸区", at_s=3000))
    await book.tell_anomaly(anomaly("a3", "Hof Süd", "Tür", at_s=5000))
    await book.comment("a1", "anna", "경비원이 확인했습니다", "")
    await book.do("a2", lambda event, now: work.label(event, "anna", Label(Verdict.FALSE, "围栏", ("野猫",)), now))
    await book.do("a3", lambda event, now: work.assign(event, "anna", "Øystein", "", now))
    assert await found(book, "정문") == ["a1"]
    assert await found(book, "주차장") == ["a1"]
    assert await found(book, "확인했습니다") == ["a1"]
    assert await found(book, "摄像机") == ["a2"]
    assert await found(book, "野猫 围栏") == ["a2"]
    assert await found(book, "sud TUR") == ["a3"]
    assert await found(book, "øyst") == ["a3"]
    assert await found(book, "motion") == ["a3", "a2", "a1"]
    assert await found(book, '"motio"') == []
    assert await found(book, "정문 野猫") == []
    assert await found(book, "!?") == []
    # The index knows the pairs; that they do not stand together is seen behind it.
    await book.comment("a1", "anna", "北门 门摄", "")
    assert await found(book, "北门摄") == ["a2"]


async def test_events_from_before_the_search_are_found_after_a_start(store: SqliteStore, tmp_path: Path) -> None:
    old = await store.collection("events", ["started_ns"])
    body = to_document(replace(RAISED, summary="Motion on 정문"))
    del body["words"]
    await old.put("e1", body)
    book = await EventBook.open(store, ManualClock())
    assert await found(book, "정문") == ["e1"]


async def test_lists_are_by_owner_and_verdict(store: SqliteStore) -> None:
    book = await EventBook.open(store, ManualClock())
    for number in (1, 2):
        await book.tell_anomaly(anomaly(f"a{number}", "Yard", at_s=number * 2000))
    await book.do("a1", lambda event, now: work.assign(event, "anna", "anna", "", now))
    await book.do("a2", lambda event, now: work.label(event, "anna", Label(Verdict.UNSURE), now))
    assert [event.id for event in (await book.page(EventFilter(owner="anna")))[0]] == ["a1"]
    assert [event.id for event in (await book.page(EventFilter(verdicts=["unsure"])))[0]] == ["a2"]


def test_a_stimulus_that_names_no_deed_of_its_kind_is_refused() -> None:
    from event_center.alarm import apply
    from event_center.errors import InvalidStimulus

    event = changed(work.label(RAISED, "anna", Label(Verdict.TRUE), 2 * SECOND))
    with pytest.raises(InvalidStimulus):
        apply(event.alarm, Stimulus(Deed.UNDONE, "anna", 3 * SECOND, reference="1"))
