"""From a camera's socket to an operator's event: simulated cameras, and every process between them and the event."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from event_center.client import Event, SyncEventClient
from media_center.client import SyncFootageClient
from mesh.errors import PermissionDenied, Unavailable
from simulator.testing import Simulator, running
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import until
from trueframe.v1.events_pb2 import ALARM_STATE_RETURNED_UNACKNOWLEDGED
from trueframe.v1.footage_pb2 import Hold, IndexRow
from trueframe.v1.inspection_pb2 import InspectionStatus

INCIDENTS = {"cam-1": "intrusion@5+6", "cam-2": "freeze@11+7", "cam-3": "signal-lost@8+4"}
LOOP_S = 20.0
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    scripted = [a for camera, incident in INCIDENTS.items() for a in ("--incident", f"{camera}={incident}")]
    arguments = ("--scenes", "yard,hall,carpark", *scripted)
    with running(3, fps=10, size="640x360", loop_s=LOOP_S, arguments=arguments) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def stack(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectionStack]:
    region = sim.truth("cam-1")["regions"][0]
    toml = (
        '[[inspections]]\nid = "cam-1.restricted"\ncamera = "cam-1"\ndetector = "motion"\nthreshold = 0.0\n'
        f'regions = [{{name = "restricted area", use = "inspect", corners = {json.dumps(region["corners"])}}}]\n'
    )
    # Each intrusion is an alarm of its own here, however soon it follows another.
    settings = ("event_center.chatter_s=0",)
    with inspection_stack(tmp_path_factory.mktemp("inspection"), settings=settings, toml=toml) as stack:
        with stack.broker.sync_client() as client:
            for camera, url in sim.urls.items():
                client.add_camera(camera, url)
        yield stack


@pytest.fixture
def events(stack: InspectionStack) -> Iterator[SyncEventClient]:
    with stack.events() as client:
        yield client


def named(events: SyncEventClient, summary: str) -> list[Event]:
    return [event for event in events.list(limit=1000) if event.summary == summary]


def in_loop(sim: Simulator, event: Event) -> tuple[int, int]:
    """First and last frame of an event, as counters of the camera's loop."""
    log = sim.log(event.camera)
    sent = [unit for unit in log if unit.connection == log[-1].connection]
    return sent[event.first.seq].frame_in_loop, sent[event.last.seq].frame_in_loop


def overlaps(sim: Simulator, event: Event) -> bool:
    incident = sim.truth(event.camera)["incidents"][0]
    first, last = in_loop(sim, event)
    return bool(first < incident["end"] and last >= incident["start"])


def test_an_intrusion_is_told_in_words_and_overlaps_the_truth_in_time_and_place(
    sim: Simulator, events: SyncEventClient
) -> None:
    event = until(lambda: named(events, "Motion in restricted area on cam-1"), 60, "the intrusion is an event")[-1]
    event = until(lambda: e if (e := events.get(event.id)).ended_ns else None, 30, "the intrusion is over")
    assert overlaps(sim, event)
    assert (event.detector, event.priority) == ("motion@1", 2)
    truth = sim.truth("cam-1")["incidents"][0]
    log = sim.log("cam-1")
    peak = [unit for unit in log if unit.connection == log[-1].connection][event.peak.seq].frame_in_loop
    left, top, right, bottom = truth["boxes"][peak - truth["start"]]
    assert any(
        box.x < right and left < box.x + box.width and box.y < bottom and top < box.y + box.height
        for box in event.boxes
    )


def test_a_frozen_and_a_black_picture_are_told_by_name(sim: Simulator, events: SyncEventClient) -> None:
    frozen = until(lambda: named(events, "Picture frozen on cam-2"), 90, "the freeze is an event")[-1]
    black = until(lambda: named(events, "Picture black on cam-3"), 60, "the lost signal is an event")[-1]
    assert overlaps(sim, frozen)
    assert overlaps(sim, black)


