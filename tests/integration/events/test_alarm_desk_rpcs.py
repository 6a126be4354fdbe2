"""Shelf, rules, service, floods and load as operators and maintainers meet them: a real event center, a real NATS."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from event_center.client import EventClient, SyncEventClient
from mesh.bus import Bus, anomaly_subject
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import auntil
from trueframe.v1 import events_pb2, frames_pb2, inspection_pb2
from trueframe.v1.events_pb2 import (
    ALARM_MARK_SHELVED,
    ALARM_STATE_ACKNOWLEDGED,
    ALARM_STATE_RETURNED_UNACKNOWLEDGED,
    ALARM_STATE_UNACKNOWLEDGED,
    SuppressionCondition,
    SuppressionRule,
)

SECOND = 1_000_000_000
_numbers = count(1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectionStack]:
    settings = (
        "event_center.chatter_s=5",
        "event_center.longest_shelving_s=3600",
        "event_center.flood_site_alarms=0",
        'event_center.groups=[{name = "hall", cameras = ["hall-*"]}, {name = "upstairs", labels = ["floor=2"]}]',
    )
    with inspection_stack(tmp_path_factory.mktemp("desk"), "nats", "broker", settings=settings) as stack:
        with stack.broker.sync_client() as cameras:
            cameras.add_camera("loft", "rtsp://127.0.0.1:9/nobody", labels={"floor": "2"})
        stack.event_center.start()
        yield stack


@pytest.fixture
async def maria(stack: InspectionStack) -> AsyncIterator[EventClient]:
    async with stack.event_client("maria", "maintainer") as maintainer:
        yield maintainer


async def told(
    bus: Bus, events: EventClient, camera: str, *, name: str = "", after_s: int = 1000, is_over: bool = False
) -> events_pb2.Event:
    """An anomaly, `after_s` behind the one before it, told of until it is an event."""
    name = name or f"anomaly{next(_numbers):06d}"
    number = int(name.removeprefix("anomaly"))
    frame = frames_pb2.FrameId(camera=camera, epoch=1, seq=number)
    started_ns = 1_700_000_000 * SECOND + number * after_s * SECOND
    message = inspection_pb2.Anomaly(
        id=name, version=2 if is_over else 1, inspection=f"{camera}.motion", camera=camera, detector="motion@1",
        first=frame, peak=frame, last=frame, started_ns=started_ns, peak_ns=started_ns,
        ended_ns=started_ns + SECOND if is_over else 0, score=0.9,
    )  # fmt: skip
    await bus.publish(
        anomaly_subject(camera), message.SerializeToString(), event_id=f"{name}-{message.version}",
        type="trueframe.anomaly.opened",
    )  # fmt: skip

    async def there() -> list[events_pb2.Event]:
        known = await events.list(cameras=[camera], limit=1000)
        return [one for one in known if one.id == name and bool(one.ended_ns) == is_over]

    (event,) = await auntil(there, 20, f"{name} is told")
    return event


async def until_so(events: EventClient, event_id: str, state: events_pb2.AlarmState.ValueType) -> events_pb2.Event:
    async def so() -> list[events_pb2.Event]:
        event = await events.get(event_id)
        return [event] if event.alarm_state == state and not event.set_aside else []

    (event,) = await auntil(so, 20, f"{event_id} is in the queue")
    return event


async def test_a_shelved_alarm_is_aside_with_who_and_why_and_comes_back_by_itself(bus: Bus, anna: EventClient) -> None:
    event = await told(bus, anna, "yard")
    event = await anna.shelve(event.id, "painters", for_s=2)
    assert event.set_aside
    assert (event.shelved_by, event.shelve_reason, event.shelved_once) == ("anna", "painters", False)
    assert 0 < event.shelved_until_ns - time.time_ns() <= 2 * SECOND
    assert event.id in [one.id for one in await anna.list(shelved=True)]
    await anna.acknowledge(event.id)
    event = await until_so(anna, event.id, ALARM_STATE_UNACKNOWLEDGED)
    records = await anna.records(event.id)
    assert [events_pb2.EventDeed.Name(r.deed).removeprefix("EVENT_DEED_") for r in records] == [
        "RAISED", "SHELVED", "ACKNOWLEDGED", "UNSHELVED",
    ]  # fmt: skip
    assert (list(records[1].marks), list(records[3].marks)) == ([ALARM_MARK_SHELVED], [])
    assert records[1].until_ns == records[1].at_ns + 2 * SECOND
    assert records[3].actor == "event-center"


async def test_shelving_until_it_is_over_ends_when_it_is(bus: Bus, anna: EventClient) -> None:
    event = await told(bus, anna, "lawn")
    assert (await anna.shelve(event.id, "painters")).shelved_once
    await told(bus, anna, "lawn", name=event.id, is_over=True)
    await until_so(anna, event.id, ALARM_STATE_RETURNED_UNACKNOWLEDGED)
    with pytest.raises(FailedPrecondition, match="over"):
        await anna.shelve(event.id, "painters")


async def test_what_cannot_be_shelved_is_refused_and_changes_nothing(bus: Bus, anna: EventClient) -> None:
    event = await told(bus, anna, "pond")
    for reason, for_s in (("", 60), ("painters", 3601), ("painters", -1), ("bell \a", 60)):
        with pytest.raises(InvalidArgument):
            await anna.shelve(event.id, reason, for_s=for_s)
    with pytest.raises(NotFound):
        await anna.shelve("nope", "painters", for_s=60)
    assert await anna.get(event.id) == event
    assert await anna.unshelve(event.id) == event


async def test_what_a_source_raises_again_soon_is_one_alarm_and_every_time_an_event(
    bus: Bus, anna: EventClient
) -> None:
    leader = await told(bus, anna, "gate", name="anomaly900001", after_s=3)
    leader = await anna.acknowledge(leader.id)
    assert leader.alarm_state == ALARM_STATE_ACKNOWLEDGED
    member = await told(bus, anna, "gate", name="anomaly900002", after_s=3)
    assert member.folded_into == leader.id
    assert member.alarm_state == events_pb2.ALARM_STATE_UNSPECIFIED
    leader = await anna.get(leader.id)
    assert (leader.occurrences, leader.alarm_state) == (2, ALARM_STATE_UNACKNOWLEDGED)
    assert [one.id for one in await anna.list(folded_into=leader.id)] == [member.id]
    with pytest.raises(FailedPrecondition, match=leader.id):
        await anna.acknowledge(member.id)


async def test_a_camera_out_of_service_gives_its_alarms_back(bus: Bus, anna: EventClient, maria: EventClient) -> None:
    standing = await told(bus, anna, "porch", is_over=True)
    entry = await maria.take_out_of_service("porch", reason="new lens")
    assert await maria.take_out_of_service("porch", reason="new lens") == entry
    raised = await told(bus, anna, "porch")
    assert (await anna.get(standing.id)).out_of_service
    assert raised.out_of_service
    assert [(one.camera, one.reason, one.by) for one in await anna.out_of_service()] == [("porch", "new lens", "maria")]
    assert (await anna.load()).out_of_service == 2
    await maria.return_to_service("porch", reason="sharp again")
    for event, state in ((standing, ALARM_STATE_RETURNED_UNACKNOWLEDGED), (raised, ALARM_STATE_UNACKNOWLEDGED)):
        event = await until_so(anna, event.id, state)
        last = (await anna.records(event.id))[-1]
        assert (last.actor, last.text) == ("maria", "sharp again")
    assert await anna.out_of_service() == []
    (past,) = await anna.out_of_service(include_past=True)
    assert [one.deed for one in past.history] == ["taken out", "brought back"]
    with pytest.raises(NotFound):
        await maria.return_to_service("attic")


async def test_a_rule_suppresses_at_once_and_gives_back_when_it_is_deleted(
    bus: Bus, anna: EventClient, maria: EventClient
) -> None:
    event = await told(bus, anna, "dock")
    wanted = SuppressionRule(
        id="always", active_while=SuppressionCondition(schedule="00:00-24:00"), cameras=["dock"], reason="sea"
    )
    rule = await maria.put_suppression_rule(wanted)
    assert (rule.by, rule.is_active) == ("maria", True)
    assert await maria.put_suppression_rule(wanted) == rule
    assert (await anna.get(event.id)).suppressed_by == "always"
    assert event.id in [one.id for one in await anna.list(suppressed=True)]
    assert [one.id for one in await anna.suppression_rules()] == ["always"]
    await maria.delete_suppression_rule("always", "calm")
    await until_so(anna, event.id, ALARM_STATE_UNACKNOWLEDGED)
    assert await anna.suppression_rules() == []
    (gone,) = await anna.suppression_rules(include_deleted=True)
    assert [one.deed for one in gone.history] == ["put", "deleted"]
    with pytest.raises(NotFound):
        await maria.delete_suppression_rule("never")
    with pytest.raises(InvalidArgument, match="while what"):
        await maria.put_suppression_rule(SuppressionRule(id="empty", reason="x"))


async def test_more_alarms_of_a_group_than_people_follow_are_a_flood_with_members(bus: Bus, anna: EventClient) -> None:
    alarms = [await told(bus, anna, f"hall-{number}") for number in range(12)]

    async def flooded() -> list[events_pb2.AlarmFlood]:
        return [flood for flood in (await anna.load()).floods if flood.members == 12]

    (flood,) = await auntil(flooded, 20, "the flood has twelve members")
    assert (flood.group, flood.first_out) == ("hall", alarms[0].id)
    assert {one.id for one in await anna.list(flood=flood.event)} == {one.id for one in alarms}
    known = [await anna.get(one.id) for one in alarms]
    assert [one.is_first_out for one in known] == [True] + [False] * 11
    assert {one.group for one in known} == {"hall"}

    async def told_flood() -> list[events_pb2.Event]:
        event = await anna.get(flood.event)
        return [event] if "12 alarms" in event.summary else []

    (event,) = await auntil(told_flood, 20, "its alarm says how many")
    assert event.alarm_state == ALARM_STATE_UNACKNOWLEDGED
    assert not event.flood


async def test_a_label_of_a_camera_says_which_group_its_alarms_belong_to(bus: Bus, anna: EventClient) -> None:
    assert (await told(bus, anna, "loft")).group == "upstairs"
    assert (await told(bus, anna, "garage")).group == "garage"


async def test_the_load_counts_what_stands_by_priority_for_who_may_see_it(
    stack: InspectionStack, bus: Bus, anna: EventClient
) -> None:
    event = await told(bus, anna, "roof")
    async with stack.event_client("vera", "viewer", ["roof"]) as vera:
        load = await vera.load()
        assert [(one.standing, one.unacknowledged) for one in load.priorities] == [(0, 0), (0, 0), (1, 1), (0, 0)]
        assert load.raised_in_ten_minutes == 1
        await anna.acknowledge(event.id)
        load = await vera.load()
        assert [(one.standing, one.unacknowledged) for one in load.priorities] == [(0, 0), (0, 0), (1, 0), (0, 0)]
    assert event.id in [one.id for one in await anna.list(priorities=[3], limit=1000)]
    assert event.id not in [one.id for one in await anna.list(priorities=[1, 2], limit=1000)]


async def test_roles_and_scope_bound_what_people_may_do(stack: InspectionStack, bus: Bus, anna: EventClient) -> None:
    event = await told(bus, anna, "cellar")
    rule = SuppressionRule(id="all", active_while=SuppressionCondition(camera_lost="cellar"), reason="x")
    spying = SuppressionRule(id="spy", active_while=rule.active_while, cameras=["yard"], reason="x")
    async with (
        stack.event_client("vera", "viewer") as vera,
        stack.event_client("ben", "operator", ["yard"]) as ben,
        stack.event_client("otto", "maintainer", ["yard"]) as otto,
    ):
        for call in (
            vera.shelve(event.id, "x", for_s=60), vera.unshelve(event.id),
            anna.take_out_of_service("cellar", reason="x"), anna.put_suppression_rule(rule),
            anna.return_to_service("cellar"), anna.delete_suppression_rule("all"),
            otto.take_out_of_service("cellar", reason="x"), otto.take_out_of_service(detector="motion", reason="x"),
            otto.put_suppression_rule(rule), otto.put_suppression_rule(spying),
        ):  # fmt: skip
            with pytest.raises(PermissionDenied):
                await call
        for call in (ben.shelve(event.id, "x", for_s=60), ben.unshelve(event.id)):
            with pytest.raises(NotFound):
                await call
    assert await anna.get(event.id) == event


def test_shelves_rules_and_service_survive_a_killed_event_center_and_what_came_due_happens_once(
    stack: InspectionStack,
) -> None:
    token = stack.broker.mint("maria", "maintainer")
    with SyncEventClient(stack.config.event_center.endpoint, token) as events:
        waiting = events.list(cameras=["hall-1", "hall-2"], alarm_states=[ALARM_STATE_UNACKNOWLEDGED])
        short, long = events.shelve(waiting[0].id, "x", for_s=0.5), events.shelve(waiting[1].id, "x", for_s=3000)
        events.take_out_of_service("attic", "motion", reason="dust")
        stack.event_center.end()
        stack.event_center.start()
        assert events.get(long.id) == long
        assert [(one.camera, one.detector) for one in events.out_of_service()] == [("attic", "motion")]
        events.unshelve(short.id)
        records = events.records(short.id)
        deeds = [events_pb2.EventDeed.Name(record.deed) for record in records]
        assert deeds[-2:] == ["EVENT_DEED_SHELVED", "EVENT_DEED_UNSHELVED"]
