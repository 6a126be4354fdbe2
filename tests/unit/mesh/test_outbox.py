from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.clocks import ManualClock
from mesh.errors import InvalidArgument, Unavailable
from mesh.metrics import REGISTRY
from mesh.outbox import (
    PENDING_FIELD,
    OutboxEvent,
    OutboxPublisher,
    add_event,
    carry_outbox,
    without_outbox,
)
from mesh.store import Between, Collection, SqliteStore
from tests.one_stream import OneStream
from tests.support import auntil


class RecordingBus(OneStream):
    """Stands for the bus where its failures are to be chosen; the real one is in the integration tests."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, bytes]] = []
        self.failures = 0

    async def publish(self, subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        if self.failures:
            self.failures -= 1
            raise Unavailable("bus", "is away")
        self.sent.append((event_id, subject, payload))
        return len(self.sent)


@pytest.fixture
async def events(tmp_path: Path) -> AsyncIterator[Collection]:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        yield await store.collection("events", [PENDING_FIELD])


def event(number: int, payload: bytes = b"x") -> OutboxEvent:
    return OutboxEvent("trueframe.anomaly.gate", "trueframe.anomaly.begun", payload, f"e{number}")


async def test_pending_events_are_sent_once_and_in_order(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    body = {"summary": "somebody"}
    for number in range(3):
        body = add_event(body, event(number, bytes([number])), clock)
    await events.put("a", body)
    publisher = OutboxPublisher(events, bus, clock)
    await publisher.send_pending()
    await publisher.send_pending()
    assert [(row[0], row[2]) for row in bus.sent] == [("e0", b"\0"), ("e1", b"\1"), ("e2", b"\2")]
    assert (await events.get("a")).body[PENDING_FIELD] < 0


async def test_what_was_sent_before_a_failure_is_not_sent_again(events: Collection) -> None:
    bus = RecordingBus()
    await events.put("a", add_event(add_event({}, event(0)), event(1)))
    publisher = OutboxPublisher(events, bus)

    original = bus.publish

    async def second_fails(subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        if event_id == "e1" and bus.failures == 0:
            bus.failures = 1
        return await original(subject, payload, event_id=event_id, type=type)

    bus.publish = second_fails  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await publisher.send_pending()
    assert (await events.get("a")).body[PENDING_FIELD] == 1
    bus.publish = original  # type: ignore[method-assign]
    await publisher.send_pending()
    assert [row[0] for row in bus.sent] == ["e0", "e1"]


async def test_the_documents_that_wait_longest_go_first(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    await events.put("z", add_event({}, event(0), clock))
    clock.advance(1)
    await events.put("a", add_event({}, event(1), clock))
    await OutboxPublisher(events, bus, clock).send_pending()
    assert [row[0] for row in bus.sent] == ["e0", "e1"]


async def test_a_change_of_the_document_while_it_is_sent_is_kept(events: Collection) -> None:
    bus = RecordingBus()
    await events.put("a", add_event({"n": 1}, event(0)))
    original = bus.publish

    async def changed_meanwhile(subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        document = await events.get("a")
        if document.body["n"] == 1:
            await events.put("a", add_event({**document.body, "n": 2}, event(1)), document.version)
        return await original(subject, payload, event_id=event_id, type=type)

    bus.publish = changed_meanwhile  # type: ignore[method-assign]
    publisher = OutboxPublisher(events, bus)
    await publisher.send_pending()
    body = (await events.get("a")).body
    assert (body["n"], body[PENDING_FIELD]) == (2, 1)
    await publisher.send_pending()
    assert [row[0] for row in bus.sent] == ["e0", "e1"]


async def test_a_publisher_sends_by_itself_when_woken_and_after_the_bus_was_away(events: Collection) -> None:
    bus = RecordingBus()
    bus.failures = 2
    async with OutboxPublisher(events, bus) as publisher:
        await events.put("a", add_event({}, event(0)))
        publisher.wake()
        await auntil(lambda: bus.sent, 10)
        await events.put("b", add_event({}, event(1)))
        publisher.wake()
        await auntil(lambda: len(bus.sent) == 2, 3)


async def test_a_stream_that_was_lost_gets_again_what_was_sent_within_seven_days(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    publisher = OutboxPublisher(events, bus, clock)
    await events.put("a", add_event({}, event(0), clock))
    await publisher.send_pending()
    clock.advance(6 * 24 * 3600)
    document = await events.get("a")
    await events.put("a", add_event(document.body, event(1), clock))
    await publisher.send_pending()
    assert await publisher.send_lost() == 0
    bus.sent.clear()
    bus.made_ns = clock.utc_ns()
    assert await publisher.send_lost() == 2
    assert bus.sent == [("e0", event(0).subject, b"x"), ("e1", event(1).subject, b"x")]
    assert await publisher.send_lost() == 0
    clock.advance(2 * 24 * 3600)
    document = await events.get("a")
    await events.put("a", add_event(document.body, event(2), clock))
    await publisher.send_pending()
    bus.made_ns = clock.utc_ns()
    assert await publisher.send_lost() == 2


async def test_a_lost_stream_is_noticed_by_a_publisher_that_starts_after_it_and_sent_to_once(
    events: Collection,
) -> None:
    clock, bus = ManualClock(), RecordingBus()
    await events.put("a", add_event(add_event({}, event(0), clock), event(1), clock))
    await OutboxPublisher(events, bus, clock).send_pending()
    bus.sent.clear()
    bus.made_ns = clock.utc_ns()
    bus.failures = 1
    publisher = OutboxPublisher(events, bus, clock)
    with pytest.raises(Unavailable):
        await publisher.send_lost()
    assert await publisher.send_lost() == 2
    assert await OutboxPublisher(events, bus, clock).send_lost() == 0
    assert [row[0] for row in bus.sent] == ["e0", "e1"]


async def test_what_was_sent_before_streams_were_told_apart_is_judged_by_its_time(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    for name in ("before", "after"):
        body = add_event({}, OutboxEvent("s", "t", b"x", name), clock)
        body["outbox"][0]["sent_ns"] = clock.utc_ns()
        await events.put(name, {**body, PENDING_FIELD: -(clock.utc_ns() // 10**9)})
        clock.advance(1)
        bus.made_ns = bus.made_ns if name == "after" else clock.utc_ns()
    assert await OutboxPublisher(events, bus, clock).send_lost() == 1
    assert [row[0] for row in bus.sent] == ["before"]


async def test_a_document_with_new_events_is_given_to_a_new_stream_with_its_old_ones(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    publisher = OutboxPublisher(events, bus, clock)
    await events.put("a", add_event({}, event(0), clock))
    await publisher.send_pending()
    await events.put("a", add_event((await events.get("a")).body, event(1), clock))
    bus.sent.clear()
    bus.made_ns = clock.utc_ns()
    assert await publisher.send_lost() == 0
    await publisher.send_pending()
    assert [row[0] for row in bus.sent] == ["e0", "e1"]


async def test_a_stream_older_than_all_that_is_kept_is_not_looked_into(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    bus.made_ns = clock.utc_ns()
    clock.advance(8 * 24 * 3600)

    async def fails(*_: object, **__: object) -> None:
        raise AssertionError("documents are read")

    events.query = fails  # type: ignore[method-assign, assignment]
    assert await OutboxPublisher(events, bus, clock).send_lost() == 0


async def test_a_document_keeps_at_most_256_sent_events(events: Collection) -> None:
    bus = RecordingBus()
    body: dict[str, object] = {}
    for number in range(300):
        body = add_event(body, event(number))
    await events.put("a", body)
    publisher = OutboxPublisher(events, bus)
    await publisher.send_pending()
    assert len(bus.sent) == 300
    entries = (await events.get("a")).body["outbox"]
    assert [entries[0]["id"], entries[-1]["id"], len(entries)] == ["e44", "e299", 256]


def test_an_outbox_is_bounded_in_events_and_bytes() -> None:
    with pytest.raises(InvalidArgument, match="larger than"):
        add_event({}, event(0, bytes((256 << 10) + 1)))
    body: dict[str, object] = {}
    for number in range(1024):
        body = add_event(body, event(number, b""))
    with pytest.raises(InvalidArgument, match="wait already"):
        add_event(body, event(1024))


def test_an_owner_that_writes_whole_documents_carries_the_outbox_over() -> None:
    old = add_event({"n": 1}, event(0))
    assert without_outbox(old) == {"n": 1}
    new = carry_outbox(old, {"n": 2})
    assert without_outbox(new) == {"n": 2}
    assert new["outbox"] == old["outbox"]


def state(number: int) -> OutboxEvent:
    return OutboxEvent("trueframe.event.gate", "trueframe.event.changed", bytes([number]), f"s{number}", True)


async def test_of_whole_states_that_were_sent_only_the_newest_is_kept(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    body = add_event({}, event(0), clock)
    for number in range(3):
        body = add_event(body, state(number), clock)
    await events.put("a", body)
    publisher = OutboxPublisher(events, bus, clock)
    await publisher.send_pending()
    assert [row[0] for row in bus.sent] == ["e0", "s0", "s1", "s2"]
    bus.sent.clear()
    bus.made_ns = clock.utc_ns()
    assert await publisher.send_lost() == 2
    assert [row[0] for row in bus.sent] == ["e0", "s2"]


async def test_of_whole_states_that_wait_too_long_the_newest_gives_way_to_the_next(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    body = add_event({}, event(0), clock)
    for number in range(100):
        body = add_event(body, state(number), clock)
    assert body[PENDING_FIELD] == 1 + 32
    await events.put("a", body)
    await OutboxPublisher(events, bus, clock).send_pending()
    assert [row[0] for row in bus.sent] == ["e0", *(f"s{number}" for number in range(31)), "s99"]


async def test_while_the_bus_is_away_the_age_of_what_waits_is_told(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    name = "trueframe_outbox_lag_seconds"

    async def away() -> int:
        raise Unavailable("bus", "is not connected")

    def lag_s() -> float:
        return REGISTRY.get_sample_value(name, {"collection": "events"}) or 0.0

    here = bus.look_at_incarnation
    bus.look_at_incarnation = away  # type: ignore[method-assign]
    await events.put("a", add_event({}, event(0), clock))
    clock.advance(100)
    await events.put("b", add_event({}, event(1), clock))
    async with OutboxPublisher(events, bus, clock):
        await auntil(lambda: lag_s() == 100, what="the oldest of both is told")
        clock.advance(50)
        await auntil(lambda: lag_s() == 150, what="it grows")
        bus.look_at_incarnation = here  # type: ignore[method-assign]
        await auntil(lambda: lag_s() == 0, what="nothing waits")
    assert [row[0] for row in bus.sent] == ["e0", "e1"]


async def test_what_was_sent_is_marked_in_few_commits_and_in_the_order_of_waiting(tmp_path: Path) -> None:
    clock, bus = ManualClock(), RecordingBus()
    async with SqliteStore(tmp_path / "many.sqlite") as store:
        events = await store.collection("events", [PENDING_FIELD])
        for number in range(40):
            await events.put(f"a{number:02d}", add_event({}, event(number), clock))
            clock.advance(1)
        before = store.commits
        await OutboxPublisher(events, bus, clock).send_pending()
        assert store.commits - before < 20
        assert [row[0] for row in bus.sent] == [f"e{number}" for number in range(40)]
        assert not (await events.query({PENDING_FIELD: Between(1, None)})).documents


async def test_a_failure_at_one_document_leaves_those_before_it_marked(events: Collection) -> None:
    clock, bus = ManualClock(), RecordingBus()
    for number in range(3):
        await events.put(f"a{number}", add_event({}, event(number), clock))
        clock.advance(1)
    original = bus.publish

    async def third_fails(subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        bus.failures = int(event_id == "e2")
        return await original(subject, payload, event_id=event_id, type=type)

    bus.publish = third_fails  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await OutboxPublisher(events, bus, clock).send_pending()
    waiting = (await events.query({PENDING_FIELD: Between(1, None)})).documents
    assert [document.id for document in waiting] == ["a2"]
