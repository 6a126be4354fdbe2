from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from mesh.bus import (
    EVENT_STREAM,
    FOOTAGE_PERSISTED,
    Bus,
    Message,
    anomaly_subject,
    camera_subject,
    event_subject,
    held_subject,
)
from mesh.conditions import system_subject
from mesh.errors import InvalidArgument, Unavailable
from tests.support import auntil
from trueframe.v1.frames_pb2 import FrameId

if TYPE_CHECKING:
    from .conftest import NatsServer

GATE = camera_subject("gate")


@contextlib.asynccontextmanager
async def a_bus(server: NatsServer, name: str = "test") -> AsyncIterator[Bus]:
    async with Bus(server.url, server.token, name=name) as bus:
        await bus.ready(10)
        await bus.ensure_stream()
        yield bus


class Inbox:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def ids(self) -> list[str]:
        return [message.event_id for message in self.messages]


async def test_an_event_published_reaches_a_durable_reader_with_cloudevents_headers(nats_server: NatsServer) -> None:
    inbox = Inbox()
    async with a_bus(nats_server) as bus:
        bus.subscribe_durable(EVENT_STREAM, "reader", "trueframe.camera.>", inbox)
        await bus.publish(GATE, b"lost", event_id="e1", type="trueframe.camera.state")
        await auntil(lambda: inbox.messages)
    message = inbox.messages[0]
    assert (message.subject, message.data, message.event_id) == (GATE, b"lost", "e1")
    assert (message.type, message.source, message.attempt) == ("trueframe.camera.state", "trueframe/test", 1)


async def test_json_and_protobuf_say_what_they_are_and_every_subject_is_in_the_stream(nats_server: NatsServer) -> None:
    seen: dict[str, str] = {}
    subjects = (GATE, anomaly_subject("gate"), event_subject("gate"), event_subject(""), held_subject("gate"))
    subjects += (system_subject("broker"),)
    async with a_bus(nats_server) as bus:

        async def note(raw: Any) -> None:
            seen[raw.subject] = raw.headers["content-type"]

        await bus.client.subscribe("trueframe.>", cb=note)
        for number, subject in enumerate(subjects):
            payload = b'{"a": 1}' if number % 2 else FrameId(camera="gate", epoch=1).SerializeToString()
            assert await bus.publish(subject, payload, event_id=f"e{number}", type="trueframe.test") == number + 1
        await auntil(lambda: len(seen) == len(subjects))
    assert list(seen) == [
        "trueframe.camera.gate", "trueframe.anomaly.gate", "trueframe.event.gate", "trueframe.event._system",
        "trueframe.footage.held.gate", "trueframe.system.broker",
    ]  # fmt: skip
    assert list(seen.values()) == [f"application/{'json' if n % 2 else 'protobuf'}" for n in range(len(subjects))]


async def test_an_event_is_handed_over_within_a_tenth_of_a_second(nats_server: NatsServer) -> None:
    arrived: list[int] = []

    async def note(message: Message) -> None:
        arrived.append(time.monotonic_ns() - int(message.data))

    async with a_bus(nats_server) as bus:
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, note)
        for number in range(20):
            await bus.publish(GATE, str(time.monotonic_ns()).encode(), event_id=f"e{number}", type="t")
            await auntil(lambda expected=number + 1: len(arrived) == expected)
    assert sorted(arrived)[10] < 100_000_000


async def test_the_same_event_id_is_stored_once(nats_server: NatsServer) -> None:
    inbox = Inbox()
    async with a_bus(nats_server) as bus:
        first = await bus.publish(GATE, b"x", event_id="e1", type="t")
        assert await bus.publish(GATE, b"x", event_id="e1", type="t") == first
        await bus.publish(GATE, b"x", event_id="e2", type="t")
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, inbox)
        await auntil(lambda: len(inbox.messages) >= 2)
    assert inbox.ids == ["e1", "e2"]


async def test_a_message_comes_again_until_its_handler_succeeds(nats_server: NatsServer) -> None:
    attempts: list[int] = []

    async def fails_once(message: Message) -> None:
        attempts.append(message.attempt)
        if message.attempt == 1:
            raise RuntimeError("not yet")

    async with a_bus(nats_server) as bus:
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, fails_once)
        await bus.publish(GATE, b"x", event_id="e1", type="t")
        await auntil(lambda: attempts == [1, 2])


async def test_a_message_that_cannot_be_understood_is_set_aside_and_the_next_one_comes(nats_server: NatsServer) -> None:
    seen: list[str] = []

    async def picky(message: Message) -> None:
        seen.append(message.event_id)
        if message.data == b"garbage":
            raise InvalidArgument("message", "is not an event")

    async with a_bus(nats_server) as bus:
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, picky)
        await bus.publish(GATE, b"garbage", event_id="bad", type="t")
        await bus.publish(GATE, b"fine", event_id="good", type="t")
        await auntil(lambda: "good" in seen)
        await asyncio.sleep(1.5)  # longer than the first redelivery would take
    assert seen == ["bad", "good"]


