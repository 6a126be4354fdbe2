"""Cameras that misbehave in every way the simulator knows: a state, no crash, and recovery by themselves."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from broker.client import EpochStarted, Gap, WireFrame
from mesh.channel import connect
from mesh.errors import ResourceExhausted
from mesh.ids import FrameId
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.broker_watch import camera_in_state
from tests.support import auntil
from trueframe.v1 import broker_pb2, broker_pb2_grpc
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_LIVE,
    CAMERA_STATE_LOST,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_SILENT,
    CAMERA_STATE_UNAUTHORISED,
)
from trueframe.v1.frames_pb2 import GAP_REASON_BEFORE_PARAMETER_SETS, GAP_REASON_OVERRUN, FrameBatch


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        ("hang", (CAMERA_STATE_SILENT, CAMERA_STATE_LOST)),
        ("garbage", (CAMERA_STATE_SILENT, CAMERA_STATE_LOST, CAMERA_STATE_REFUSED)),
        ("refuse", (CAMERA_STATE_REFUSED,)),
        ("unauthorised", (CAMERA_STATE_UNAUTHORISED,)),
        ("audio-only", (CAMERA_STATE_REFUSED,)),
        ("stop", (CAMERA_STATE_LOST,)),
    ],
)
async def test_a_fault_becomes_a_state_and_heals_while_the_neighbour_loses_nothing(
    broker: BrokerProcess, sim: Simulator, fault: str, states: tuple[int, ...]
) -> None:
    async with broker.client() as client:
        await client.add_camera("ill", sim.urls["cam-1"])
        await client.add_camera("well", sim.urls["cam-2"])
        await camera_in_state(client, "ill", CAMERA_STATE_LIVE)
        await camera_in_state(client, "well", CAMERA_STATE_LIVE)
        before = await client.get_camera("well")
        sim.fault("cam-1", fault)
        try:
            shown = await camera_in_state(client, "ill", *states)
            assert "127.0.0.1" in shown.detail or CAMERA_STATE_SILENT in states
        finally:
            sim.fault("cam-1", "none")
        # Unauthorised is retried after 5 to 10 s, so that no camera locks the account.
        await camera_in_state(client, "ill", CAMERA_STATE_LIVE)
        after = await client.get_camera("well")
    assert (after.epoch, after.connections, after.network_gaps) == (before.epoch, 1, 0)
    assert after.frames > before.frames
    assert "Traceback" not in broker.log


async def test_corrupt_packets_never_pass_as_whole_units_of_another_digest(
    broker: BrokerProcess, sim: Simulator
) -> None:
    sent = {unit.digest for unit in sim.log("cam-3")}
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-3"])
        await camera_in_state(client, "gate", CAMERA_STATE_LIVE)
        sim.fault("cam-3", "corrupt", share=0.2)
        try:
            frames: list[WireFrame] = []
            async with asyncio.timeout(30):
                async for item in client.stream(["gate"]):
                    if isinstance(item, WireFrame):
                        frames.append(item)
                    if len(frames) == 100:
                        break
        finally:
            sim.fault("cam-3", "none")
    sent |= {unit.digest for unit in sim.log("cam-3")}
    different = [frame for frame in frames if frame.digest not in sent]
    assert different, "the fault hit nothing: the test shows nothing"
    assert all(earlier.seq + 1 == later.seq for earlier, later in pairwise(frames))
    assert "Traceback" not in broker.log


async def test_units_before_parameter_sets_are_told_when_a_camera_begins_anywhere(broker: BrokerProcess) -> None:
    arguments = ("--no-sprop", "--start-anywhere")
    with running(1, fps=25, gop_s=4.0, arguments=arguments) as anywhere:
        async with broker.client() as client:
            for name in ("gate-1", "gate-2", "gate-3"):
                await client.add_camera(name, anywhere.urls["cam-1"])
                stream = client.stream([name])
                async with asyncio.timeout(20):
                    started, gap, frame = [await anext(stream) for _ in range(3)]
                if isinstance(gap, Gap):
                    break  # Else it began, by chance, with the one unit in a hundred that carries them.
        assert isinstance(started, EpochStarted)
        assert isinstance(gap, Gap)
        assert isinstance(frame, WireFrame)
        assert gap.reason == GAP_REASON_BEFORE_PARAMETER_SETS
        connection = [unit for unit in anywhere.log("cam-1") if unit.connection == int(name[-1])]
        assert gap.count == [unit.digest for unit in connection].index(frame.digest)


async def test_a_reader_that_stops_reading_is_told_what_it_missed_and_delays_nobody(tmp_path: Path) -> None:
    settings = ("broker.ring_bytes=1048576", "broker.ring_seconds=60")
    with (
        running(1, fps=25, gop_s=0.4, arguments=("--pad-bytes", "60000")) as heavy,
        running_broker(tmp_path / "data", *settings) as broker,
    ):
        async with broker.client() as client, broker.client() as other:
            await client.add_camera("gate", heavy.urls["cam-1"])
            await camera_in_state(client, "gate", CAMERA_STATE_LIVE)
            slow = client.stream(["gate"], subscriber="slow")
            first = [await anext(slow), await anext(slow)][-1]
            assert isinstance(first, WireFrame)
            seen: list[WireFrame] = []
            async with asyncio.timeout(60):
                async for item in other.stream(["gate"], subscriber="quick"):
                    assert not isinstance(item, Gap), "the quick one loses nothing"
                    if isinstance(item, WireFrame):
                        seen.append(item)
                    if len(seen) >= 300:
                        break
            assert all(earlier.seq + 1 == later.seq for earlier, later in pairwise(seen))
            last = first
            async with asyncio.timeout(30):
                async for item in slow:
                    if isinstance(item, Gap):
                        break
                    assert isinstance(item, WireFrame)
                    assert item.seq == last.seq + 1
                    last = item
                after = await anext(slow)
            assert isinstance(item, Gap)
            assert item.reason == GAP_REASON_OVERRUN
            assert FrameId.from_proto(item.after) == last.id
            assert isinstance(after, WireFrame)
            assert after.seq == last.seq + 1 + item.count
            [subscription] = [s for s in await client.list_subscriptions() if s.subscriber == "slow"]
            [row] = subscription.counters
            assert row.captured == row.delivered + row.pending + sum(m.count for m in row.not_delivered)
            assert sum(m.count for m in row.not_delivered) == item.count


async def test_the_camera_set_changes_on_the_open_stream_without_a_seam(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        for name, camera in (("a", "cam-1"), ("b", "cam-2"), ("c", "cam-4")):
            await client.add_camera(name, sim.urls[camera])
            await camera_in_state(client, name, CAMERA_STATE_LIVE)
    async with connect(broker.endpoint, broker.token) as channel:
        call = broker_pb2_grpc.BrokerServiceStub(channel).StreamFrames()
        frames: dict[str, list[int]] = {"a": [], "b": [], "c": []}

        async def read_until(camera: str, count: int) -> None:
            async with asyncio.timeout(20):
                while len(frames[camera]) < count:
                    batch = await call.read()
                    assert isinstance(batch, FrameBatch)
                    for item in batch.items:
                        if item.HasField("frame"):
                            frames[item.frame.id.camera].append(item.frame.id.seq)

        await call.write(broker_pb2.StreamFramesRequest(cameras=["a", "b"]))
        await read_until("a", 10)
        await read_until("b", 10)
        await call.write(broker_pb2.StreamFramesRequest(cameras=["b", "c"]))
        await read_until("c", 20)
        await read_until("b", 40)
        call.cancel()
    for seqs in frames.values():
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert len(frames["a"]) < len(frames["b"])


async def test_one_subscription_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    with running_broker(tmp_path / "data", "broker.max_subscribers=1") as broker:
        async with broker.client() as client, broker.client() as other:
            await client.add_camera("gate", "clip.mp4", disabled=True)
            waiting = asyncio.ensure_future(anext(client.stream(["gate"])))

            async def is_open() -> bool:
                return bool(await client.list_subscriptions())

            await auntil(is_open, 10)
            with pytest.raises(ResourceExhausted, match=r"broker\.max_subscribers"):
                await anext(other.stream(["gate"]))
            waiting.cancel()
            await asyncio.wait([waiting])
