"""Owner, labels, search, undo and bulk as operators meet them: a real event center, a real NATS, real tokens."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from event_center.client import EventClient, event_label
from mesh.bus import Bus, anomaly_subject
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import auntil
from trueframe.v1 import events_pb2, frames_pb2, inspection_pb2
from trueframe.v1.events_pb2 import (
    ALARM_STATE_ACKNOWLEDGED,
    ALARM_STATE_UNACKNOWLEDGED,
    EVENT_VERDICT_FALSE,
    AcknowledgeEventRequest,
    AssignEventRequest,
    BulkDeed,
    LabelEventRequest,
    ShelveEventRequest,
)

SECOND = 1_000_000_000
_numbers = count(1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectionStack]:
    settings = ("event_center.chatter_s=0", "event_center.flood_site_alarms=0", "event_center.flood_group_alarms=0")
    with inspection_stack(tmp_path_factory.mktemp("work"), "nats", "broker", settings=settings) as stack:
        stack.event_center.start()
        yield stack


async def told(bus: Bus, events: EventClient, camera: str, many: int, camera_name: str = "") -> list[str]:
    """So many anomalies of a camera, told of until they are events; newest first."""
    for _ in range(many):
        number = next(_numbers)
        frame = frames_pb2.FrameId(camera=camera, epoch=1, seq=number)
        at_ns = (1_700_000_000 + number * 100) * SECOND
        message = inspection_pb2.Anomaly(
            id=f"anomaly{number:06d}", version=1, inspection=f"{camera}.motion", camera=camera, detector="motion@1",
            camera_name=camera_name, first=frame, peak=frame, last=frame, started_ns=at_ns, peak_ns=at_ns, score=0.9,
        )  # fmt: skip
        await bus.publish(anomaly_subject(camera), message.SerializeToString(), event_id=f"{message.id}-1",
                          type="trueframe.anomaly.opened")  # fmt: skip

    async def there() -> list[str]:
        known = [one.id for one in await events.list(cameras=[camera])]
        return known if len(known) == many else []

    return await auntil(there, 20, f"{many} events of {camera}")


async def test_an_event_is_taken_labelled_found_and_what_was_done_is_taken_back(bus: Bus, anna: EventClient) -> None:
    (event,) = await told(bus, anna, "gate", 1, "정문")
    assert (await anna.take(event)).owner == "anna"
    labelled = await anna.label(event, "false", region="문", tags=["고양이", "밤"])
    assert (labelled.label.verdict, list(labelled.label.tags)) == (EVENT_VERDICT_FALSE, ["고양이", "밤"])
    assert [one.id for one in await anna.list(query="고양이 정문")] == [event]
    assert [one.id for one in await anna.list(owner="anna", verdicts=[EVENT_VERDICT_FALSE])] == [event]
    assert (await anna.undo(event)).undone == 1
    seen = await anna.acknowledge(event)
    assert seen.alarm_state == ALARM_STATE_ACKNOWLEDGED
    after = (await anna.undo(event, len(await anna.records(event)))).event
    assert (after.alarm_state, after.HasField("label"), after.owner) == (ALARM_STATE_UNACKNOWLEDGED, False, "anna")
    told_of = [events_pb2.EventDeed.Name(one.deed).removeprefix("EVENT_DEED_") for one in await anna.records(event)]
    assert told_of == ["RAISED", "ASSIGNED", "LABELLED", "UNDONE", "ACKNOWLEDGED", "UNACKNOWLEDGED"]
    with pytest.raises(InvalidArgument, match="neither true"):
        await anna.label(event, "", tags=["cat"])


async def test_a_bulk_does_exactly_what_was_previewed_and_is_undone_as_a_whole(bus: Bus, anna: EventClient) -> None:
    ids = await told(bus, anna, "yard", 12)
    await anna.acknowledge(ids[0])
    deed = BulkDeed(acknowledge=AcknowledgeEventRequest(comment="drill"))
    preview = await anna.preview_bulk(deed, cameras=["yard"])
    assert (preview.count, len(preview.sample)) == (12, 10)
    assert all(one.alarm_state == ALARM_STATE_UNACKNOWLEDGED for one in preview.sample[1:])
    done = await anna.confirm_bulk(preview.token)
    # The one that was seen already takes the remark as a comment.
    assert sorted(done.changed) == sorted(ids)
    with pytest.raises(NotFound):
        await anna.confirm_bulk(preview.token)
    undone = await anna.undo(bulk=done.bulk)
    assert (undone.undone, [one.event for one in undone.failures]) == (11, [ids[0]])
    states = {one.id: one.alarm_state for one in await anna.list(cameras=["yard"])}
    assert states == dict.fromkeys(ids[1:], ALARM_STATE_UNACKNOWLEDGED) | {ids[0]: ALARM_STATE_ACKNOWLEDGED}


async def test_what_fails_of_a_bulk_is_listed_and_the_rest_is_done(
    bus: Bus, anna: EventClient, stack: InspectionStack
) -> None:
    ids = await told(bus, anna, "dock", 3)
    async with stack.event_client("till", "operator", ["dock"]) as till:
        preview = await till.preview_bulk(BulkDeed(shelve=ShelveEventRequest(reason="drill")), ids)
        number = len(await anna.records(ids[1]))
        # Over meanwhile: it cannot be shelved until it is over.
        frame = frames_pb2.FrameId(camera="dock", epoch=1, seq=int(ids[1].removeprefix("anomaly")))
        event = await anna.get(ids[1])
        message = inspection_pb2.Anomaly(
            id=ids[1], version=2, inspection="dock.motion", camera="dock", detector="motion@1", first=frame, peak=frame,
            last=frame, started_ns=event.started_ns, peak_ns=event.started_ns, ended_ns=event.started_ns + SECOND,
            score=0.9,
        )  # fmt: skip
        await bus.publish(anomaly_subject("dock"), message.SerializeToString(), event_id=f"{ids[1]}-2",
                          type="trueframe.anomaly.closed")  # fmt: skip

        async def is_over() -> bool:
            return len(await anna.records(ids[1])) > number

        await auntil(is_over, 20, "it is over")
        done = await till.confirm_bulk(preview.token)
        assert sorted(done.changed) == sorted([ids[0], ids[2]])
        assert [one.event for one in done.failures] == [ids[1]]
        assert "until it is over" in done.failures[0].reason
        with pytest.raises(PermissionDenied):
            await anna.undo(bulk=done.bulk)


async def test_bulk_keeps_to_cameras_in_scope_and_to_who_previewed(
    bus: Bus, anna: EventClient, stack: InspectionStack
) -> None:
    mine, other = await told(bus, anna, "hall", 1), await told(bus, anna, "loft", 1)
    deed = BulkDeed(assign=AssignEventRequest(to_me=True))
    async with stack.event_client("paul", "operator", ["hall"]) as paul, stack.event_client("vera", "viewer") as vera:
        with pytest.raises(NotFound):
            await paul.preview_bulk(deed, other)
        with pytest.raises(PermissionDenied):
            await paul.preview_bulk(deed, cameras=["loft"])
        with pytest.raises(PermissionDenied):
            await vera.preview_bulk(deed, mine)
        preview = await paul.preview_bulk(deed, kinds=[events_pb2.EVENT_KIND_ANOMALY])
        assert [one.id for one in preview.sample] == mine
        with pytest.raises(NotFound):
            await anna.confirm_bulk(preview.token)
        await paul.confirm_bulk(preview.token)
        assert (await paul.get(mine[0])).owner == "paul"
        with pytest.raises(FailedPrecondition):
            await anna.undo(other[0])
        with pytest.raises(NotFound):
            await paul.label(other[0], "true")


async def test_a_bulk_that_cannot_be_is_refused_at_its_preview(bus: Bus, anna: EventClient) -> None:
    with pytest.raises(InvalidArgument, match="reason"):
        await anna.preview_bulk(BulkDeed(shelve=ShelveEventRequest()), cameras=["yard"])
    with pytest.raises(InvalidArgument, match="nothing to do"):
        await anna.preview_bulk(BulkDeed(), cameras=["yard"])
    with pytest.raises(InvalidArgument, match="no event"):
        await anna.preview_bulk(
            BulkDeed(label=LabelEventRequest(label=event_label("true"))), cameras=["nobody-has-this"]
        )
