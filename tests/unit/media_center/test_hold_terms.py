"""Holds of users and the terms of all: made, changed, released, run out; random sequences against a plain model."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_center.archive import Archive
from media_center.event_intake import event_report
from media_center.hold_book import HoldBook
from media_center.holds import EventReport, HeldFootage, Hold, Rolls, made_by_hand
from media_center.retention import DELETE, SECOND_NS, CameraStock, HoldOf, Rule, Stored, plan
from mesh.clocks import ManualClock
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from mesh.store import SqliteStore
from trueframe.v1 import events_pb2

DAY_NS = 86_400 * SECOND_NS
ROLLS = Rolls(1 * SECOND_NS, 2 * SECOND_NS, 30 * DAY_NS)


def asked(clock: ManualClock, name: str = "hold:a", first: int = 10, last: int = 20, expires_ns: int = 0) -> Hold:
    return made_by_hand(
        name, "gate", first * SECOND_NS, last * SECOND_NS, reason="evidence", owner="anna", expires_ns=expires_ns,
        now_ns=clock.utc_ns(),
    )  # fmt: skip


def event(version: int, *, is_over: bool = False, is_closed: bool = False) -> EventReport:
    ended_ns = 105 * SECOND_NS if is_over else 0
    return EventReport("e1", version, "gate", "Motion", 100 * SECOND_NS, 100 * SECOND_NS, ended_ns, None, is_closed)


async def opened(store: SqliteStore, clock: ManualClock) -> HoldBook:
    return await HoldBook.open(store, Archive(Path("/nowhere"), {}, {}), ROLLS, clock)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_hold_by_hand_is_stored_changed_and_released(tmp_path: Path, clock: ManualClock) -> None:
    async with SqliteStore(tmp_path / "store") as store:
        book = await opened(store, clock)
        await book.put_by_hand(asked(clock))
        changed = await book.put_by_hand(asked(clock, last=30))
        assert changed.version == 2
        again = await opened(store, clock)
        assert again.held.is_held("gate", 25 * SECOND_NS, 26 * SECOND_NS)
        await again.release("hold:a", "otto", "the case is closed")
        assert not again.held.is_held("gate", 0, 99 * SECOND_NS)
        with pytest.raises(NotFound):
            await again.release("hold:a", "otto", "again")
        with pytest.raises(NotFound):
            await again.put_by_hand(asked(clock))
        # It is kept as a record, and holds nothing after a start either.
        record = (await again.documents.get("hold:a")).body
        assert (record["ended_by"], record["ended_why"]) == ("otto", "the case is closed")
        assert not (await opened(store, clock)).held.is_held("gate", 0, 99 * SECOND_NS)
        clock.advance(401 * 86_400)
        await opened(store, clock)
        assert await again.documents.find("hold:a") is None


async def test_a_term_ends_by_itself_and_is_recorded(tmp_path: Path, clock: ManualClock) -> None:
    async with SqliteStore(tmp_path / "store") as store:
        book = await opened(store, clock)
        await book.put_by_hand(asked(clock, expires_ns=clock.utc_ns() + 5 * SECOND_NS))
        await book.end_expired()
        assert len(await book.list(None)) == 1
        clock.advance(5)
        await book.end_expired()
        assert await book.list(None) == []
        assert (await book.documents.get("hold:a")).body["ended_by"] == ""


async def test_holds_of_events_end_some_time_after_the_event_was_closed(tmp_path: Path, clock: ManualClock) -> None:
    async with SqliteStore(tmp_path / "store") as store:
        book = await opened(store, clock)
        await book.tell_event(event(1))
        await book.tell_event(event(2, is_over=True))
        assert (await book.find("event:e1")).expires_ns == 0
        await book.tell_event(event(3, is_over=True, is_closed=True))
        closed_ns = clock.utc_ns()
        assert (await book.find("event:e1")).expires_ns == closed_ns + 30 * DAY_NS
        # Commented later: the term runs on. Reopened: it is called off.
        clock.advance(86_400)
        await book.tell_event(event(4, is_over=True, is_closed=True))
        assert (await book.find("event:e1")).expires_ns == closed_ns + 30 * DAY_NS
        await book.tell_event(event(5))
        assert (await book.find("event:e1")).expires_ns == 0
        await book.tell_event(event(6, is_over=True, is_closed=True))
        clock.advance(31 * 86_400)
        await book.end_expired()
        assert await book.list(None) == []
        await book.tell_event(event(7, is_over=True, is_closed=True))
        assert await book.list(None) == []


async def test_holds_of_events_are_not_changed_by_hand_but_may_be_released(tmp_path: Path, clock: ManualClock) -> None:
    async with SqliteStore(tmp_path / "store") as store:
        book = await opened(store, clock)
        await book.tell_event(event(1))
        with pytest.raises(FailedPrecondition):
            await book.put_by_hand(asked(clock, "event:e1"))
        await book.release("event:e1", "anna", "of no interest")
        assert await book.list(None) == []


def test_holds_that_cannot_be_are_refused(clock: ManualClock) -> None:
    for change in ({"last": 10}, {"first": 0}, {"expires_ns": 1}):
        with pytest.raises(InvalidArgument):
            asked(clock, **change)  # type: ignore[arg-type]


def test_an_event_is_closed_when_it_is_over_and_waits_for_nobody() -> None:
    def is_closed(state: events_pb2.AlarmState.ValueType, ended_ns: int) -> bool:
        message = events_pb2.Event(
            id="e1", kind=events_pb2.EVENT_KIND_ANOMALY, camera="gate", version=1, started_ns=5, alarm_state=state,
            ended_ns=ended_ns,
        )  # fmt: skip
        found = event_report(message.SerializeToString())
        assert found is not None
        return found.is_closed

    assert is_closed(events_pb2.ALARM_STATE_NORMAL, 9)
    assert is_closed(events_pb2.ALARM_STATE_UNSPECIFIED, 9)
    assert not is_closed(events_pb2.ALARM_STATE_NORMAL, 0)
    assert not is_closed(events_pb2.ALARM_STATE_RETURNED_UNACKNOWLEDGED, 9)
    assert not is_closed(events_pb2.ALARM_STATE_ACKNOWLEDGED, 9)


_DEEDS = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 3), st.integers(1, 60), st.integers(1, 20), st.integers(0, 5)),
    st.tuples(st.just("release"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(1, 4)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("plan"), st.integers(1, 500)),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(_DEEDS, max_size=14))
def test_whatever_is_done_to_holds_a_held_frame_is_in_no_step_that_deletes(deeds: list[tuple[int, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), deeds))


async def _play(folder: Path, deeds: list[tuple[int, ...]]) -> None:
    clock = ManualClock()
    parts = [Stored("gate", str(n), 1, n, n * 2 * SECOND_NS, (n + 1) * 2 * SECOND_NS - 1, 10) for n in range(40)]
    model: dict[str, Hold] = {}
    async with SqliteStore(folder / "store") as store:
        book = await opened(store, clock)
        for what, *values in deeds:
            kind = str(what)
            if kind == "put":
                name, first, length, term_s = f"hold:{values[0]}", values[1], values[2], values[3]
                hold = asked(clock, name, first, first + length, clock.utc_ns() + term_s * SECOND_NS if term_s else 0)
                try:
                    model[name] = await book.put_by_hand(hold)
                except NotFound:  # it has ended, and its id with it
                    assert name not in model
            elif kind == "release" and f"hold:{values[0]}" in model:
                await book.release(f"hold:{values[0]}", "anna", "why")
                del model[f"hold:{values[0]}"]
            elif kind == "wait":
                clock.advance(values[0])
                await book.end_expired()
                model = {name: one for name, one in model.items() if not 0 < one.expires_ns <= clock.utc_ns()}
            elif kind == "restart":
                book = await opened(store, clock)
            elif kind == "plan":
                stock = CameraStock("gate", Rule(max_bytes=values[0]), parts, 400)
                held = book.held.copy()
                steps = list(plan(1, 1, [stock], None, None, _asks(held)))
                gone = [step.segment for step in steps if step.action == DELETE]
                for hold in model.values():
                    assert not any(one.from_ns <= hold.to_ns and one.to_ns >= hold.from_ns for one in gone)
                kept = [one for one in parts if one not in gone]
                free = [one for one in kept if held.hold_of("gate", one.from_ns, one.to_ns) is None]
                assert len(kept) * 10 <= values[0] or not free
            spans = sorted((one.from_ns, one.to_ns) for one in model.values())
            assert book.held.spans("gate") == spans
            assert {replace(one, is_confirmed=False).id for one in await book.list(None)} == set(model)


def _asks(held: HeldFootage) -> HoldOf:
    return lambda one: held.hold_of(one.camera, one.from_ns, one.to_ns)