def test_an_event_says_when_its_footage_is_on_disk_and_a_killed_event_center_learns_it_again(
    stack: InspectionStack, events: SyncEventClient
) -> None:
    def latest() -> Event | None:
        ended = [event for event in named(events, "Motion in restricted area on cam-1") if event.ended_ns]
        return ended[0] if ended else None

    event = until(latest, 60, "an intrusion is over")
    until(lambda: events.get(event.id).footage_confirmed, 20, "its footage is on disk")
    stack.event_center.restart()
    again = events.get(event.id)
    assert again.footage_confirmed
    assert again.summary == event.summary


def test_the_clip_of_an_incident_is_held_with_its_rolls_and_confirmed_on_disk(
    stack: InspectionStack, events: SyncEventClient
) -> None:
    def confirmed() -> Event | None:
        found = named(events, "Motion in restricted area on cam-1")
        return next((event for event in found if event.clip.confirmed), None)

    event = until(confirmed, 90, "the clip of an intrusion is confirmed")
    assert event.ended_ns
    assert event.clip.from_ns == event.started_ns - 5 * SECOND
    assert event.clip.to_ns == event.ended_ns + 10 * SECOND
    assert event.alarm_state == ALARM_STATE_RETURNED_UNACKNOWLEDGED
    with footage_client(stack, "anna", "viewer") as footage:
        (hold,) = [hold for hold in footage.holds() if hold.id == f"event:{event.id}"]
        assert (hold.camera, hold.from_ns, hold.to_ns, hold.confirmed) == (
            "cam-1", event.clip.from_ns, event.clip.to_ns, True,
        )  # fmt: skip
        # Confirmed means: the very frames can be had, up to the end.
        recorded = [row for row in footage.frames("cam-1", hold.from_ns, hold.to_ns) if isinstance(row, IndexRow)]
        assert recorded[-1].received_ns > hold.to_ns - SECOND // 2
        stack.media_center.restart()
        again = until(lambda: held(footage), 20, "the media center answers again")
        assert hold in again
    with footage_client(stack, "ben", "viewer", ["cam-2"]) as footage:
        assert {hold.camera for hold in footage.holds()} <= {"cam-2"}
        with pytest.raises(PermissionDenied):
            footage.holds(["cam-1"])


def footage_client(stack: InspectionStack, *who: object) -> SyncFootageClient:
    return SyncFootageClient(stack.config.media_center.endpoint, stack.broker.mint(*who))  # type: ignore[arg-type]


def held(footage: SyncFootageClient) -> list[Hold]:
    with contextlib.suppress(Unavailable):
        return footage.holds()
    return []


def unaccounted(status: InspectionStatus) -> int:
    """Frames from seq 0 on that nobody spoke of: only those from before the inspection began, so it never changes."""
    return status.last.seq + 1 - status.frames_scored - status.frames_skipped


def test_a_killed_worker_is_followed_by_another_and_no_frame_goes_without_verdict_or_reason(
    stack: InspectionStack,
) -> None:
    with stack.inspections() as client:

        def statuses() -> dict[str, InspectionStatus]:
            return {status.inspection.id: status for status in client.list()}

        whole = {f"cam-{number}.{detector}" for number in (1, 2, 3) for detector in ("motion", "signal", "health")}
        wanted = {*whole - {"cam-1.motion"}, "cam-1.restricted"}
        until(lambda: all(s.frames_scored > 20 for s in statuses().values()), 30, "all inspections score")
        before = statuses()
        assert set(before) == wanted
        stack.worker.restart()

        def go_on() -> bool:
            now = statuses()
            return all(now[name].fence > before[name].fence and now[name].last.seq > before[name].last.seq + 50
                       for name in wanted)  # fmt: skip

        until(go_on, 30, "another worker goes on")
        after = statuses()
    for name in wanted:
        assert after[name].last.epoch == before[name].last.epoch
        assert unaccounted(after[name]) == unaccounted(before[name]), name
        assert after[name].frames_scored > before[name].frames_scored + 50
