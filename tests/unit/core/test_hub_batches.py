"""Waking and batches: when a subscriber is called, how much it is handed, whose turn it is."""

from __future__ import annotations

import pytest

from broker.core.hub import Hub, Subscriber
from broker.core.wire import BatchReader
from tests.unit.core.fanout import Bell, Camera, nothing, take_all, told


def test_wake_is_called_once_until_everything_was_taken() -> None:
    hub = Hub()
    camera = Camera(hub)
    bell = Bell()
    subscriber = Subscriber(hub, bell)
    subscriber.add("gate")
    assert bell.rings == 0
    assert not subscriber.ready
    camera.start(5)
    camera.frames("I..")
    assert bell.rings == 1
    assert subscriber.take(2)
    camera.frames(".")
    assert bell.rings == 1
    assert subscriber.ready
    assert len(take_all(subscriber)) == 3
    assert not subscriber.ready
    camera.frames(".")
    assert bell.rings == 2


def test_a_subscriber_may_take_inside_its_wake() -> None:
    hub = Hub()
    camera = Camera(hub)
    got: list[object] = []
    subscriber = Subscriber(hub, lambda: got.extend(take_all(subscriber)))
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I..")
    assert told(got) == ["start 5", "5/0", "5/1", "5/2"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wake_that_fails_does_not_keep_the_frame_from_others() -> None:
    hub = Hub()
    camera = Camera(hub)

    def broken() -> None:
        raise RuntimeError("broken")

    bell = Bell()
    first, second = Subscriber(hub, broken), Subscriber(hub, bell)
    first.add("gate")
    second.add("gate")
    camera.start(5)
    camera.frames("I")
    assert bell.rings == 1
    assert len(take_all(first)) == len(take_all(second)) == 2


def test_a_batch_is_bounded_in_items_and_bytes_but_one_larger_item_goes_alone() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    small = len(camera.frame(2, size=500))
    camera.frame(1, size=500)
    large = len(camera.frame(1, size=9000))
    camera.frames("....")
    sizes = []
    while batch := subscriber.take(3, 2 * small):
        sizes.append((len(list(BatchReader(batch))), len(batch)))
    assert [count for count, _ in sizes] == [2, 1, 1, 3, 1]
    assert sizes[2][1] == large
    assert all(size <= 2 * small for i, (_, size) in enumerate(sizes) if i != 2)


def test_a_single_item_is_handed_out_without_a_copy() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    take_all(subscriber)
    item = camera.frame(2)
    assert subscriber.take() is item


def test_cameras_take_turns() -> None:
    hub = Hub()
    busy, quiet = Camera(hub, "busy"), Camera(hub, "quiet")
    subscriber = Subscriber(hub, nothing)
    subscriber.add("busy")
    subscriber.add("quiet")
    busy.start(5)
    busy.frames("I" * 30)
    quiet.start(5)
    quiet.frames("I")
    cameras = [item.camera for item in BatchReader(subscriber.take(4))]
    assert cameras == ["busy", "quiet", "busy", "quiet"]
