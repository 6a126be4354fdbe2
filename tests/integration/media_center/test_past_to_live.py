"""One stream from the past into live: whatever restarts meanwhile, every frame once and in order, gaps told."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import aclosing
from itertools import islice
from typing import Any

import simulator.testing
from broker.client import BrokerClient, WireFrame
from media_center.client import FootageClient, FootageItem, stream_from, stream_from_sync
from mesh.ids import FrameId
from tests.support import until
from trueframe.v1 import frames_pb2

FPS = 25


def recorded(instance: Any, camera: str) -> FrameId | None:
    with instance.footage() as footage:
        marks = {mark.camera: mark for mark in next(iter(footage.watch_persisted([camera])))}
        return marks.get(camera)


def wait_for_footage(instance: Any, camera: str, frames: int) -> None:
    until(lambda: (mark := recorded(instance, camera)) is not None and mark.seq >= frames, 60, "footage")


def assert_complete(items: list[FootageItem], sent: list[bytes]) -> None:
    """Frames are those that were sent, in order, without one missing or twice, and epochs are told before them."""
    frames = [item for item in items if isinstance(item, WireFrame)]
    begin = sent.index(bytes(frames[0].digest))
    assert [bytes(frame.digest) for frame in frames] == sent[begin : begin + len(frames)]
    assert not [item for item in items if isinstance(item, frames_pb2.Gap)]
    assert isinstance(items[0], frames_pb2.EpochStarted)


def test_the_past_goes_over_into_live_without_a_seam(instance: Any) -> None:
    with simulator.testing.running(1, fps=FPS) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        wait_for_footage(instance, "cam-1", 60)
        first = footage.recordings(["cam-1"]).recordings[0].first
        start = FrameId("cam-1", first.epoch, 7)
        stream = stream_from_sync(footage, broker, "cam-1", start)
        items = list(islice(stream, 200))
        stream.close()
        newest_ns = [item.received_ns for item in items if isinstance(item, WireFrame)][-1]
        assert [item.seq for item in items if isinstance(item, WireFrame)] == list(range(7, 206))
        assert time.time_ns() - newest_ns < 20_000_000_000
        assert_complete(items, [unit.digest for unit in sim.log("cam-1")])


def test_a_media_center_that_restarts_in_the_middle_of_the_past_costs_no_frame(instance: Any) -> None:
    with simulator.testing.running(2, fps=FPS) as sim, instance.broker() as broker, instance.footage() as footage:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)
        for camera in sim.urls:
            wait_for_footage(instance, camera, 80)
        stream = stream_from_sync(footage, broker, list(sim.urls), None)
        items = list(islice(stream, 10))
        instance.end("media_center", signal.SIGKILL)
        instance.start("media_center")
        items += islice(stream, 450)
        stream.close()
        for camera in sim.urls:
            mine = [item for item in items if item.camera == camera]
            assert len(mine) > 150
            assert_complete(mine, [unit.digest for unit in sim.log(camera)])


def test_a_killed_broker_is_told_and_what_was_recorded_before_it_died_is_not_missing(instance: Any) -> None:
    async def read() -> list[FootageItem]:
        items: list[FootageItem] = []
        token = instance.token("operator")
        async with (
            FootageClient(instance.config.media_center.endpoint, token) as footage,
            BrokerClient(instance.config.broker.endpoint, token) as live,
            aclosing(stream_from(footage, live, "cam-1", None, patience_s=20)) as stream,
        ):
            async for item in stream:
                items.append(item)
                frames = [item for item in items if isinstance(item, WireFrame)]
                if len(frames) == 90 and isinstance(item, WireFrame):
                    await asyncio.to_thread(instance.end, "broker", signal.SIGKILL)
                    await asyncio.to_thread(instance.start, "broker")
                if frames and sum(frame.epoch > frames[0].epoch for frame in frames) >= 60:
                    break
        return items

    with simulator.testing.running(1, fps=FPS) as sim:
        with instance.broker() as broker:
            broker.add_camera("cam-1", sim.urls["cam-1"])
        wait_for_footage(instance, "cam-1", 50)
        items = asyncio.run(read())
        with instance.footage() as footage:
            recorded_items = list(footage.replay("cam-1"))
        sent = {unit.digest for unit in sim.log("cam-1")}
    ids = [item.id for item in items if isinstance(item, WireFrame)]
    on_disk = [item.id for item in recorded_items if isinstance(item, WireFrame)]
    assert ids == sorted(set(ids))
    assert not {frame for frame in on_disk if frame <= ids[-1]} - set(ids)
    gaps = [item for item in items if isinstance(item, frames_pb2.Gap)]
    assert [gap.reason for gap in gaps] == [frames_pb2.GAP_REASON_BROKER_LOST]
    assert {bytes(item.digest) for item in items if isinstance(item, WireFrame)} <= sent


def test_live_overtaken_by_its_ring_goes_on_out_of_the_footage(make_instance: Callable[..., Any]) -> None:
    instance = make_instance(broker__ring_seconds=2)
    instance.up()
    with simulator.testing.running(1, fps=FPS) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        wait_for_footage(instance, "cam-1", 30)
        stream = stream_from_sync(footage, broker, "cam-1", None)
        items: list[FootageItem] = []
        while len(items) < 60:
            items.append(next(stream))
        reached = len(sim.log("cam-1"))
        until(lambda: len(sim.log("cam-1")) > reached + 8 * FPS, 60)
        items += islice(stream, 300)
        stream.close()
        assert_complete(items, [unit.digest for unit in sim.log("cam-1")])


def test_what_neither_has_is_a_gap(make_instance: Callable[..., Any]) -> None:
    instance = make_instance(broker__ring_seconds=1)
    instance.up()
    with simulator.testing.running(1, fps=FPS) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        wait_for_footage(instance, "cam-1", 30)
        mark = recorded(instance, "cam-1")
        assert mark is not None
        instance.end("media_center", signal.SIGKILL)
        reached = len(sim.log("cam-1"))
        until(lambda: len(sim.log("cam-1")) > reached + 4 * FPS, 60)
        instance.start("media_center")
        instance.wait_ready("media_center")
        stream = stream_from_sync(footage, broker, "cam-1", None, patience_s=1)
        items = list(islice(stream, 300))
        stream.close()
        gaps = [item for item in items if isinstance(item, frames_pb2.Gap)]
        frames = [item for item in items if isinstance(item, WireFrame)]
        assert len(gaps) == 1
        assert frames[-1].seq + 1 == len(frames) + gaps[0].count
        assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames})
