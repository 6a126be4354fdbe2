"""The broker against an RTSP server that is not ours: GStreamer's, serving real footage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest

from broker.client import BrokerClient, EpochStarted, Gap, WireFrame
from broker.core import canonical, split_nals
from tests.broker_process import BrokerProcess
from tests.clips import make_clip
from tests.real_peers import gstreamer, shared
from tests.support import auntil
from trueframe.v1.cameras_pb2 import CAMERA_STATE_LOST, CAMERA_STATE_REFUSED, CAMERA_STATE_UNAUTHORISED
from trueframe.v1.frames_pb2 import JOIN_POINT_EXACT, JOIN_POINT_NONE


def slices(unit: bytes) -> bytes:
    """The coded picture of a unit, without what servers add and drop: parameter sets, AUD, SEI."""
    return b"".join(bytes(nal) for nal in split_nals(unit) if nal[0] & 0x1F in (1, 5))


def pictures_of(path: Path) -> list[bytes]:
    """The coded pictures of a file, in decode order."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        to_annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        return [
            slices(canonical(bytes(out)))
            for packet in container.demux(stream)
            if packet.size
            for out in to_annex_b.filter(packet)
        ]


async def frames_of(client: BrokerClient, camera: str, count: int) -> list[WireFrame]:
    found: list[WireFrame] = []
    async with asyncio.timeout(60):
        async for item in client.stream([camera]):
            assert not isinstance(item, Gap), item
            if isinstance(item, WireFrame):
                found.append(item)
            if len(found) == count:
                break
    return found


def assert_a_run_of(pictures: list[bytes], frames: list[WireFrame]) -> None:
    """The frames are the file's pictures in order, beginning anywhere and going round and round."""
    seen = [slices(bytes(frame.payload)) for frame in frames]
    starts = [index for index, picture in enumerate(pictures) if picture == seen[0]]
    assert starts, "the first frame is none of the file's"
    twice = pictures * (len(frames) // len(pictures) + 2)
    assert any(twice[start : start + len(seen)] == seen for start in starts)


@pytest.mark.parametrize(
    ("name", "count"), [("car-detection.mp4", 60), ("one-by-one-person-detection.mp4", 60)], ids=["sound", "b-frames"]
)
async def test_pictures_arrive_as_they_stand_in_the_file(broker: BrokerProcess, name: str, count: int) -> None:
    clip = shared(f"footage/{name}")
    with gstreamer({"clip": clip}) as server:
        async with broker.client() as client:
            await client.add_camera("clip", server.url("clip"))
            frames = await frames_of(client, "clip", count)
            camera = await client.get_camera("clip")
    assert_a_run_of(pictures_of(clip), frames)
    assert not any(frame.damaged or frame.follows_damage for frame in frames)
    assert frames[0].join_point == JOIN_POINT_EXACT
    for frame in frames:
        kinds = {nal[0] & 0x1F for nal in split_nals(bytes(frame.payload))}
        assert frame.join_point == JOIN_POINT_NONE or {7, 8} <= kinds, "a join point carries its parameter sets"
    assert (camera.width, camera.height) == (768, 432)
    assert (camera.audio_packets_dropped > 0) == (name == "car-detection.mp4"), "sound is dropped and counted"


async def test_digest_authentication_is_passed_and_a_wrong_password_is_told(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    with gstreamer({"clip": clip}, "guard", "pass:w@rd") as server:
        async with broker.client() as client:
            await client.add_camera("right", server.url("clip", "guard:pass:w@rd"))
            await client.add_camera("wrong", server.url("clip", "guard:password"))
            await client.add_camera("path", server.url("nothing", "guard:pass:w@rd"))
            assert len(await frames_of(client, "right", 10)) == 10

            async def states() -> bool:
                wrong, path = await client.get_camera("wrong"), await client.get_camera("path")
                return wrong.state == CAMERA_STATE_UNAUTHORISED and path.state == CAMERA_STATE_REFUSED

            await auntil(states, 15)
    assert "w@rd" not in broker.log


@pytest.fixture
async def served(broker: BrokerProcess, tmp_path: Path) -> AsyncIterator[BrokerClient]:
    async with broker.client() as client:
        yield client


async def test_a_server_that_is_killed_and_comes_back_is_picked_up_again(served: BrokerClient, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    with gstreamer({"clip": clip}) as server:
        await served.add_camera("clip", server.url("clip"))
        first = (await frames_of(served, "clip", 5))[-1]
        await asyncio.to_thread(server.stop)

        async def is_lost() -> bool:
            return (await served.get_camera("clip")).state == CAMERA_STATE_LOST

        await auntil(is_lost, 10)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(30):
            async for item in served.stream(["clip"]):
                if isinstance(item, EpochStarted):
                    break
        assert item.epoch > first.epoch
