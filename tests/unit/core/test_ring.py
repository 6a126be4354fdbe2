"""What a ring holds and what goes."""

from __future__ import annotations

import gc
import sys

import pytest

from broker.core.hub import Hub
from broker.core.ring import PacketRing, live_items
from broker.core.wire import encode_frame, encode_item
from tests.unit.core.fanout import Camera
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Frame, Gap, Item


def test_the_oldest_items_go_when_bytes_run_out() -> None:
    hub = Hub(max_bytes=1000)
    camera = Camera(hub)
    camera.start(5)
    item = camera.frame(2, size=200)
    camera.frames("...........", size=200)
    ring = hub.ring("gate")
    assert ring.bytes <= 1000
    assert len(ring) == 1000 // len(item)
    assert ring.first_id == (5, 12 - len(ring))
    assert ring.last_id == (5, 11)
    assert ring.frames == 12
    assert ring.evicted_frames == 12 - len(ring)
    assert ring.evicted_items == ring.evicted_frames + 1


def test_the_oldest_items_go_with_age() -> None:
    hub = Hub(max_ns=50)
    camera = Camera(hub, step_ns=10)
    camera.start(5)
    camera.frames("I" * 20)
    assert len(hub.ring("gate")) == 6
    assert hub.ring("gate").age_ns == 50


def test_the_number_of_items_is_bounded() -> None:
    hub = Hub(max_items=4)
    camera = Camera(hub)
    camera.start(5)
    camera.frames("I" * 200)
    assert len(hub.ring("gate")) == 4


def test_the_newest_item_stays_however_large_it_is() -> None:
    hub = Hub(max_bytes=100)
    camera = Camera(hub)
    camera.start(5)
    camera.frame(2, size=5000)
    assert len(hub.ring("gate")) == 1
    assert hub.ring("gate").first_id == (5, 0)


def test_items_are_shared_not_copied_and_released_with_the_ring() -> None:
    gc.collect()
    held = live_items()
    ring = PacketRing("gate")
    item = encode_frame("gate", 1, 0, 1, 1, None, None, None, 2, 0, False, False, b"", b"x" * 500)
    references = sys.getrefcount(item)
    ring.append_frame(1, 0, 1, 1, 2, False, item)
    assert sys.getrefcount(item) == references + 1
    assert live_items() == held + 1
    del ring
    assert sys.getrefcount(item) == references
    assert live_items() == held


def test_evicted_items_are_released() -> None:
    ring = PacketRing("gate", max_items=2)
    items = [encode_frame("gate", 1, i, i, i, None, None, None, 2, 0, False, False, b"", b"x") for i in range(5)]
    counts = [sys.getrefcount(items[i]) for i in range(5)]
    for i in range(5):
        ring.append_frame(1, i, i, i, 2, False, items[i])
    assert [sys.getrefcount(items[i]) - counts[i] for i in range(5)] == [0, 0, 0, 1, 1]


def test_ids_without_order_are_refused_and_change_nothing() -> None:
    ring = PacketRing("gate")
    ring.append_item(EpochStarted(camera="gate", epoch=5))
    ring.append_frame(5, 0, 1, 1, 2, False, b"item")
    for epoch, seq, reason in [(5, 0, "holes"), (5, 2, "holes"), (4, 0, "over"), (6, 1, "holes")]:
        with pytest.raises(ValueError, match=reason):
            PacketRing.append_frame(ring, epoch, seq, 1, 1, 2, False, b"item")
    with pytest.raises(ValueError, match="not behind"):
        ring.append_item(EpochStarted(camera="gate", epoch=5))
    with pytest.raises(ValueError, match="not running"):
        ring.append_item(EpochEnded(camera="gate", epoch=4))
    ring.append_frame(5, 1, 1, 1, 2, False, b"item")
    ring.append_item(EpochEnded(camera="gate", epoch=5))
    with pytest.raises(ValueError, match="over"):
        ring.append_frame(5, 2, 1, 1, 2, False, b"item")
    with pytest.raises(ValueError, match="not running"):
        ring.append_item(EpochEnded(camera="gate", epoch=5))
    assert ring.frames == 2
    assert len(ring) == 4


@pytest.mark.parametrize(
    "item",
    [
        Gap(camera="yard"),
        Frame(),
        Item(),
        b"",
        b"\x0a",
        encode_item(Gap(camera="gate")) * 2,
    ],
)
def test_items_that_do_not_belong_are_refused(item: bytes) -> None:
    ring = PacketRing("gate")
    with pytest.raises(ValueError, match=r"."):
        ring.append_item(item)
    assert len(ring) == 0


@pytest.mark.parametrize("bounds", [{"max_bytes": 0}, {"max_ns": 0}, {"max_items": 0}])
def test_bounds_are_positive(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        PacketRing("gate", **bounds)


def test_a_flapping_camera_costs_bounded_memory() -> None:
    hub = Hub(max_items=10)
    camera = Camera(hub)
    for epoch in range(1, 2000):
        camera.start(epoch)
        camera.frame(2)
        camera.end()
    assert len(hub.ring("gate")) == 10
    assert hub.ring("gate").last_id == (1999, 0)


def test_an_empty_ring_knows_nothing() -> None:
    ring = PacketRing("gate")
    assert (len(ring), ring.first_id, ring.last_id, ring.age_ns, ring.bytes) == (0, None, None, 0, 0)
