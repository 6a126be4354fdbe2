"""Events whose documents are in MongoDB, while MongoDB and NATS are killed, paused and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mesh.bus import EVENT_STREAM, Bus, Message, anomaly_subject
from mesh.errors import AlreadyExists, Unavailable
from mesh.outbox import PENDING_FIELD, OutboxEvent, OutboxPublisher, add_event
from mesh.store import Between, Collection
from mesh.store_mongodb import MongoStore
from tests.mongodb_server import MongoServer
from tests.real_peers import require
from tests.support import auntil

if TYPE_CHECKING:
    from .conftest import NatsServer

GATE = anomaly_subject("gate")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    require("mongodb")
    server = MongoServer(tmp_path / "mongodb")
    try:
        server.start()
        yield server
    finally:
        server.kill()


class Site:
    """A writer that does not give up, an outbox and a reader, with what each did."""

    def __init__(self, events: Collection) -> None:
        self.events = events
        self.written: list[str] = []
        self.arrived: list[str] = []
        self.refusals = 0
        self.pause_s = 0.005
        self.is_over = asyncio.Event()

    async def note(self, message: Message) -> None:
        self.arrived.append(message.event_id)

    async def write(self) -> None:
        while not self.is_over.is_set():
            number = len(self.written)
            body = add_event({}, OutboxEvent(GATE, "t", b"x", f"e{number}"))
            try:
                await self.events.put(f"d{number}", body, 0)
            except Unavailable:
                self.refusals += 1
                continue
            except AlreadyExists:
                # Told to be unknown before: now it is known.
                assert self.refusals
            self.written.append(f"e{number}")
            await asyncio.sleep(self.pause_s)


@asynccontextmanager
async def running(server: MongoServer, nats_server: NatsServer, database: str) -> AsyncIterator[Site]:
    async with (
        MongoStore(server.url, database, patience_s=2.0) as store,
        Bus(nats_server.url, nats_server.token, name="test") as bus,
    ):
        await bus.ensure_stream()
        site = Site(await store.collection("events", [PENDING_FIELD]))
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, site.note)
        async with OutboxPublisher(site.events, bus):
            writer = asyncio.create_task(site.write())
            yield site
            site.is_over.set()
            await writer
            await auntil(lambda: len(set(site.arrived)) >= len(site.written), 120, "every event arrives")

            async def is_marked() -> bool:
                return await site.events.count({PENDING_FIELD: Between(None, 0)}) == len(site.written)

            await auntil(is_marked, 120, "every event is marked as sent")


async def test_events_are_neither_lost_nor_doubled_whichever_server_is_killed(
    server: MongoServer, nats_server: NatsServer, database: str
) -> None:
    async with running(server, nats_server, database) as site:
        for kill, start in ((server.kill, server.start), (nats_server.stop, nats_server.start)):
            before = len(site.written)
            await auntil(lambda before=before: len(site.written) > before + 10)  # type: ignore[misc]
            await asyncio.to_thread(kill)
            await asyncio.to_thread(start)
        before = len(site.written)
        await auntil(lambda: len(site.written) > before + 10)
    assert sorted(site.arrived) == sorted(site.written)


@pytest.mark.slow
async def test_a_minute_without_the_store_and_a_minute_without_the_bus_cost_no_event(
    server: MongoServer, nats_server: NatsServer, database: str
) -> None:
    async with running(server, nats_server, database) as site:
        site.pause_s = 0.1
        await auntil(lambda: len(site.written) > 20)
        server.pause(True)
        await asyncio.sleep(60)
        server.pause(False)
        before = len(site.written)
        await auntil(lambda: len(site.written) > before + 20)
        nats_server.stop()
        await asyncio.sleep(60)
        nats_server.start()
        server.kill()
        await asyncio.sleep(5)
        server.start()
        await auntil(lambda: len(site.written) > before + 60)
    assert site.refusals, "the store was away for longer than it is waited for"
    assert sorted(site.arrived) == sorted(site.written)
