"""What the watch measures is what is the case: files, rings, the loop's time and how late it is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import pytest

from broker import load_watch
from broker.admission import Capacity
from broker.camera import Timing
from broker.core import Hub
from broker.feed import Feed
from broker.load import LoadRow
from broker.load_watch import LoadWatch
from broker.registry import CameraRegistry
from broker.store import BrokerStore, StoredCamera
from broker.subscriptions import Subscriptions
from mesh.clocks import SystemClock
from mesh.errors import ResourceExhausted
from tests.support import auntil


@asynccontextmanager
async def watch(
    folder: Path, capacity: Capacity, told: list[LoadRow]
) -> AsyncIterator[tuple[LoadWatch, CameraRegistry]]:
    """A watch over a registry whose cameras never connect."""

    async def play(camera: StoredCamera, feed: Feed) -> None:
        await asyncio.sleep(60)

    hub, clock = Hub(budget_bytes=capacity.memory_bytes), SystemClock()
    store = await BrokerStore.open(folder / "broker.db")
    cameras = CameraRegistry(hub, store, clock, play, Timing(), 100, admit=lambda camera: one.admit_camera(camera))
    one = LoadWatch(cameras, Subscriptions(cameras, hub, clock, 10), hub, clock, capacity, told.append)
    running = asyncio.create_task(one.run())
    try:
        await cameras.start([])
        yield one, cameras
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await cameras.stop()
        await store.close()


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty measurements a second."""
    monkeypatch.setattr(load_watch, "_EVERY_S", 0.05)
    monkeypatch.setattr(load_watch, "_LAG_EVERY_S", 0.01)
    monkeypatch.setattr(load_watch, "_TOLD_ALL_AFTER", 3)


def dev_null() -> IO[bytes]:
    return Path("/dev/null").open("rb")


def used(one: LoadWatch) -> dict[str, float]:
    return {row.name: row.used for row in one.rows}


@pytest.mark.usefixtures("quickly")
async def test_a_loop_that_is_kept_busy_is_seen_as_that_and_as_late(tmp_path: Path) -> None:
    async with watch(tmp_path, Capacity(100, 10), []) as (one, _):
        await auntil(lambda: one.measured_ns, 5)

        def is_seen() -> bool:
            until_s = time.thread_time() + 0.06
            while time.thread_time() < until_s:
                pass
            # On a machine that is busy with others, 60 ms of work take long.
            return used(one)["loop_cpu"] > idle + 0.02 and used(one)["loop_lag"] > 0.04

        idle = used(one)["loop_cpu"]
        await auntil(is_seen, 20, "the loop was busy for 60 ms again and again")
        assert used(one)["cpu"] >= used(one)["loop_cpu"] * 0.9


@pytest.mark.usefixtures("quickly")
async def test_cameras_files_and_rings_are_counted(tmp_path: Path) -> None:
    async with watch(tmp_path, Capacity(100, 10, 1 << 24, 1.0, 4096), []) as (one, cameras):
        await auntil(lambda: one.measured_ns, 5)
        files = used(one)["descriptors"]
        await cameras.add(StoredCamera("gate", "gate.mp4"))
        with contextlib.ExitStack() as opened:
            for _ in range(20):
                opened.enter_context(dev_null())
            await auntil(lambda: used(one)["descriptors"] >= files + 20, 5, "twenty more files")
        assert used(one)["cameras"] == 1
        assert used(one)["subscriptions"] == used(one)["ring_memory"] == 0
        assert {row.name: row.limit for row in one.rows}["ring_memory"] == 1 << 24


@pytest.mark.usefixtures("quickly")
async def test_soon_after_a_start_every_limit_that_is_good_is_told(tmp_path: Path) -> None:
    told: list[LoadRow] = []
    async with watch(tmp_path, Capacity(100, 10), told) as (one, _):
        await auntil(lambda: len(told) >= len(one.rows), 5)
        assert sorted(row.name for row in told) == [row.name for row in one.rows]
        assert not any(row.degraded for row in told)


async def test_the_registry_asks_before_it_stores(tmp_path: Path) -> None:
    async with watch(tmp_path, Capacity(2, 10, descriptors=100_000), []) as (_, cameras):
        await cameras.add(StoredCamera("cam-1", "a.mp4"))
        await cameras.add(StoredCamera("cam-2", "a.mp4"))
        with pytest.raises(ResourceExhausted, match="one more than the 2"):
            await cameras.add(StoredCamera("cam-3", "a.mp4"))
        await cameras.remove("cam-1")
        await cameras.add(StoredCamera("cam-3", "a.mp4"))
