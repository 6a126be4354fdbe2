"""Files played as cameras."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from broker.client import EpochEnded, EpochStarted, WireFrame
from broker.core import canonical
from mesh.errors import TrueframeError
from tests.broker_process import BrokerProcess
from tests.clips import make_clip, units_of
from tests.support import auntil
from trueframe.v1.cameras_pb2 import CAMERA_STATE_REFUSED
from trueframe.v1.frames_pb2 import EPOCH_END_REASON_END_OF_STREAM, JOIN_POINT_EXACT, JOIN_POINT_NONE


@pytest.mark.parametrize(("suffix", "b_frames"), [(".mp4", 2), (".mkv", 0), (".ts", 0), (".h264", 0)])
async def test_a_file_is_played_once_in_real_time_in_decode_order(
    broker: BrokerProcess, tmp_path: Path, suffix: str, b_frames: int
) -> None:
    clip = make_clip(tmp_path / f"clip{suffix}", frames=30, fps=25, b_frames=b_frames)
    frames: list[WireFrame] = []
    async with broker.client() as client:
        stream = client.stream(all_cameras=True)
        await client.add_camera("clip", str(clip))
        async with asyncio.timeout(20):
            started = await anext(stream)
            async for item in stream:
                if isinstance(item, EpochEnded):
                    break
                assert isinstance(item, WireFrame)
                frames.append(item)
    assert isinstance(started, EpochStarted)
    assert (started.width, started.height) == (160, 96)
    assert item.reason == EPOCH_END_REASON_END_OF_STREAM
    assert item.last_seq == 29
    assert [frame.seq for frame in frames] == list(range(30))
    assert [frame.join_point for frame in frames].count(JOIN_POINT_EXACT) == 3
    length_s = (frames[-1].monotonic_ns - frames[0].monotonic_ns) / 1e9
    assert 1.0 < length_s < 2.0
    if suffix == ".h264":
        # Raw files have no start code of fixed length and no times; the units are the same in canonical form.
        assert [bytes(f.payload) for f in frames] == [canonical(unit) for unit in units_of(clip)]
        return
    times = [frame.pts for frame in frames]
    assert sorted(times) == times if not b_frames else sorted(times) != times
    for frame, packet in zip(frames, units_of(clip), strict=True):
        whole = bytes(frame.payload)
        assert whole.startswith(b"\0\0\0\1")
        if suffix == ".ts":
            expected = canonical(packet)
            assert whole == expected
        elif frame.join_point == JOIN_POINT_NONE:
            assert len(whole) == len(packet)
        else:
            assert len(whole) > len(packet), "the parameter sets of the file's header are in the unit"


async def test_a_looped_file_plays_for_ever_with_continuous_times(broker: BrokerProcess, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=10, fps=25)
    async with broker.client() as client:
        await client.add_camera("clip", f"{clip}?loop=1")
        frames: list[WireFrame] = []
        async with asyncio.timeout(20):
            async for item in client.stream(["clip"]):
                if isinstance(item, WireFrame):
                    frames.append(item)
                if len(frames) == 35:
                    break
    assert len({frame.epoch for frame in frames}) == 1
    times = [frame.pts for frame in frames if frame.pts is not None]
    assert len({later - earlier for earlier, later in pairwise(times)}) == 1
    paced = [later.monotonic_ns - earlier.monotonic_ns for earlier, later in pairwise(frames)]
    assert sum(paced) / len(paced) == pytest.approx(40_000_000, rel=0.2)


async def test_a_file_of_sound_alone_is_refused(broker: BrokerProcess, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "sound.mp4", with_audio=True, has_video=False)
    async with broker.client() as client:
        await client.add_camera("clip", str(clip))

        async def refused() -> str:
            camera = await client.get_camera("clip")
            return camera.detail if camera.state == CAMERA_STATE_REFUSED else ""

        assert "holds sound and no video" in str(await auntil(refused, 10))


async def test_sound_beside_video_is_left_out(broker: BrokerProcess, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=10, with_audio=True)
    async with broker.client() as client:
        await client.add_camera("clip", str(clip))
        with pytest.raises(TrueframeError):
            await client.add_camera("clip", str(clip))

        async def has_ended() -> bool:
            return (await client.get_camera("clip")).frames == 10

        await auntil(has_ended, 10)
