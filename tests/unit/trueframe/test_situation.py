from dataclasses import replace

from mesh.ids import FrameId
from trueframe.situation import MOST_EVENTS, CameraSight, EventSight, Picture, Situation


def event(number: int, **fields: object) -> EventSight:
    sight = EventSight(f"e{number:05d}", "anomaly", "gate", "motion@1", "somebody", started_ns=number, version=1)
    return replace(sight, **fields)  # type: ignore[arg-type]


def test_recorded_frames_are_counted_over_epochs_from_when_the_view_began() -> None:
    situation = Situation()
    situation.persisted([FrameId("gate", 1, 99)])
    situation.persisted([FrameId("gate", 1, 109), FrameId("yard", 5, 3)])
    situation.persisted([FrameId("gate", 2, 4)])
    assert situation.recorded_frames == 10 + 5
    assert situation.is_recorded(FrameId("gate", 1, 500))
    assert not situation.is_recorded(FrameId("gate", 2, 5))


def test_recorded_frames_of_an_instance_are_counted_from_its_start() -> None:
    situation = Situation(began_ns=1000)
    situation.persisted([FrameId("gate", 1001, 9), FrameId("yard", 999, 50)])
    situation.persisted([FrameId("gate", 1001, 19), FrameId("yard", 999, 60)])
    assert situation.recorded_frames == 20 + 10


def test_an_older_version_of_an_event_never_replaces_a_newer_one() -> None:
    situation = Situation()
    assert situation.event_told(event(1, version=2)) is None
    situation.event_told(event(1, version=1, summary="old"))
    assert situation.events[0].summary == "somebody"


def test_events_are_bounded_and_the_oldest_are_let_go_and_counted() -> None:
    situation = Situation()
    for number in range(MOST_EVENTS + 5):
        situation.event_told(event(number))
    assert len(situation.events) == MOST_EVENTS
    assert situation.events[0].id == f"e{MOST_EVENTS + 4:05d}"
    assert situation.events_let_go == 5


def test_a_picture_that_was_never_drawn_is_counted_when_a_newer_one_comes() -> None:
    situation = Situation()
    first, second, third = (Picture(FrameId("gate", 1, n), n, 1, 1, b"abc") for n in range(3))
    situation.picture_arrived(first)
    situation.picture_arrived(second)
    situation.picture_drawn("gate")
    situation.picture_arrived(third)
    assert situation.pictures["gate"] is third
    assert situation.pictures_replaced == 1


def test_switched_off_cameras_are_not_missed() -> None:
    situation = Situation()
    for camera, state in (("a", "live"), ("b", "disabled"), ("c", "lost")):
        situation.camera_told(CameraSight(camera, camera, state))
    assert situation.live_count == 1
    assert [camera.id for camera in situation.wanted_cameras] == ["a", "c"]


def test_a_service_that_goes_is_news_once() -> None:
    situation = Situation()
    assert situation.link_told("broker", False, 1)
    assert not situation.link_told("broker", False, 2)
    assert [link.service for link in situation.down] == ["broker"]
    assert situation.link_told("broker", True, 3)
    assert situation.down == []
