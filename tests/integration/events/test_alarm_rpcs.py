"""Alarms as operators and programs meet them: a real event center and a real NATS, told of anomalies by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterator
from itertools import count, pairwise

import pytest

from event_center.client import EventClient, SyncEventClient
from mesh.bus import EVENT_STREAM, EVENTS, Bus, Message, anomaly_subject
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import auntil, until
from trueframe.v1 import events_pb2, frames_pb2, inspection_pb2
from trueframe.v1.events_pb2 import (
    ALARM_STATE_ACKNOWLEDGED,
    ALARM_STATE_NORMAL,
    ALARM_STATE_RETURNED_UNACKNOWLEDGED,
    ALARM_STATE_UNACKNOWLEDGED,
)

START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
_numbers = count(1)
OLDEST_FIELDS = {
    "camera", "detector", "summary", "priority", "started_ns", "ended_ns", "score", "peak_ns", "version", "changed_ns",
    "is_confirmed", "source_version", "kind", "first", "peak", "last", "boxes",
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectionStack]:
    # Each anomaly is an alarm of its own here, and their number is nobody's alarm.
    settings = ("event_center.chatter_s=0", "event_center.flood_site_alarms=0", "event_center.flood_group_alarms=0")
    with inspection_stack(tmp_path_factory.mktemp("alarms"), "nats", "event_center", settings=settings) as stack:
        yield stack


def anomaly(number: int, version: int, *, camera: str = "yard", is_over: bool = False) -> inspection_pb2.Anomaly:
    frame = frames_pb2.FrameId(camera=camera, epoch=1, seq=number)
    started_ns = START_NS + number * SECOND
    return inspection_pb2.Anomaly(
        id=f"anomaly{number:06d}", version=version, inspection=f"{camera}.motion", camera=camera, detector="motion@1",
        first=frame, peak=frame, last=frame, started_ns=started_ns, peak_ns=started_ns,
        ended_ns=started_ns + SECOND if is_over else 0, score=0.9,
    )  # fmt: skip


async def tell(bus: Bus, message: inspection_pb2.Anomaly) -> None:
    await bus.publish(
        anomaly_subject(message.camera), message.SerializeToString(), event_id=f"{message.id}-{message.version}",
        type="trueframe.anomaly.opened",
    )  # fmt: skip


async def raised(bus: Bus, events: EventClient, camera: str = "yard") -> events_pb2.Event:
    """A new alarm."""
    number = next(_numbers)
    await tell(bus, anomaly(number, 1, camera=camera))
    return await known(events, f"anomaly{number:06d}", 1)


async def returned(bus: Bus, events: EventClient, event: events_pb2.Event) -> events_pb2.Event:
    """The same, its condition over."""
    number = int(event.id.removeprefix("anomaly"))
    await tell(bus, anomaly(number, 99, camera=event.camera, is_over=True))

    async def is_over() -> events_pb2.Event | None:
        now = await events.get(event.id)
        return now if now.ended_ns else None

    over = await auntil(is_over, 20, "the event is over")
    assert over is not None
    return over


async def known(events: EventClient, event_id: str, version: int) -> events_pb2.Event:
    async def there() -> events_pb2.Event | None:
        with contextlib.suppress(NotFound):
            event = await events.get(event_id)
            return event if event.version >= version else None
        return None

    event = await auntil(there, 20, f"{event_id} is an event")
    assert event is not None
    return event


async def test_an_anomaly_is_an_alarm_until_it_is_over_and_seen(bus: Bus, anna: EventClient) -> None:
    event = await raised(bus, anna)
    assert event.alarm_state == ALARM_STATE_UNACKNOWLEDGED
    assert event.inspection == "yard.motion"
    event = await anna.acknowledge(event.id)
    assert event.alarm_state == ALARM_STATE_ACKNOWLEDGED
    assert event.acknowledged_by == "anna"
    assert event.acknowledged_ns == event.changed_ns
    event = await returned(bus, anna, event)
    assert event.alarm_state == ALARM_STATE_NORMAL
    records = await anna.records(event.id)
    assert [(r.number, r.actor, events_pb2.EventDeed.Name(r.deed).removeprefix("EVENT_DEED_")) for r in records] == [
        (1, "aggregate", "RAISED"),
        (2, "anna", "ACKNOWLEDGED"),
        (3, "aggregate", "RETURNED"),
    ]
    for earlier, later in pairwise(records):
        assert later.from_state == earlier.to_state
        assert later.at_ns > earlier.at_ns


async def test_an_alarm_that_is_over_still_waits_for_a_human(bus: Bus, anna: EventClient) -> None:
    event = await returned(bus, anna, await raised(bus, anna))
    assert event.alarm_state == ALARM_STATE_RETURNED_UNACKNOWLEDGED
    event = await anna.acknowledge(event.id, "a fox")
    assert event.alarm_state == ALARM_STATE_NORMAL
    assert [(comment.author, comment.text) for comment in event.comments] == [("anna", "a fox")]


async def test_acknowledging_again_changes_nothing_and_does_not_take_it_over(
    stack: InspectionStack, bus: Bus, anna: EventClient
) -> None:
    event = await anna.acknowledge((await raised(bus, anna)).id)
    assert await anna.acknowledge(event.id) == event
    async with stack.event_client("ben", "operator") as ben:
        assert await ben.acknowledge(event.id) == event
    assert len(await anna.records(event.id)) == 2


async def test_a_comment_sent_twice_under_one_request_is_there_once(bus: Bus, anna: EventClient) -> None:
    event = await raised(bus, anna)
    first = await anna.comment(event.id, "  ein Fuchs 🦊 ", request_id="r1")
    assert await anna.comment(event.id, "ein Fuchs 🦊", request_id="r1") == first
    again = await anna.comment(event.id, "gone")
    assert [comment.text for comment in again.comments] == ["ein Fuchs 🦊", "gone"]
    assert again.alarm_state == ALARM_STATE_UNACKNOWLEDGED


async def test_what_cannot_be_a_comment_is_refused_and_changes_nothing(bus: Bus, anna: EventClient) -> None:
    event = await raised(bus, anna)
    for text in ("", " ", "x" * 4001, "\x1b[2J"):
        with pytest.raises(InvalidArgument):
            await anna.comment(event.id, text)
    with pytest.raises(InvalidArgument):
        await anna.acknowledge(event.id, "x" * 4001)
    with pytest.raises(InvalidArgument):
        await anna.comment(event.id, "a fox", request_id="r" * 101)
    assert await anna.get(event.id) == event


async def test_an_event_that_does_not_exist_is_not_found_by_any_deed(anna: EventClient) -> None:
    for call in (anna.acknowledge("nope"), anna.comment("nope", "a fox"), anna.records("nope")):
        with pytest.raises(NotFound):
            await call


async def test_a_viewer_sees_everything_and_may_neither_acknowledge_nor_comment(
    stack: InspectionStack, bus: Bus, anna: EventClient
) -> None:
    event = await raised(bus, anna)
    async with stack.event_client("vera", "viewer") as vera:
        for call in (vera.acknowledge(event.id), vera.comment(event.id, "a fox")):
            with pytest.raises(PermissionDenied, match="viewer"):
                await call
        assert await vera.get(event.id) == event
        assert len(await vera.records(event.id)) == 1


async def test_alarms_of_cameras_out_of_scope_are_neither_seen_nor_touched(
    stack: InspectionStack, bus: Bus, anna: EventClient
) -> None:
    event = await raised(bus, anna, "hall")
    async with stack.event_client("ben", "operator", ["yard"]) as ben:
        for call in (ben.acknowledge(event.id), ben.comment(event.id, "a fox")):
            # Not even whether there is such an event.
            with pytest.raises(NotFound):
                await call
        with pytest.raises(NotFound):
            await ben.records(event.id)
        assert event.id not in [one.id for one in await ben.list(alarm_states=[ALARM_STATE_UNACKNOWLEDGED])]
    assert await anna.get(event.id) == event


async def test_events_are_listed_by_the_state_of_their_alarms(bus: Bus, anna: EventClient) -> None:
    waiting = await raised(bus, anna)
    seen = await anna.acknowledge((await raised(bus, anna)).id)
    over = await returned(bus, anna, await raised(bus, anna))
    rest = await anna.acknowledge((await returned(bus, anna, await raised(bus, anna))).id)

    async def listed(*states: events_pb2.AlarmState.ValueType) -> set[str]:
        return {event.id for event in await anna.list(alarm_states=states, limit=1000)} & mine

    mine = {waiting.id, seen.id, over.id, rest.id}
    assert await listed(ALARM_STATE_UNACKNOWLEDGED) == {waiting.id}
    assert await listed(ALARM_STATE_UNACKNOWLEDGED, ALARM_STATE_RETURNED_UNACKNOWLEDGED) == {waiting.id, over.id}
    assert await listed(ALARM_STATE_ACKNOWLEDGED) == {seen.id}
    assert await listed(ALARM_STATE_NORMAL) == {rest.id}
    assert await listed() == mine
    with pytest.raises(InvalidArgument, match="alarm_states"):
        await anna.list(alarm_states=[99])  # type: ignore[list-item]


async def test_a_watch_tells_acknowledgement_and_comment_as_they_happen(bus: Bus, anna: EventClient) -> None:
    event = await raised(bus, anna)
    watch = anna.watch(since_ns=event.changed_ns)
    async with contextlib.aclosing(watch):  # type: ignore[type-var]
        async for told in watch:
            if told.id != event.id:
                continue
            if told.comments:
                assert told.alarm_state == ALARM_STATE_ACKNOWLEDGED
                break
            if told.alarm_state == ALARM_STATE_ACKNOWLEDGED:
                await anna.comment(event.id, "a fox")
            else:
                await anna.acknowledge(event.id)


async def test_every_change_is_on_the_bus_in_the_order_of_versions(bus: Bus, anna: EventClient) -> None:
    event = await raised(bus, anna)
    await anna.acknowledge(event.id, "on my way")
    await anna.comment(event.id, "a fox")
    event = await returned(bus, anna, event)
    told: list[Message] = []

    async def take(message: Message) -> None:
        if event.id in message.event_id:
            told.append(message)

    async with bus.durable(EVENT_STREAM, "test-reader", EVENTS, take):
        await auntil(lambda: len(told) >= 4, 20, "four changes are told")
    assert [(m.subject, m.type, m.source, m.event_id) for m in told] == [
        ("trueframe.event.yard", f"trueframe.event.{deed}", "trueframe/event-center", f"event-{event.id}-{version}")
        for version, deed in enumerate(("raised", "acknowledged", "commented", "returned"), 1)
    ]
    states = [events_pb2.Event.FromString(message.data) for message in told]
    assert [state.version for state in states] == [1, 2, 3, 4]
    assert states[-1] == event


def test_alarms_survive_a_killed_event_center(stack: InspectionStack) -> None:
    with SyncEventClient(stack.config.event_center.endpoint, stack.broker.mint("anna", "operator")) as events:
        before = {event.id: event for event in events.list(limit=1000)}
        records = {event_id: events.records(event_id) for event_id in before}
        stack.event_center.restart()
        after = {event.id: event for event in events.list(limit=1000)}
        assert after == before
        assert {event_id: events.records(event_id) for event_id in after} == records


def test_a_deed_of_a_human_is_stored_while_the_bus_is_away_and_told_afterwards(stack: InspectionStack) -> None:
    with SyncEventClient(stack.config.event_center.endpoint, stack.broker.mint("anna", "operator")) as events:
        event = events.list(alarm_states=[ALARM_STATE_UNACKNOWLEDGED], limit=1)[0]
        stack.nats.end()
        event = events.acknowledge(event.id)
        for number in range(40):
            event = events.comment(event.id, f"remark {number}")
        stack.nats.start()
    assert event.alarm_state == ALARM_STATE_ACKNOWLEDGED
    newest = until(lambda: told_last(stack, event.id, event.version), 40, "the bus is told")
    assert [comment.text for comment in newest.comments] == [f"remark {number}" for number in range(36, 40)]


def told_last(stack: InspectionStack, event_id: str, version: int) -> events_pb2.Event | None:
    """What the bus heard of an event, once it heard of that version."""

    async def read() -> events_pb2.Event | None:
        found: list[events_pb2.Event] = []

        async def take(message: Message) -> None:
            if message.event_id == f"event-{event_id}-{version}":
                found.append(events_pb2.Event.FromString(message.data))

        async with (
            Bus.from_config(stack.config, "test") as bus,
            bus.durable(EVENT_STREAM, f"test-{version}", EVENTS, take),
        ):
            with contextlib.suppress(AssertionError):
                await auntil(lambda: bool(found), 5)
        return found[0] if found else None

    return asyncio.run(read())


def test_an_event_without_an_alarm_cannot_be_acknowledged(stack: InspectionStack) -> None:
    """Such events are those that were stored before there were alarms."""
    stack.event_center.end()
    path = stack.data / "events" / "events.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        event_id, text = connection.execute('SELECT id, body FROM "events" LIMIT 1').fetchone()
        body = {key: value for key, value in json.loads(text).items() if key in OLDEST_FIELDS}
        connection.execute('UPDATE "events" SET body = ? WHERE id = ?', (json.dumps(body), event_id))
        connection.commit()
    stack.event_center.start()
    with SyncEventClient(stack.config.event_center.endpoint, stack.broker.mint("anna", "operator")) as events:
        assert events.get(event_id).alarm_state == events_pb2.ALARM_STATE_UNSPECIFIED
        with pytest.raises(FailedPrecondition, match="no alarm"):
            events.acknowledge(event_id)
