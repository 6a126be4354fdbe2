"""The interface of the fan-out: the compiled hub has all of it, and subscriptions are content with it alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from broker import fanout
from broker.camera import Timing
from broker.core import Counters, Hub, NotDelivered, PacketRing, Subscriber
from broker.feed import Feed
from broker.registry import CameraRegistry
from broker.store import BrokerStore, StoredCamera
from broker.subscriptions import Subscriptions
from mesh.clocks import SystemClock
from mesh.errors import Unavailable
from mesh.tokens import Principal, Role
from tests.support import auntil
from trueframe.v1.broker_pb2 import DELIVERY_LATEST, StreamFramesRequest


@pytest.mark.parametrize(
    ("promised", "compiled"),
    [
        (fanout.Hub, Hub),
        (fanout.Subscriber, Subscriber),
        (fanout.Ring, PacketRing),
        (fanout.Counters, Counters),
        (fanout.NotDelivered, NotDelivered),
    ],
)
def test_the_compiled_hub_has_all_that_is_promised(promised: type, compiled: type) -> None:
    names = [name for name in vars(promised) if not name.startswith("_")]
    assert names
    assert [name for name in names if not hasattr(compiled, name)] == []


class PlainSubscriber:
    """The least that a native server would have to offer: batches by camera, no counters."""

    cameras: list[str]

    def __init__(self, wake: Callable[[], object], delivery: int) -> None:
        self.wake, self.delivery = wake, delivery
        self.cameras = []
        self.waiting: list[bytes] = []
        self.delivered_items = self.delivered_bytes = self.delivered_batches = self.pending_bytes = 0

    @property
    def ready(self) -> bool:
        return bool(self.waiting)

    def add(self, camera: str, start: object = None) -> None:
        self.cameras.append(camera)

    def remove(self, camera: str) -> None:
        self.cameras.remove(camera)

    def take(self, max_items: int = 16, max_bytes: int = 1 << 20) -> bytes:
        taken, self.waiting = self.waiting[:max_items], self.waiting[max_items:]
        self.delivered_items += len(taken)
        return b"".join(taken)

    def close(self) -> None:
        self.cameras.clear()


class PlainHub:
    used_bytes = budget_bytes = 0

    def __init__(self) -> None:
        self.subscribers: list[PlainSubscriber] = []

    def ring(self, camera: str) -> None:
        return None

    def drop(self, camera: str) -> None:
        return None

    def subscriber(self, wake: Callable[[], object], delivery: int = 1, **limits: float) -> PlainSubscriber:
        self.subscribers.append(PlainSubscriber(wake, delivery))
        return self.subscribers[-1]

    def append_frame(self, camera: str, item: bytes) -> None:
        for subscriber in self.subscribers:
            if camera in subscriber.cameras:
                subscriber.waiting.append(item)
                subscriber.wake()


async def test_subscriptions_run_on_another_hub(tmp_path: Path) -> None:
    async def play(stored: StoredCamera, feed: Feed) -> None:
        await asyncio.sleep(60)

    async def requests() -> AsyncIterator[StreamFramesRequest]:
        yield StreamFramesRequest(labels={"site": "north"}, delivery=DELIVERY_LATEST, subscriber="wall")
        await asyncio.sleep(60)

    hub = PlainHub()
    written: list[bytes] = []

    async def write(batch: bytes) -> None:
        written.append(batch)

    store = await BrokerStore.open(tmp_path / "broker.db")
    registry = CameraRegistry(hub, store, SystemClock(), play, Timing(), 10)  # type: ignore[arg-type]
    try:
        await registry.start([StoredCamera("gate", "a.mp4", labels={"site": "north"}), StoredCamera("yard", "b.mp4")])
        subscriptions = Subscriptions(registry, hub, SystemClock(), 4)  # type: ignore[arg-type]
        serving = asyncio.create_task(subscriptions.serve(requests(), Principal("me", Role.SERVICE), write))
        await auntil(lambda: hub.subscribers and hub.subscribers[0].cameras)
        assert hub.subscribers[0].delivery == DELIVERY_LATEST
        assert hub.subscribers[0].cameras == ["gate"]
        hub.append_frame("gate", b"one")
        hub.append_frame("yard", b"two")
        hub.append_frame("gate", b"three")
        subscriptions.stop()
        with pytest.raises(Unavailable):
            await serving
        assert b"".join(written) == b"onethree"
        await subscriptions.drained()
    finally:
        await registry.stop()
        await store.close()


async def test_a_subscription_that_is_opened_while_cameras_are_loaded_finds_them(tmp_path: Path) -> None:
    async def play(stored: StoredCamera, feed: Feed) -> None:
        await asyncio.sleep(60)

    async def requests() -> AsyncIterator[StreamFramesRequest]:
        yield StreamFramesRequest(cameras=["gate"])
        await asyncio.sleep(60)

    async def write(batch: bytes) -> None:
        raise AssertionError("nothing was to be written")

    store = await BrokerStore.open(tmp_path / "broker.db")
    await store.put_camera(StoredCamera("gate", "a.mp4"))
    hub = Hub()
    registry = CameraRegistry(hub, store, SystemClock(), play, Timing(), 10)
    subscriptions = Subscriptions(registry, hub, SystemClock(), 4)
    loading = asyncio.create_task(registry.start([]))
    serving = asyncio.create_task(subscriptions.serve(requests(), Principal("me", Role.SERVICE), write))
    try:
        await auntil(lambda: subscriptions.list() and subscriptions.list()[0].cameras)
        assert not serving.done(), "the camera would not have existed yet"
        subscriptions.stop()
        with pytest.raises(Unavailable):
            await serving
    finally:
        await loading
        await registry.stop()
        await store.close()
