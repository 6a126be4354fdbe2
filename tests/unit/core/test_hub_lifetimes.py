"""Cameras and subscribers that come and go: counters, refusals, and nothing that stays behind."""

from __future__ import annotations

import gc
import weakref

import pytest

from broker.core.hub import Hub, Subscriber
from broker.core.wire import BatchReader
from mesh.ids import FrameId
from tests.unit.core.fanout import Bell, Camera, nothing, take_all, told


def test_a_removed_camera_is_silent_and_tells_its_counters() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I.")
    counters = subscriber.remove("gate")
    assert (counters.captured, counters.pending) == (2, 2)
    assert subscriber.take() == b""
    camera.frames(".")
    assert subscriber.cameras == []
    assert not subscriber.ready
    subscriber.add("gate", (5, 1))
    assert told(take_all(subscriber)) == ["start 5", "5/2"]


def test_a_dropped_camera_can_still_be_read_to_its_end() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I")
    camera.end()
    hub.drop("gate")
    assert hub.cameras == []
    assert told(take_all(subscriber)) == ["start 5", "5/0", "end 5"]
    subscriber.remove("gate")
    with pytest.raises(KeyError):
        subscriber.add("gate")


def test_misuse_is_refused() -> None:
    hub = Hub()
    Camera(hub)
    subscriber = Subscriber(hub, nothing)
    with pytest.raises(KeyError):
        subscriber.add("yard")
    with pytest.raises(KeyError):
        hub.append_frame("yard", 1, 0, 0, 0, 2, False, b"x")
    with pytest.raises(KeyError):
        subscriber.counters("gate")
    with pytest.raises(KeyError):
        subscriber.remove("gate")
    with pytest.raises(ValueError, match="for 'gate'"):
        subscriber.add("gate", FrameId("yard", 5, 1))
    assert subscriber.cameras == []
    subscriber.add("gate")
    with pytest.raises(ValueError, match="already"):
        subscriber.add("gate")
    subscriber.close()
    subscriber.close()
    assert subscriber.take() == b""
    with pytest.raises(ValueError, match="closed"):
        subscriber.add("gate")
    assert hub.subscribers == 0


def test_a_closed_subscriber_leaves_nothing_behind() -> None:
    hub = Hub()
    camera = Camera(hub)
    bell = Bell()
    gone = weakref.ref(bell)
    subscriber = Subscriber(hub, bell)
    subscriber.add("gate")
    camera.start(5)
    subscriber.close()
    del subscriber, bell
    gc.collect()
    assert gone() is None
    camera.frames("I")


def test_a_forgotten_subscriber_closes_itself() -> None:
    hub = Hub()
    camera = Camera(hub)
    bell = Bell()
    subscriber = Subscriber(hub, bell)
    subscriber.add("gate")
    camera.start(5)
    assert hub.subscribers == 1
    del subscriber
    gc.collect()
    assert hub.subscribers == 0
    camera.frames("I..")
    assert bell.rings == 1


def test_a_batch_taken_outlives_the_hub() -> None:
    hub = Hub()
    camera = Camera(hub)
    subscriber = Subscriber(hub, nothing)
    subscriber.add("gate")
    camera.start(5)
    camera.frames("I", size=4000)
    batch = subscriber.take()
    subscriber.close()
    del hub, camera, subscriber
    gc.collect()
    assert told(list(BatchReader(batch))) == ["start 5", "5/0"]
