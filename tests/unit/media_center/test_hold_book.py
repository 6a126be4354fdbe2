"""The book of holds over a real store and really recorded footage."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from media_center.archive import Archive
from media_center.hold_book import HoldBook
from media_center.holds import EventReport, Hold, Rolls
from mesh.clocks import ManualClock
from mesh.ids import FrameId
from mesh.outbox import OutboxPublisher
from mesh.store import SqliteStore
from tests.footage import EPOCH, SECOND, Script, archive_of, record
from tests.one_stream import OneStream
from tests.support import auntil

ROLLS = Rolls(1 * SECOND, 2 * SECOND)
RECORDED_S = 8


class Hears(OneStream):
    """Stands for the bus: keeps what it is given."""

    def __init__(self) -> None:
        self.told: list[dict[str, object]] = []

    async def publish(self, subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        self.told.append(json.loads(payload) | {"subject": subject, "message": event_id})
        return len(self.told)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Eight seconds of the camera "gate"."""
    record(tmp_path / "media", Script().start().frames(RECORDED_S * 10).end().items)
    return archive_of(tmp_path / "media")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "holds.sqlite") as store:
        yield store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def book(store: SqliteStore, archive: Archive, clock: ManualClock) -> HoldBook:
    return await HoldBook.open(store, archive, ROLLS, clock)


def report(version: int = 1, *, ended_s: float = 0, last: int = 20, camera: str = "gate") -> EventReport:
    ended_ns = EPOCH + round(ended_s * SECOND) if ended_s else 0
    return EventReport(
        "e1", version, camera, "Motion", EPOCH + 2 * SECOND, EPOCH + 2 * SECOND, ended_ns, FrameId(camera, EPOCH, last)
    )


@contextlib.asynccontextmanager
async def watching(book: HoldBook, settled_ns: int = 0) -> AsyncIterator[None]:
    task = asyncio.create_task(book.watch_footage(lambda: settled_ns))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def only(book: HoldBook) -> Hold:
    (hold,) = await book.list(None)
    return hold


async def test_a_clip_that_is_recorded_whole_is_confirmed(book: HoldBook) -> None:
    await book.tell_event(report(ended_s=5))
    async with watching(book):
        await auntil(lambda: confirmed(book), 5, "confirmed")
    hold = await only(book)
    assert (hold.from_ns, hold.to_ns) == (EPOCH + 1 * SECOND, EPOCH + 7 * SECOND)
    bus = Hears()
    await OutboxPublisher(book.documents, bus).send_pending()
    assert [(told["version"], told["confirmed"], told["message"]) for told in bus.told] == [
        (1, False, "hold-e1-1"),
        (2, True, "hold-e1-2"),
    ]
    assert {told["subject"] for told in bus.told} == {"trueframe.footage.held.gate"}


async def test_a_clip_whose_end_is_not_recorded_yet_waits_for_it(book: HoldBook, clock: ManualClock) -> None:
    await book.tell_event(report(ended_s=7))
    async with watching(book):
        await asyncio.sleep(0.1)
        clock.advance(60)
        await asyncio.sleep(1.2)
        assert not (await only(book)).is_confirmed


async def test_a_camera_whose_footage_still_grows_is_waited_for(book: HoldBook, clock: ManualClock) -> None:
    await book.tell_event(report(ended_s=7))
    async with watching(book, settled_ns=EPOCH + 9 * SECOND):
        await asyncio.sleep(0.2)
        assert not (await only(book)).is_confirmed
        clock.advance(6)
        await auntil(lambda: confirmed(book), 5, "confirmed once it is quiet")


async def test_a_clip_of_a_camera_that_was_never_recorded_is_held_all_the_same(
    book: HoldBook, clock: ManualClock
) -> None:
    await book.tell_event(report(ended_s=3, camera="hall"))
    async with watching(book, settled_ns=EPOCH + 9 * SECOND):
        await asyncio.sleep(0.1)
        clock.advance(6)
        await auntil(lambda: confirmed(book), 5, "confirmed")
    assert book.held.is_held("hall", EPOCH + 2 * SECOND, EPOCH + 2 * SECOND)


async def test_a_clip_reaches_behind_the_last_frame_of_an_event_that_goes_on(book: HoldBook) -> None:
    await book.tell_event(report(last=20))
    await book.tell_event(report(2, last=50))
    async with watching(book):

        async def has_grown() -> bool:
            return (await only(book)).to_ns == EPOCH + 7 * SECOND

        await auntil(has_grown, 5, "the last frame is looked up")
    hold = await only(book)
    assert not hold.is_confirmed
    assert book.held.is_held("gate", EPOCH + 7 * SECOND, EPOCH + 8 * SECOND)
    assert not book.held.is_held("gate", EPOCH + 8 * SECOND, EPOCH + 9 * SECOND)


async def test_holds_and_what_they_wait_for_survive_a_restart(store: SqliteStore, archive: Archive) -> None:
    book = await HoldBook.open(store, archive, ROLLS, ManualClock())
    await book.tell_event(report())
    book = await HoldBook.open(store, archive, ROLLS, ManualClock())
    assert book.held.is_held("gate", EPOCH + 2 * SECOND, EPOCH + 3 * SECOND)
    await book.tell_event(report(2, ended_s=3))
    async with watching(book):
        await auntil(lambda: confirmed(book), 5, "confirmed")
    await book.tell_event(report(2, ended_s=3))
    assert (await only(book)).version == 3


async def test_holds_are_listed_by_camera_and_beginning(book: HoldBook) -> None:
    for number, camera in ((1, "gate"), (2, "hall"), (3, "gate")):
        told = replace(report(camera=camera), id=f"e{number}", started_ns=EPOCH + (9 - number) * SECOND)
        await book.tell_event(told)
    assert [hold.event for hold in await book.list(None)] == ["e3", "e1", "e2"]
    assert [hold.event for hold in await book.list(["hall"])] == ["e2"]
    assert await book.list([]) == []


async def confirmed(book: HoldBook) -> bool:
    return (await only(book)).is_confirmed
