"""Messages that a reader cannot take, with a real server: set aside, counted, sent again, dropped; the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mesh import bus_poison, bus_subscription
from mesh.bus import EVENT_STREAM, Bus, Message, camera_subject
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from tests.support import auntil

if TYPE_CHECKING:
    from .conftest import NatsServer

GATE = camera_subject("gate")


class Picky:
    """Takes what is fine, and bears "hard" only once it was made to."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.tries: list[str] = []
        self.bears_all = False
        self.is_store_away = False

    async def __call__(self, message: Message) -> None:
        self.tries.append(message.event_id)
        if not self.bears_all:
            if self.is_store_away:
                raise Unavailable("store", "is away")
            if message.data.startswith(b"garbage"):
                raise InvalidArgument("message", "is no événement of ours\n")
            if message.data == b"hard":
                raise KeyError("fold")
        self.taken.append(message.event_id)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_subscription, "_RETRY_S", 0.05)


async def test_what_cannot_be_taken_is_set_aside_and_stops_nobody_and_is_taken_when_retried(
    nats_server: NatsServer,
) -> None:
    picky = Picky()
    async with Bus(nats_server.url, nats_server.token, name="test") as bus:
        await bus.ensure_stream()
        assert await bus_poison.counts(bus) == {}
        assert [one async for one in bus_poison.listed(bus)] == []
        bus.subscribe_durable(EVENT_STREAM, "a-reader", GATE, picky)
        await bus.publish(GATE, b"hard", event_id="e1", type="t")
        await bus.publish(GATE, b"garbage", event_id="e2", type="t")
        await bus.publish(GATE, b"fine", event_id="e3", type="t")

        async def all_aside() -> bool:
            return await bus_poison.counts(bus) == {"a-reader": 2}

        await auntil(all_aside, 20, "both are set aside")
        assert picky.taken == ["e3"]
        assert picky.tries.count("e1") == bus_subscription.MOST_TRIES
        assert picky.tries.count("e2") == 1
        garbage, hard = [one async for one in bus_poison.listed(bus)]
        assert (garbage.event_id, garbage.reader, garbage.subject, garbage.payload, garbage.type) == (
            "e2", "a-reader", GATE, b"garbage", "t",
        )  # fmt: skip
        assert garbage.reason == "message: is no événement of ours "
        assert (hard.event_id, hard.reason, hard.attempts) == ("e1", "KeyError: 'fold'", bus_subscription.MOST_TRIES)
        picky.bears_all = True
        assert (await bus_poison.retry(bus, hard.number)).event_id == "e1"
        await auntil(lambda: picky.taken == ["e3", "e1"], 10)
        await bus_poison.drop(bus, garbage.number)
        assert await bus_poison.counts(bus) == {}
        for act in (bus_poison.get, bus_poison.drop, bus_poison.retry):
            with pytest.raises(NotFound, match="poison message"):
                await act(bus, garbage.number)


async def test_a_store_that_is_away_makes_no_poison_of_a_message(nats_server: NatsServer) -> None:
    picky = Picky()
    picky.is_store_away = True
    async with Bus(nats_server.url, nats_server.token, name="test") as bus:
        await bus.ensure_stream()
        bus.subscribe_durable(EVENT_STREAM, "a-reader", GATE, picky)
        await bus.publish(GATE, b"fine", event_id="e1", type="t")
        await auntil(lambda: len(picky.tries) > bus_subscription.MOST_TRIES + 1, 30, "more tries than poison has")
        picky.is_store_away = False
        await auntil(lambda: picky.taken == ["e1"], 30)
        assert await bus_poison.counts(bus) == {}


async def test_of_the_largest_message_the_end_is_cut_off_and_it_can_only_be_dropped(nats_server: NatsServer) -> None:
    async with Bus(nats_server.url, nats_server.token, name="test") as bus:
        await bus.ensure_stream()
        bus.subscribe_durable(EVENT_STREAM, "a-reader", GATE, Picky())
        large = b"garbage".ljust((1 << 20) - 1024)
        await bus.publish(GATE, large, event_id="e" * 150, type="t" * 150)

        async def is_aside() -> list[bus_poison.PoisonMessage]:
            return [one async for one in bus_poison.listed(bus)]

        (one,) = await auntil(is_aside, 20, "it is set aside")
        assert (one.size_bytes, len(one.payload)) == (len(large), bus_poison.MAX_KEPT_BYTES)
        with pytest.raises(FailedPrecondition, match="without its end"):
            await bus_poison.retry(bus, one.number)
        await bus_poison.drop(bus, one.number)