async def test_a_reader_that_comes_back_goes_on_behind_what_it_acknowledged(nats_server: NatsServer) -> None:
    first, second = Inbox(), Inbox()
    async with a_bus(nats_server) as bus:
        subscription = bus.subscribe_durable(EVENT_STREAM, "reader", GATE, first)
        await bus.publish(GATE, b"x", event_id="e1", type="t")
        await auntil(lambda: first.ids == ["e1"])
        await subscription.close()
        await bus.publish(GATE, b"x", event_id="e2", type="t")
    async with a_bus(nats_server) as bus:
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, second)
        await auntil(lambda: second.messages)
    assert second.ids == ["e2"]


async def test_a_killed_server_comes_back_with_the_events_and_both_sides_go_on(nats_server: NatsServer) -> None:
    inbox = Inbox()
    async with a_bus(nats_server) as bus:
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, inbox)
        await bus.publish(GATE, b"x", event_id="e1", type="t")
        await auntil(lambda: inbox.ids == ["e1"])
        nats_server.stop()
        await auntil(lambda: not bus.connected)
        with pytest.raises(Unavailable):
            await bus.publish(GATE, b"x", event_id="e2", type="t")
        nats_server.start()
        await auntil(lambda: bus.connected)
        await bus.publish(GATE, b"x", event_id="e2", type="t")
        await auntil(lambda: inbox.ids == ["e1", "e2"])


async def test_a_server_that_lost_its_disk_gets_its_stream_back_and_readers_go_on(nats_server: NatsServer) -> None:
    inbox = Inbox()
    async with a_bus(nats_server) as bus:
        bus.subscribe_durable(EVENT_STREAM, "reader", GATE, inbox)
        await bus.publish(GATE, b"x", event_id="e1", type="t")
        await auntil(lambda: inbox.ids == ["e1"])
        nats_server.stop()
        nats_server.forget_all()
        nats_server.start()

        async def published() -> bool:
            try:
                await bus.publish(GATE, b"x", event_id="e2", type="t")
            except Unavailable:
                return False
            return True

        await auntil(published)
        await auntil(lambda: inbox.ids == ["e1", "e2"])


async def test_a_server_with_little_space_keeps_fewer_events(nats_server: NatsServer) -> None:
    nats_server.stop()
    nats_server.start(max_file_store="100M")
    async with a_bus(nats_server) as bus:
        await bus.publish(GATE, b"x", event_id="e1", type="t")
        info = await bus.client.jetstream().stream_info(EVENT_STREAM)
        assert 8 << 20 <= (info.config.max_bytes or 0) <= 100 << 20


async def test_a_bus_starts_before_its_server(nats_server: NatsServer) -> None:
    nats_server.stop()
    inbox = Inbox()
    async with Bus(nats_server.url, nats_server.token) as bus:
        bus.subscribe_core(FOOTAGE_PERSISTED, inbox)
        with pytest.raises(Unavailable, match="does not answer"):
            await bus.ready(0.3)
        with pytest.raises(Unavailable, match="is not connected"):
            await bus.publish(GATE, b"x", event_id="e1", type="t")
        nats_server.start()
        await bus.ready(20)

        async def heard() -> bool:
            await bus.publish_core(FOOTAGE_PERSISTED, b"w", type="trueframe.footage.persisted")
            return bool(inbox.messages)

        await auntil(heard)


async def test_a_slow_core_reader_drops_and_counts(nats_server: NatsServer) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    handled: list[bytes] = []

    async def slow(message: Message) -> None:
        started.set()
        await release.wait()
        handled.append(message.data)

    async with a_bus(nats_server) as bus:
        subscription = bus.subscribe_core(FOOTAGE_PERSISTED, slow, max_pending=2)

        async def being_read() -> bool:
            await bus.publish_core(FOOTAGE_PERSISTED, b"0", type="t")
            return started.is_set()

        await auntil(being_read)
        for _ in range(10):
            await bus.publish_core(FOOTAGE_PERSISTED, b"n", type="t")
        await auntil(lambda: subscription.dropped >= 8)
        release.set()
        await auntil(lambda: len(handled) == 3)


async def test_a_wrong_token_is_not_told_and_the_bus_stays_unavailable(nats_server: NatsServer) -> None:
    async with Bus(nats_server.url, "wrong-token-of-mine") as bus:
        with pytest.raises(Unavailable) as caught:
            await bus.ready(1)
    assert "wrong-token" not in str(caught.value)


async def test_a_message_beyond_the_limit_is_refused(nats_server: NatsServer) -> None:
    async with a_bus(nats_server) as bus:
        with pytest.raises(InvalidArgument, match="larger than"):
            await bus.publish(GATE, bytes((1 << 20) + 1), event_id="e", type="t")
