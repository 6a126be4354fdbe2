"""Cases: records tell everything, nothing is removed, the folder is what its manifest says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_center.cases.book import CaseBook, from_document, to_document
from event_center.cases.case import (
    MAX_EVENTS,
    MAX_RECORDS,
    Clip,
    Deed,
    Entry,
    apply,
    checked_clip,
    line,
    note,
    opened,
    replay,
)
from mesh.clocks import ManualClock
from mesh.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from mesh.store import SqliteStore
from trueframe.case_folder import CaseFolder, check

CLIP = Clip("gate", 1_000, 2_000)
CASE = opened("c1", "Broken  fence", "anna", 5)

entries = st.builds(
    Entry, st.integers(6, 1 << 40), st.sampled_from(["anna", "otto"]),
    st.sampled_from([deed for deed in Deed if deed is not Deed.OPENED]), st.sampled_from(["seen", "정문"]),
    st.sampled_from(["e1", "e2"]), st.sampled_from(["gate", "yard"]), st.sampled_from([CLIP, Clip("yard", 1, 2)]),
)  # fmt: skip


@given(st.lists(entries, max_size=20))
def test_records_tell_the_case_and_every_deed_is_one(sequence: list[Entry]) -> None:
    case, done = CASE, [CASE.records[0]]
    for entry in sequence:
        try:
            case = apply(case, entry)
        except FailedPrecondition:
            assert entry.deed is Deed.REOPENED or not case.is_open
            continue
        done.append(entry)
    assert list(case.records) == done
    assert replay("c1", case.records) == case
    assert from_document("c1", to_document(case)) == case


def test_an_event_is_taken_out_of_a_case_whoever_put_it_in_meanwhile() -> None:
    case = apply(CASE, Entry(6, "anna", Deed.EVENT_ADDED, event="e1", camera="gate"))
    # The camera was not known yet when this was asked.
    assert apply(case, Entry(7, "otto", Deed.EVENT_REMOVED, event="e1")).events == ()


def test_a_case_that_is_fuller_than_is_allowed_now_is_read() -> None:
    notes = [Entry(6 + number, "anna", Deed.NOTED, "seen") for number in range(MAX_RECORDS + 1)]
    assert len(replay("c1", [*CASE.records, *notes]).records) == MAX_RECORDS + 2


async def test_a_search_finds_cases_whose_characters_stand_together(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "cases.sqlite") as store:
        book = await CaseBook.open(store, ManualClock())
        for title in ("東京都 都府", "京都府"):
            await book.begin(title, "anna")
        found, _ = await book.page(query="京都府")
        assert [one.title for one in found] == ["京都府"]


def test_a_closed_case_takes_notes_and_nothing_else_until_it_is_reopened() -> None:
    closed = apply(CASE, Entry(6, "anna", Deed.CLOSED, "wind"))
    assert (closed.is_open, closed.outcome, closed.title) == (False, "wind", "Broken fence")
    assert apply(closed, Entry(7, "anna", Deed.NOTED, "repaired")).records[-1].text == "repaired"
    with pytest.raises(FailedPrecondition, match="closed"):
        apply(closed, Entry(7, "anna", Deed.EVENT_ADDED, event="e1"))
    assert apply(closed, Entry(7, "anna", Deed.REOPENED)).outcome == ""


def test_what_is_written_and_named_is_checked() -> None:
    with pytest.raises(InvalidArgument, match="control"):
        line("title", "a\x1b[2J", 200)
    with pytest.raises(InvalidArgument):
        note("  ")
    with pytest.raises(InvalidArgument, match="a week at most"):
        checked_clip(Clip("gate", 2_000, 1_000))
    case = CASE
    for number in range(MAX_EVENTS):
        case = apply(case, Entry(6, "anna", Deed.EVENT_ADDED, event=f"e{number}"))
    with pytest.raises(ResourceExhausted, match="events"):
        apply(case, Entry(6, "anna", Deed.EVENT_ADDED, event="one more"))


async def test_cases_are_stored_found_in_any_script_and_known_by_their_events(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        book = await CaseBook.open(store, ManualClock())
        case = await book.begin("정문 침입", "anna")
        other = await book.begin("围栏", "anna")
        added = [Entry(0, "anna", Deed.EVENT_ADDED, event="e1", camera="gate"), Entry(0, "anna", Deed.NOTED, "野猫")]
        case = await book.do(case.id, added, "r1")
        assert await book.do(case.id, added, "r1") == case
        assert (await book.do(case.id, added[:1])).records == case.records
        assert [one.id for one in (await book.page(query="침입 野猫"))[0]] == [case.id]
        assert (await book.page(query="침입 围栏"))[0] == []
        assert (await book.names("e1"), await book.names("e2")) == (True, False)
        await book.do(other.id, [Entry(0, "anna", Deed.CLOSED, "a cat")])
        assert [one.id for one in (await book.page(is_open=True))[0]] == [case.id]
        again = await CaseBook.open(store, ManualClock())
        assert await again.get(case.id) == case
        with pytest.raises(NotFound):
            await again.get("nope")


def test_a_folder_is_good_only_while_every_file_is_as_it_was(tmp_path: Path) -> None:
    folder = CaseFolder(tmp_path)
    folder.write("case", {"title": "정문"}, ["title: 정문"])
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"footage")
    folder.finish("c1", 5)
    assert len(check(tmp_path)["files"]) == 3
    (tmp_path / "clips" / "a.mp4").write_bytes(b"Footage")
    with pytest.raises(DataLoss, match=r"a\.mp4"):
        check(tmp_path)
    (tmp_path / "clips" / "a.mp4").unlink()
    with pytest.raises(DataLoss, match="is not there"):
        check(tmp_path)
    (tmp_path / "clips" / "a.mp4").write_bytes(b"footage")
    (tmp_path / "more.txt").write_text("more")
    with pytest.raises(DataLoss, match="not named"):
        check(tmp_path)
