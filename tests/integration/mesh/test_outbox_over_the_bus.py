"""The way of an event with real parts: SQLite, outbox, NATS, durable reader."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mesh.bus import EVENT_STREAM, Bus, Message, anomaly_subject
from mesh.outbox import PENDING_FIELD, OutboxEvent, OutboxPublisher, add_event
from mesh.store import Between, SqliteStore
from tests.support import auntil

if TYPE_CHECKING:
    from .conftest import NatsServer

GATE = anomaly_subject("gate")
ROOT = Path(__file__).parents[3]


async def test_events_written_while_the_bus_is_away_arrive_when_it_is_back(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    arrived: list[str] = []

    async def note(message: Message) -> None:
        arrived.append(message.event_id)

    async with (
        SqliteStore(tmp_path / "events.sqlite") as store,
        Bus(nats_server.url, nats_server.token, name="test") as bus,
    ):
        await bus.ensure_stream()
        events = await store.collection("events", [PENDING_FIELD])
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, note)
        async with OutboxPublisher(events, bus) as publisher:
            await events.put("a", add_event({}, OutboxEvent(GATE, "t", b"1", "e1")))
            publisher.wake()
            await auntil(lambda: arrived == ["e1"])
            nats_server.stop()
            await auntil(lambda: not bus.connected)
            for number in (2, 3):
                await events.put(f"doc{number}", add_event({}, OutboxEvent(GATE, "t", b"x", f"e{number}")))
            publisher.wake()
            nats_server.start()
            await auntil(lambda: sorted(arrived) == ["e1", "e2", "e3"])
        assert await events.count({PENDING_FIELD: Between(None, 0)}) == 3


WRITER = textwrap.dedent(
    """
    import asyncio, os, sys
    from mesh.bus import Bus
    from mesh.outbox import PENDING_FIELD, OutboxEvent, OutboxPublisher, add_event
    from mesh.store import SqliteStore

    async def main(path, url, token, subject, kill_after):
        async with SqliteStore(path) as store, Bus(url, token) as bus:
            await bus.ensure_stream()
            events = await store.collection("events", [PENDING_FIELD])
            if not await events.count():
                for n in range(10):
                    await events.put(f"d{n}", add_event({}, OutboxEvent(subject, "t", b"x", f"e{n}")))
            publish, sent = bus.publish, 0

            async def publish_and_die(*arguments, **named):
                nonlocal sent
                number = await publish(*arguments, **named)
                sent += 1
                if sent == int(kill_after):
                    os.kill(os.getpid(), 9)
                return number

            bus.publish = publish_and_die
            await OutboxPublisher(events, bus).send_pending()

    asyncio.run(main(*sys.argv[1:]))
    """
)


@pytest.mark.parametrize("kill_after", [1, 5])
async def test_a_publisher_killed_between_sending_and_marking_loses_and_doubles_nothing(
    nats_server: NatsServer, tmp_path: Path, kill_after: int
) -> None:
    arrived: list[str] = []

    async def note(message: Message) -> None:
        arrived.append(message.event_id)

    for deadly in (kill_after, 0):
        arguments = [str(tmp_path / "s"), nats_server.url, nats_server.token, GATE, str(deadly)]
        process = subprocess.run(  # noqa: ASYNC221
            [sys.executable, "-c", WRITER, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
        )
        assert process.returncode == (-9 if deadly else 0)
    async with Bus(nats_server.url, nats_server.token) as bus:
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, note)
        await auntil(lambda: len(arrived) >= 10)
    assert sorted(arrived) == [f"e{n}" for n in range(10)]


async def test_a_bus_that_lost_its_storage_gets_by_itself_what_it_had(nats_server: NatsServer, tmp_path: Path) -> None:
    arrived: list[str] = []

    async def note(message: Message) -> None:
        arrived.append(message.event_id)

    async with (
        SqliteStore(tmp_path / "events.sqlite") as store,
        Bus(nats_server.url, nats_server.token, name="test") as bus,
    ):
        await bus.ensure_stream()
        events = await store.collection("events", [PENDING_FIELD])
        async with OutboxPublisher(events, bus) as publisher:
            for number in range(3):
                await events.put(f"doc{number}", add_event({}, OutboxEvent(GATE, "t", b"x", f"e{number}")))
            publisher.wake()

            async def all_sent() -> bool:
                return await events.count({PENDING_FIELD: Between(None, 0)}) == 3

            await auntil(all_sent)
            nats_server.stop()
            nats_server.forget_all()
            await events.put("doc3", add_event({}, OutboxEvent(GATE, "t", b"x", "e3")))
            nats_server.start()
            # Nobody had read them: they were in the stream alone.
            bus.subscribe_durable(EVENT_STREAM, "reader", GATE, note)
            await auntil(lambda: sorted(set(arrived)) == ["e0", "e1", "e2", "e3"], 30)
        # A stream that is deleted while everybody stays connected is noticed, too.
        arrived.clear()
        async with OutboxPublisher(events, bus):
            await bus.client.jetstream().delete_stream(EVENT_STREAM)
            await auntil(lambda: sorted(set(arrived)) == ["e0", "e1", "e2", "e3"], 30)
