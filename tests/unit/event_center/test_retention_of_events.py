"""Old events go, and only those: never one that is open, held, named by a case, or not told yet; and a record stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from event_center.book import EventBook
from event_center.cases.book import CaseBook
from event_center.cases.case import Deed, Entry
from event_center.errors import UnknownEvent
from event_center.event import Event, Kind
from event_center.folding import AnomalyReport
from event_center.work.retention import Retention
from event_center.work.retiring import Holds
from mesh.clocks import ManualClock
from mesh.config import load
from mesh.errors import InvalidArgument, Unavailable
from mesh.ids import FrameId
from mesh.outbox import OutboxPublisher
from mesh.store import SqliteStore, scan
from trueframe.v1.footage_pb2 import Hold

SECOND = 1_000_000_000


@dataclass
class Footage:
    """Stands for the media center: what it holds, or that it is away."""

    held: list[Hold] = field(default_factory=list)
    is_away: bool = False

    async def holds(self) -> list[Hold]:
        if self.is_away:
            raise Unavailable("media center", "is away")
        return self.held


class Bus:
    """Stands for the bus: takes everything."""

    async def publish(self, subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        return 1

    def incarnation_ns(self) -> int:
        return 1


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        yield store


async def tell(book: EventBook, name: str, at_s: int, *, is_over: bool = True) -> None:
    # What goes on takes in all that its source raises later: it has a source of its own.
    camera = "yard" if is_over else "gate"
    frame = FrameId(camera, 1, at_s)
    await book.tell_anomaly(AnomalyReport(
        id=name, version=1, camera=camera, camera_name="", detector="motion@1", first=frame, peak=frame, last=frame,
        started_ns=at_s * SECOND, peak_ns=at_s * SECOND, ended_ns=(at_s + 5) * SECOND if is_over else 0, score=0.9,
        boxes=(), regions=(),
    ))  # fmt: skip


async def test_only_what_is_closed_told_free_and_in_no_case_goes_and_a_record_stays(store: SqliteStore) -> None:
    clock, footage = ManualClock(), Footage()
    book, cases = await EventBook.open(store, clock), await CaseBook.open(store, clock)
    fake: Any = footage
    retention = await Retention.open(store, book, cases, fake, 30, clock)
    for number, name in enumerate(("gone", "unseen", "held", "cased", "open"), 1):
        await tell(book, name, 1000 * number, is_over=name != "open")
        if name != "unseen":
            await book.acknowledge(name, "anna", "")
    case = await cases.begin("fence", "anna")
    await cases.do(case.id, [Entry(0, "anna", Deed.EVENT_ADDED, event="cased", camera="yard")])
    footage.held = [Hold(camera="yard", from_ns=3001 * SECOND, to_ns=3002 * SECOND)]
    clock.advance(29 * 86_400)
    assert await retention.sweep() == 0
    clock.advance(2 * 86_400)
    # Nobody on the bus has heard of it yet.
    assert await retention.sweep() == 0
    sent: Any = Bus()
    await OutboxPublisher(book.events, sent).send_pending()
    footage.is_away = True
    with pytest.raises(Unavailable):
        await retention.sweep()
    footage.is_away = False
    await tell(book, "young", 9000)
    await book.acknowledge("young", "anna", "")
    assert await retention.sweep() == 1
    with pytest.raises(UnknownEvent):
        await book.get("gone")
    assert {one.id async for one in scan(book.events)} == {"unseen", "held", "cased", "open", "young"}
    (record,) = [one.body async for one in scan(await store.collection("retired_events", ["at_ns"]))]
    assert [(one[0], one[7]) for one in record["events"]] == [("gone", "anna")]
    footage.held = []
    await cases.do(case.id, [Entry(0, "anna", Deed.EVENT_REMOVED, event="cased", camera="yard")])
    assert await retention.sweep() == 2
    assert await retention.sweep() == 0


async def test_very_many_that_may_not_go_hide_none_that_may(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("event_center.work.retention.MOST_LOOKED_AT", 2)
    clock = ManualClock()
    book, cases = await EventBook.open(store, clock), await CaseBook.open(store, clock)
    fake: Any = Footage()
    retention = await Retention.open(store, book, cases, fake, 30, clock)
    for number in range(6):
        clock.advance(1)
        await tell(book, f"e{number}", 1000 * number + 1000)
        if number == 5:
            await book.acknowledge("e5", "anna", "")
    sent: Any = Bus()
    await OutboxPublisher(book.events, sent).send_pending()
    clock.advance(31 * 86_400)
    assert [await retention.sweep() for _ in range(3)] == [0, 0, 1]
    await book.acknowledge("e0", "anna", "")
    await OutboxPublisher(book.events, sent).send_pending()
    clock.advance(31 * 86_400)
    # From the beginning again.
    assert sum([await retention.sweep() for _ in range(6)]) == 1


async def test_an_event_that_changes_meanwhile_stays(store: SqliteStore) -> None:
    book = await EventBook.open(store, ManualClock())
    await tell(book, "a1", 1000)
    assert not await book.retire("a1", lambda event: False)
    assert await book.retire("a1", lambda event: True)
    assert not await book.retire("a1", lambda event: True)


_spans = st.lists(st.tuples(st.sampled_from(["yard", "gate"]), st.integers(0, 50), st.integers(0, 20)), max_size=8)


# A long one that began before a short one reaches on.
@example([("yard", 0, 20), ("yard", 1, 0)], 10, 0)
@given(_spans, st.integers(0, 60), st.integers(0, 20))
def test_a_hold_touches_exactly_what_it_overlaps(spans: list[tuple[str, int, int]], begin: int, length: int) -> None:
    holds = [(camera, from_ns, from_ns + long) for camera, from_ns, long in spans]
    event = Event("e1", Kind.ANOMALY, "yard", "motion@1", "", 2, begin, ended_ns=begin + length)
    naive = any(camera == "yard" and from_ns <= begin + length and begin <= to_ns for camera, from_ns, to_ns in holds)
    assert Holds(holds).touch(event) == naive


@pytest.mark.parametrize("setting", ["keep_events_days=3", 'reports=["hourly"]', 'reports=["daily", "daily"]'])
def test_a_configuration_that_cannot_be_is_refused(setting: str) -> None:
    with pytest.raises(InvalidArgument, match=r"event_center\."):
        load(None, [f"event_center.{setting}"], {})
    assert load(None, ["event_center.keep_events_days=8", 'event_center.reports=["weekly"]'], {}).event_center.reports
