"""Where a subscriber begins: live, behind an id, at a time, and what it is told of what lies between."""

from __future__ import annotations

import pytest

from broker.core.hub import Hub, Subscriber
from mesh.ids import FrameId
from tests.unit.core.fanout import BROKER_LOST, OVERRUN, Bell, Camera, nothing, take_all, told
from trueframe.v1.frames_pb2 import FrameId as ProtoId


def test_a_subscriber_gets_everything_from_the_beginning_of_an_epoch_on() -> None:
    hub = Hub()
    camera = Camera(hub)
    with Subscriber(hub, nothing) as subscriber:
        subscriber.add("gate")
        camera.start(5)
        camera.frames("..I")
        camera.gap(count=None)
        camera.frames(".")
        camera.end()
        camera.start(9)
        camera.frames("I")
        assert told(take_all(subscriber)) == [
            *["start 5", "5/0", "5/1", "5/2", "gap NETWORK_LOSS ? →", "5/3", "end 5", "start 9", "9/0"],
        ]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", ["start 5", "5/0"]),
        ("I", ["start 5", "5/0", "5/1"]),
        ("I..I..", ["start 5", "5/3", "5/4", "5/5", "5/6"]),
        ("I..R..", ["start 5", "5/3", "5/4", "5/5", "5/6"]),
        ("I..X", ["start 5", "5/0", "5/1", "5/2", "5/3", "5/4"]),
        ("..", ["start 5", "5/0", "5/1", "5/2"]),
    ],
)
def test_live_begins_at_the_newest_join_point_that_is_whole(before: str, expected: list[str]) -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames(before)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.frames(".")
    assert told(take_all(subscriber)) == expected


def test_live_on_a_camera_that_is_down_waits_for_its_next_epoch() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I..")
    camera.end()
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    assert subscriber.take() == b""
    camera.start(6)
    camera.frames("I")
    assert told(take_all(subscriber)) == ["start 6", "6/0"]
    assert subscriber.counters("gate").captured == 1


def test_behind_an_id_it_goes_on_without_a_seam() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I...I.")
    starts: list[tuple[int, int] | FrameId | ProtoId] = [
        (5, 1),
        FrameId("gate", 5, 1),
        ProtoId(camera="gate", epoch=5, seq=1),
    ]
    for start in starts:
        subscriber = Subscriber(hub, nothing)
        subscriber.add("gate", start)
        assert told(take_all(subscriber)) == ["start 5", "5/2", "5/3", "5/4", "5/5"]
        counters = subscriber.counters("gate")
        assert (counters.captured, counters.delivered, counters.pending) == (4, 4, 0)


def test_behind_the_newest_id_it_waits_for_the_next() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I.")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 1))
    assert subscriber.take() == b""
    camera.frames(".")
    assert told(take_all(subscriber)) == ["start 5", "5/2"]


def test_a_gap_behind_the_id_is_told() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I.")
    camera.gap()
    camera.frames(".")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 1))
    assert told(take_all(subscriber)) == ["gap NETWORK_LOSS ? →", "start 5", "5/2"]


def test_behind_an_id_that_has_gone_the_overrun_is_counted() -> None:
    hub = Hub(max_items=6)
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I......I..")
    camera.end()
    camera.start(6)
    camera.frames("I")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 2))
    assert told(take_all(subscriber)) == [
        *["gap OVERRUN 4 5/2→5/7", "start 5", "5/7", "5/8", "5/9", "end 5", "start 6", "6/0"],
    ]
    counters = subscriber.counters("gate")
    assert (counters.captured, counters.delivered, counters.not_delivered[OVERRUN].count) == (8, 4, 4)


def test_an_overrun_over_several_epochs_is_counted_too() -> None:
    hub = Hub(max_items=3)
    camera = Camera(hub)
    for epoch in (5, 6, 7):
        camera.start(epoch)
        camera.frames("I...")
        camera.end()
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 1))
    # No join point is held: it goes on with what there is.
    assert told(take_all(subscriber)) == ["gap OVERRUN 8 5/1→7/2", "start 7", "7/2", "7/3", "end 7"]


def test_behind_an_id_of_a_broker_that_died_the_gap_has_no_count() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(50)
    camera.frames("I.")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 2))
    assert told(take_all(subscriber)) == ["gap BROKER_LOST ? 5/2→", "start 50", "50/0", "50/1"]
    counters = subscriber.counters("gate")
    assert (counters.captured, counters.delivered) == (2, 2)
    assert counters.not_delivered[BROKER_LOST].unknown_gaps == 1


def test_behind_an_id_of_a_dead_broker_the_gap_is_told_at_once_even_if_nothing_came_yet() -> None:
    hub = Hub()
    bell = Bell()
    camera = Camera(hub)
    subscriber = Subscriber(hub, bell)
    subscriber.add("gate", (5, 2))
    assert bell.rings == 1
    assert told(take_all(subscriber)) == ["gap BROKER_LOST ? 5/2→"]
    camera.start(9)
    camera.frames("I")
    assert told(take_all(subscriber)) == ["start 9", "9/0"]


def test_an_id_from_the_future_gets_what_comes_next() -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I.")
    for start, first in [((5, 7), []), ((9, 0), ["gap BROKER_LOST ? 9/0→"])]:
        subscriber = Subscriber(hub, nothing)
        subscriber.add("gate", start)
        assert told(take_all(subscriber))[: len(first)] == first
        camera.frames(".")
        assert told(take_all(subscriber))[-1] == f"5/{camera.seq - 1}"


@pytest.mark.parametrize(
    ("at_ns", "first"), [(0, "5/0"), (1009, "5/0"), (1040, "5/3"), (1069, "5/3"), (1 << 60, "5/6")]
)
def test_a_time_begins_at_the_join_point_before_it(at_ns: int, first: str) -> None:
    hub = Hub()
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I..I..I.")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", at_ns)
    assert told(take_all(subscriber))[:2] == ["start 5", first]


def test_a_loss_right_behind_the_id_is_told_even_if_it_went() -> None:
    hub = Hub(max_items=2)
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I")
    camera.gap()
    camera.frames("II")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate", (5, 0))
    assert told(take_all(subscriber)) == ["gap NETWORK_LOSS ? 5/0→", "start 5", "5/1", "5/2"]
