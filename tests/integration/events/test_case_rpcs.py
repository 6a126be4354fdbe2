"""Cases as operators meet them: a real event center, real tokens and scopes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from event_center.cases.client import CaseClip, SyncCaseClient
from event_center.client import SyncEventClient
from mesh.bus import Bus
from mesh.conditions import CONDITION_TYPE, condition_payload, system_subject
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from mesh.ids import new_event_id
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import until
from trueframe.v1.cases_pb2 import CaseDeed


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectionStack]:
    with inspection_stack(tmp_path_factory.mktemp("cases"), "nats", "broker", "event_center") as stack:
        yield stack


def client(stack: InspectionStack, name: str, role: str, cameras: list[str] | None = None) -> SyncCaseClient:
    return SyncCaseClient(stack.config.event_center.endpoint, stack.broker.mint(name, role, cameras))


async def event_on(stack: InspectionStack, camera: str) -> str:
    async with Bus.from_config(stack.config, "trial") as bus:
        await bus.ensure_stream()
        payload = condition_payload(
            "trial", f"tried-{camera}", holds=True, since_ns=time.time_ns(), summary="it is tried", camera=camera
        )
        await bus.publish(system_subject("trial"), payload, event_id=new_event_id(), type=CONDITION_TYPE)
    with SyncEventClient(stack.config.event_center.endpoint, stack.broker.token) as events:
        return until(lambda: [one.id for one in events.list(cameras=[camera])], 20, "the event is there")[0]


async def test_a_case_is_opened_filled_closed_and_keeps_every_record(stack: InspectionStack) -> None:
    event = await event_on(stack, "gate")
    clip = CaseClip(camera="gate", from_ns=1_000, to_ns=2_000)
    with client(stack, "anna", "operator") as anna, client(stack, "otto", "viewer") as otto:
        case = anna.open("  정문  침입 ")
        case = anna.change(case.id, add_events=[event], add_clips=[clip], note="two people")
        case = anna.change(case.id, remove_clips=[clip], close_with="false alarm: cleaners")
        assert (case.title, case.open, list(case.events), len(case.clips)) == ("정문 침입", False, [event], 0)
        assert [CaseDeed.Name(one.deed).removeprefix("CASE_DEED_") for one in otto.get(case.id).records] == [
            "OPENED", "EVENT_ADDED", "CLIP_ADDED", "NOTED", "CLIP_REMOVED", "CLOSED",
        ]  # fmt: skip
        assert {one.actor for one in case.records} == {"anna"}
        assert otto.list() == []
        assert [one.id for one in otto.list(include_closed=True, query="cleaners 정문")] == [case.id]
        with pytest.raises(FailedPrecondition, match="closed"):
            anna.change(case.id, add_clips=[clip])
        with pytest.raises(PermissionDenied):
            otto.change(case.id, note="me too")
        assert anna.change(case.id, reopen=True, note="not cleaners").open
        with pytest.raises(NotFound):
            anna.change(case.id, add_events=["nope"])
        with pytest.raises(InvalidArgument, match="nothing to change"):
            anna.change(case.id)


async def test_a_case_does_not_exist_for_who_may_not_see_one_of_its_cameras(stack: InspectionStack) -> None:
    event = await event_on(stack, "yard")
    with client(stack, "anna", "operator") as anna, client(stack, "till", "operator", ["hall"]) as till:
        case = anna.open("yard at night")
        assert till.get(case.id).title == "yard at night"
        with pytest.raises(NotFound):
            till.change(case.id, add_events=[event])
        with pytest.raises(PermissionDenied):
            till.change(case.id, add_clips=[CaseClip(camera="yard", from_ns=1, to_ns=2)])
        anna.change(case.id, add_events=[event])
        anna.change(case.id, remove_events=[event])
        # Its records still tell of the camera.
        for attempt in (lambda: till.get(case.id), lambda: till.change(case.id, note="hello")):
            with pytest.raises(NotFound):
                attempt()
        assert case.id not in [one.id for one in till.list()]
