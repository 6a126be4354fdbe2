"""H.265 and Motion JPEG files played as cameras."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from broker.client import BrokerClient, EpochEnded, EpochStarted, WireFrame
from broker.core import canonical, split_nals
from tests.broker_process import BrokerProcess, running_broker
from tests.clips import make_clip, units_of
from tests.support import auntil
from trueframe.v1.cameras_pb2 import CAMERA_STATE_REFUSED
from trueframe.v1.frames_pb2 import CODEC_H265, CODEC_MJPEG, JOIN_POINT_EXACT

VPS_SPS_PPS = {32, 33, 34}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One for all: files of one test are nothing to another."""
    with running_broker(tmp_path_factory.mktemp("broker")) as process:
        yield process


async def played(client: BrokerClient, source: Path) -> tuple[EpochStarted, list[WireFrame]]:
    """All that a file gives, played once."""
    frames: list[WireFrame] = []
    started: EpochStarted | None = None
    camera = (await client.add_camera(source.parent.name.replace("_", "-"), str(source))).spec.id
    async with asyncio.timeout(20):
        async for item in client.stream([camera], starts={camera: 1}):
            if isinstance(item, EpochEnded):
                assert started is not None
                return started, frames
            if isinstance(item, EpochStarted):
                started = item
            else:
                assert isinstance(item, WireFrame), item
                frames.append(item)
    raise AssertionError("the stream ended before the epoch")


def kinds(unit: bytes) -> list[int]:
    return [nal[0] >> 1 & 0x3F for nal in split_nals(unit)]


def slices(unit: bytes) -> list[bytes]:
    return [bytes(nal) for nal in split_nals(unit) if nal[0] >> 1 & 0x3F < 32]


def in_annex_b(packet: bytes, suffix: str) -> bytes:
    """A packet of a file in Annex B form, by other means than the broker's."""
    if suffix not in (".mp4", ".mkv"):
        return canonical(packet)
    data, at = bytearray(packet), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        data[at : at + 4] = b"\0\0\0\1"
        at += 4 + size
    return bytes(data)


@pytest.mark.parametrize(("suffix", "b_frames"), [(".mp4", 2), (".mkv", 2), (".ts", 0), (".h265", 0)])
async def test_an_h265_file_is_played_unit_for_unit(
    broker: BrokerProcess, tmp_path: Path, suffix: str, b_frames: int
) -> None:
    clip = make_clip(tmp_path / f"clip{suffix}", frames=30, fps=50, codec="libx265", b_frames=b_frames)
    async with broker.client() as client:
        started, frames = await played(client, clip)
    assert (started.codec, started.width, started.height) == (CODEC_H265, 160, 96)
    assert set(kinds(started.parameter_sets)) == VPS_SPS_PPS
    packets = [in_annex_b(packet, suffix) for packet in units_of(clip)]
    assert [slices(bytes(frame.payload)) for frame in frames] == [slices(packet) for packet in packets]
    exact = [frame for frame in frames if frame.join_point == JOIN_POINT_EXACT]
    assert len(exact) == 3
    assert all(set(kinds(bytes(frame.payload))) >= VPS_SPS_PPS for frame in exact), "join points carry the sets"
    if suffix == ".ts":
        assert [bytes(frame.payload) for frame in frames] == packets
    if suffix != ".h265":
        times = [frame.pts for frame in frames]
        assert None not in times
        assert sorted(times) == times if not b_frames else sorted(times) != times  # type: ignore[type-var]


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mkv"])
async def test_a_motion_jpeg_file_is_played_byte_for_byte(broker: BrokerProcess, tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / f"clip{suffix}", frames=30, fps=50, codec="mjpeg", texture=60)
    async with broker.client() as client:
        started, frames = await played(client, clip)
    assert (started.codec, started.width, started.height, started.parameter_sets) == (CODEC_MJPEG, 160, 96, b"")
    assert [bytes(frame.payload) for frame in frames] == units_of(clip)
    assert all(frame.join_point == JOIN_POINT_EXACT and not frame.damaged for frame in frames)
    assert 0.5 < (frames[-1].monotonic_ns - frames[0].monotonic_ns) / 1e9 < 1.5


@pytest.mark.parametrize(("codec", "suffix"), [("libx265", ".mp4"), ("mjpeg", ".avi")])
async def test_a_looped_file_goes_on_in_one_epoch(
    broker: BrokerProcess, tmp_path: Path, codec: str, suffix: str
) -> None:
    clip = make_clip(tmp_path / f"clip{suffix}", frames=10, fps=50, codec=codec)
    async with broker.client() as client:
        await client.add_camera(f"loop-{codec}", f"{clip}?loop=1")
        frames: list[WireFrame] = []
        async with asyncio.timeout(20):
            async for item in client.stream([f"loop-{codec}"]):
                if isinstance(item, WireFrame):
                    frames.append(item)
                if len(frames) == 25:
                    break
    assert len({frame.epoch for frame in frames}) == 1
    times = sorted(frame.pts for frame in frames if frame.pts is not None)
    assert len({later - earlier for earlier, later in pairwise(times)}) == 1


@pytest.mark.parametrize(
    ("codec", "name", "told"), [("mpeg4", "clip.avi", "MPEG-4 Part 2"), ("libvpx-vp9", "clip.webm", "VP9")]
)
async def test_a_codec_that_is_not_carried_is_named_with_the_command_that_converts_it(
    broker: BrokerProcess, tmp_path: Path, codec: str, name: str, told: str
) -> None:
    clip = make_clip(tmp_path / name, codec=codec, frames=4)
    async with broker.client() as client:
        await client.add_camera(codec, str(clip))

        async def refused() -> str:
            camera = await client.get_camera(codec)
            return camera.detail if camera.state == CAMERA_STATE_REFUSED else ""

        detail = str(await auntil(refused, 10))
    assert f"is coded as {told}" in detail
    assert f"ffmpeg -i {name} -c:v libx264 clip-h264.mp4" in detail
