"""Frames over real sockets, held against the sender's own log."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import urllib.request
from itertools import pairwise
from pathlib import Path

import grpc
import grpc.aio
import pytest

from broker.client import EpochEnded, EpochStarted, Gap, StreamItem, WireFrame
from mesh.channel import connect
from mesh.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from mesh.ids import FrameId
from simulator import sei
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.broker_watch import Recording
from tests.support import auntil
from trueframe.v1 import broker_pb2, broker_pb2_grpc
from trueframe.v1.cameras_pb2 import CAMERA_STATE_LIVE, CAMERA_STATE_SILENT
from trueframe.v1.frames_pb2 import (
    EPOCH_END_REASON_BROKER_STOPPED,
    EPOCH_END_REASON_RECONFIGURED,
    EPOCH_END_REASON_SILENT,
    GAP_REASON_BROKER_LOST,
    GAP_REASON_NETWORK_LOSS,
    JOIN_POINT_EXACT,
)


def assert_without_hole(frames: list[WireFrame]) -> None:
    for earlier, later in pairwise(frames):
        if later.epoch == earlier.epoch:
            assert later.seq == earlier.seq + 1
            assert later.received_ns >= earlier.received_ns
        else:
            assert later.epoch > earlier.epoch
            assert later.seq == 0


def sent_digests(sim: Simulator, camera: str) -> dict[int, bytes]:
    return {unit.number: unit.digest for unit in sim.log(camera)}


async def test_frames_have_the_digests_of_the_sender_and_no_hole(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client, Recording(client, all_cameras=True) as recording:
        for camera, url in sim.urls.items():
            await client.add_camera(camera, url)
        for camera in sim.urls:
            await recording.until_frames(camera, 100)
        for camera in sim.urls:
            frames = recording.frames(camera)
            sent = sent_digests(sim, camera)
            assert isinstance(recording.items[camera][0], EpochStarted)
            assert_without_hole(frames)
            assert recording.gaps(camera) == []
            numbers = [sei.read(frame.payload) for frame in frames]
            for frame, (number, sent_ns) in zip(frames, numbers, strict=True):
                assert frame.digest == sent[number] == hashlib.sha256(frame.payload).digest()
                assert not frame.damaged
                assert not frame.follows_damage
                assert 0 <= frame.received_ns - sent_ns < 1_000_000_000
            assert [number for number, _ in numbers] == list(range(numbers[0][0], numbers[0][0] + len(frames)))


async def test_the_cameras_clock_is_known_within_its_uncertainty(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("cam", sim.urls["cam-1"])
        async with Recording(client, ["cam"]) as recording:
            await recording.until_frames("cam", 30)
        for frame in recording.frames("cam")[10:]:
            assert frame.camera_time_ns is not None
            assert frame.camera_time_uncertainty_ns is not None
            assert 0 < frame.camera_time_uncertainty_ns < 5_000_000
            assert abs(frame.camera_time_ns - frame.received_ns) < 500_000_000


async def test_a_unit_hit_by_loss_is_damaged_or_in_a_gap_and_the_other_camera_loses_nothing(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        await client.add_camera("hit", sim.urls["cam-1"])
        await client.add_camera("well", sim.urls["cam-2"])
        async with Recording(client, ["hit", "well"]) as recording:
            await recording.until_frames("hit", 5)
            sim.fault("cam-1", "lose", share=0.03, seed=7)
            try:
                await recording.until_frames("hit", 200)
                await recording.until_frames("well", 200)
            finally:
                sim.fault("cam-1", "none")
    sent = {unit.number: unit for unit in sim.log("cam-1")}
    frames = recording.frames("hit")
    assert_without_hole(frames)
    arrived = {}
    for frame in frames:
        if not frame.damaged:
            arrived[sei.read(frame.payload)[0]] = frame
    assert all(frame.digest == sent[number].digest for number, frame in arrived.items())
    hit = [n for n, unit in sent.items() if min(arrived) < n < max(arrived) and unit.dropped_packets]
    assert hit, "the fault lost nothing: the test shows nothing"
    assert not set(hit) & set(arrived), "a hit unit passed as whole"
    told = sum(frame.damaged for frame in frames) + len(recording.gaps("hit"))
    missing = [n for n in range(min(arrived), max(arrived)) if n not in arrived]
    assert told > 0
    for number in missing:
        # Between the whole neighbours of a missing unit stands a damaged frame or a gap.
        before = max(n for n in arrived if n < number)
        after = min(n for n in arrived if n > number)
        items = recording.items["hit"]
        between = items[items.index(arrived[before]) + 1 : items.index(arrived[after])]
        assert any(isinstance(item, Gap) or item.damaged for item in between), number
    for gap in recording.gaps("hit"):
        assert gap.reason == GAP_REASON_NETWORK_LOSS
        assert not gap.HasField("count")
    is_dirty = False
    for frame in frames:
        is_dirty = (is_dirty or frame.damaged) and not (frame.join_point == JOIN_POINT_EXACT and not frame.damaged)
        assert frame.follows_damage or frame.damaged or not is_dirty
    assert not any(f.damaged or f.follows_damage for f in recording.frames("well"))
    assert recording.gaps("well") == []


async def test_cameras_come_and_go_live_while_another_loses_nothing(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("steady", sim.urls["cam-1"])
        async with Recording(client, all_cameras=True) as recording:
            await recording.until_frames("steady", 5)
            for number in range(4):
                await client.add_camera(f"guest-{number}", sim.urls["cam-2"])
                await recording.until_frames(f"guest-{number}", 3)
                await client.remove_camera(f"guest-{number}")
                await auntil(lambda n=number: isinstance(recording.items[f"guest-{n}"][-1], EpochEnded), 5)
            count = len(recording.frames("steady"))
            await recording.until_frames("steady", count + 5)
            assert [camera.spec.id for camera in await client.list_cameras()] == ["steady"]
    assert_without_hole(recording.frames("steady"))
    assert len({frame.epoch for frame in recording.frames("steady")}) == 1
    ended = recording.items["guest-0"][-1]
    assert isinstance(ended, EpochEnded)
    assert ended.reason == EPOCH_END_REASON_RECONFIGURED
    assert ended.last_seq == recording.frames("guest-0")[-1].seq


async def test_a_cut_connection_gives_a_new_epoch_and_a_gap_for_what_was_sent_into_it(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client, contextlib.AsyncExitStack() as stack:
        await client.add_camera("gate", sim.urls["cam-3"])
        recording = await stack.enter_async_context(Recording(client, ["gate"]))
        await recording.until_frames("gate", 5)
        sim.fault("cam-3", "drop")
        await auntil(lambda: len({f.epoch for f in recording.frames("gate")}) == 2, 15)
    assert_without_hole(recording.frames("gate"))
    kinds = [type(item) for item in recording.items["gate"] if not isinstance(item, WireFrame)]
    assert kinds == [EpochStarted, Gap, EpochEnded, EpochStarted]
    (gap,) = recording.gaps("gate")
    assert gap.reason == GAP_REASON_NETWORK_LOSS
    assert not gap.HasField("count")


async def test_a_camera_that_stalls_is_silent_and_recovers(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-4"])
        async with Recording(client, ["gate"]) as recording:
            await recording.until_frames("gate", 5)
            sim.fault("cam-4", "stall")

            async def state() -> int:
                return (await client.get_camera("gate")).state

            async def is_silent() -> bool:
                return await state() == CAMERA_STATE_SILENT

            async def is_live() -> bool:
                return await state() == CAMERA_STATE_LIVE

            await auntil(is_silent, 10)
            sim.fault("cam-4", "none")
            await auntil(is_live, 20)
            await auntil(lambda: len({f.epoch for f in recording.frames("gate")}) == 2, 10)
    ended = next(item for item in recording.items["gate"] if isinstance(item, EpochEnded))
    assert ended.reason == EPOCH_END_REASON_SILENT


async def test_a_broker_that_stops_in_order_ends_its_epochs(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        async with Recording(client, ["gate"], reconnect=False) as recording:
            await recording.until_frames("gate", 5)
            assert await asyncio.to_thread(broker.stop) == 0
            await auntil(lambda: recording.error, 5)
    assert isinstance(recording.error, Unavailable)
    ended = recording.items["gate"][-1]
    assert isinstance(ended, EpochEnded)
    assert ended.reason == EPOCH_END_REASON_BROKER_STOPPED
    assert ended.last_seq == recording.frames("gate")[-1].seq


async def test_a_stream_outlives_a_killed_broker_and_is_told_of_the_gap(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        async with Recording(client, ["gate"]) as recording:
            await recording.until_frames("gate", 10)
            await asyncio.to_thread(broker.kill)
            count = len(recording.frames("gate"))
            await asyncio.to_thread(broker.start)
            await recording.until_frames("gate", count + 10)
    frames = recording.frames("gate")
    assert_without_hole(frames)
    assert len({frame.epoch for frame in frames}) == 2
    [gap] = recording.gaps("gate")
    assert gap.reason == GAP_REASON_BROKER_LOST
    assert not gap.HasField("count")
    last = next(a for a, b in pairwise(frames) if a.epoch != b.epoch)
    assert FrameId.from_proto(gap.after) == last.id


async def test_a_subscriber_resumes_behind_an_id_without_a_seam(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        async with Recording(client, ["gate"]) as first:
            await first.until_frames("gate", 10)
        last = first.frames("gate")[-1]
        async with Recording(client, ["gate"], starts={"gate": last.id}) as second:
            await second.until_frames("gate", 10)
    assert second.frames("gate")[0].id == FrameId("gate", last.epoch, last.seq + 1)
    assert second.gaps("gate") == []


async def test_a_token_of_some_cameras_streams_those_and_no_others(broker: BrokerProcess, sim: Simulator) -> None:
    token = broker.mint("guard", "viewer", ["gate"])
    async with broker.client() as client, broker.client(token) as guard:
        await client.add_camera("gate", sim.urls["cam-1"])
        await client.add_camera("vault", sim.urls["cam-2"])
        assert [camera.spec.id for camera in await guard.list_cameras()] == ["gate"]
        with pytest.raises(PermissionDenied):
            await anext(guard.stream(["vault"]))
        with pytest.raises(PermissionDenied):
            await guard.get_camera("vault")
        with pytest.raises(PermissionDenied):
            await guard.add_camera("gate-2", "clip.mp4")
        async with Recording(guard, all_cameras=True) as recording:
            await recording.until_frames("gate", 10)
        assert set(recording.items) == {"gate"}


async def test_a_stream_without_cameras_or_of_an_unknown_one_is_refused(broker: BrokerProcess) -> None:
    async with broker.client() as client:
        with pytest.raises(InvalidArgument, match="all_cameras"):
            await anext(client.stream([]))
        with pytest.raises(NotFound, match="nowhere"):
            await anext(client.stream(["nowhere"]))
        with pytest.raises(InvalidArgument):
            await anext(client.stream(["NOT A SLUG"]))


async def test_subscriptions_are_counted_to_the_frame(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        async with Recording(client, ["gate"], subscriber="the test") as recording:
            await recording.until_frames("gate", 20)
            [subscription] = await client.list_subscriptions()
        [row] = subscription.counters
        assert (subscription.subscriber, subscription.principal) == ("the test", "test")
        assert row.captured == row.delivered + row.pending + sum(m.count for m in row.not_delivered)
        assert row.delivered >= 20

        async def is_gone() -> bool:
            return not await client.list_subscriptions()

        await auntil(is_gone, 5)


async def test_watchers_see_present_states_then_changes_then_removal(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"], display_name="Nordtor ⛩")
        watching = client.watch_cameras()
        first = await anext(watching)
        assert first.caught_up
        assert first.camera.spec.display_name == "Nordtor ⛩"
        async with asyncio.timeout(15):
            while first.camera.state != CAMERA_STATE_LIVE:
                first = await anext(watching)
            assert first.camera.width == 320
            await client.remove_camera("gate")
            while not first.removed:
                first = await anext(watching)
        assert first.camera.spec.id == "gate"
        await watching.aclose()  # type: ignore[attr-defined]


async def test_the_plain_iterator_gives_the_same(broker: BrokerProcess, sim: Simulator) -> None:
    def read() -> list[WireFrame]:
        found: list[WireFrame] = []
        with broker.sync_client() as client:
            client.add_camera("gate", sim.urls["cam-1"])
            for item in client.stream(["gate"]):
                if isinstance(item, WireFrame):
                    found.append(item)
                if len(found) == 30:
                    break
        return found

    frames = await asyncio.to_thread(read)
    assert_without_hole(frames)
    sent = sent_digests(sim, "cam-1")
    assert all(frame.digest == sent[sei.read(frame.payload)[0]] for frame in frames)


async def test_a_bad_change_of_the_camera_set_ends_the_stream_with_the_reason(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
    async with connect(broker.endpoint, broker.token) as channel:
        call = broker_pb2_grpc.BrokerServiceStub(channel).StreamFrames()
        await call.write(broker_pb2.StreamFramesRequest(cameras=["gate"]))
        await call.read()
        await call.write(broker_pb2.StreamFramesRequest(cameras=["gate", "nowhere"]))
        async with asyncio.timeout(10):
            with contextlib.suppress(grpc.aio.AioRpcError):
                while await call.read() is not grpc.aio.EOF:
                    pass
            assert await call.code() == grpc.StatusCode.NOT_FOUND
            assert "nowhere" in str(await call.details())


async def test_a_listing_that_is_sent_back_keeps_the_credentials(broker: BrokerProcess) -> None:
    with running(1, arguments=("--auth", "u:right")) as locked:
        async with broker.client() as client:
            await client.add_camera("gate", f"rtsp://u:right@127.0.0.1:{locked.port}/cam-1")
            spec = (await client.get_camera("gate")).spec
            assert "right" not in spec.source
            spec.display_name = "North gate"
            await client.update_camera(spec)
            async with Recording(client, ["gate"]) as recording:
                await recording.until_frames("gate", 5)
            assert (await client.get_camera("gate")).spec.display_name == "North gate"


async def test_figures_are_served_to_prometheus(sim: Simulator, tmp_path: Path) -> None:
    with running_broker(tmp_path / "data", "run.metrics=true") as broker:
        async with broker.client() as client:
            await client.add_camera("gate", sim.urls["cam-1"])
            async with Recording(client, ["gate"], subscriber="figures") as recording:
                await recording.until_frames("gate", 10)
                url = (broker.run_dir / "broker.metrics").read_text().strip()

                def read() -> str:
                    with urllib.request.urlopen(url, timeout=10) as answer:
                        return str(answer.read().decode())

                text = await asyncio.to_thread(read)
        figures = {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"
        }
    assert figures['trueframe_broker_frames_total{camera="gate"}'] >= 10
    assert figures['trueframe_broker_camera_state{camera="gate",state="live"}'] == 1
    assert figures['trueframe_broker_delivered_frames_total{subscriber="figures"}'] >= 10
    assert figures["trueframe_broker_subscriptions"] == 1


async def test_the_plain_iterator_outlives_a_killed_broker(broker: BrokerProcess, sim: Simulator) -> None:
    def read() -> list[StreamItem]:
        found: list[StreamItem] = []
        with broker.sync_client() as client:
            client.add_camera("gate", sim.urls["cam-1"])
            for item in client.stream(["gate"]):
                found.append(item)
                if len(found) == 10:
                    broker.kill()
                    broker.start()
                if isinstance(item, WireFrame) and item.seq > 5 and any(isinstance(i, Gap) for i in found):
                    break
        return found

    items = await asyncio.to_thread(read)
    frames = [item for item in items if isinstance(item, WireFrame)]
    assert_without_hole(frames)
    [gap] = [item for item in items if isinstance(item, Gap)]
    assert gap.reason == GAP_REASON_BROKER_LOST
    assert len({frame.epoch for frame in frames}) == 2
