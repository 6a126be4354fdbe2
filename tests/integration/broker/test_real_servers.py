"""The broker against servers that are not ours, in every codec: GStreamer, VLC, an HTTP server; FFmpeg as witness."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import av
import pytest

from broker.client import BrokerClient, EpochStarted, Gap, WireFrame
from broker.core import canonical
from tests.broker_process import BrokerProcess, running_broker
from tests.clips import make_clip
from tests.real_peers import gstreamer
from tests.real_servers import mjpeg_http, vlc
from tests.support import auntil
from trueframe.v1.cameras_pb2 import CAMERA_STATE_REFUSED, CAMERA_STATE_UNAUTHORISED
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG, JOIN_POINT_EXACT

UNITS = 60
LOGIN = ("guard", "pass:w@rd")
CODECS = {"h264": CODEC_H264, "h265": CODEC_H265, "mjpeg": CODEC_MJPEG}
TO_ANNEX_B = {"h264": "h264_mp4toannexb", "h265": "hevc_mp4toannexb"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One for all tests; each has cameras of its own."""
    with running_broker(tmp_path_factory.mktemp("broker")) as process:
        yield process


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A clip of every codec, with B-frames where there are any; units are larger than packets."""
    folder = tmp_path_factory.mktemp("clips")
    size = (320, 192)
    return {
        "h264": make_clip(folder / "h264.mp4", frames=100, fps=30, size=size, texture=40, b_frames=2),
        "h265": make_clip(folder / "h265.mp4", frames=100, fps=30, size=size, texture=40, b_frames=2, codec="libx265"),
        "mjpeg": make_clip(folder / "mjpeg.avi", frames=100, fps=30, size=size, texture=40, codec="mjpeg"),
    }


def coded(payload: bytes, codec: str) -> bytes:
    """What codes the picture, without what servers add and drop: parameter sets, AUD, SEI; a JPEG's tables."""
    if codec == "mjpeg":
        scan = payload[payload.index(b"\xff\xda") :]
        # RFC 2435 carries the scan alone: its header is made anew, and so may the component numbers in it be.
        scan = scan[2 + int.from_bytes(scan[2:4], "big") :]
        while scan.endswith(b"\xff\xd9"):
            scan = scan[:-2]  # FFmpeg appends a second one
        return scan
    nals = [nal for nal in payload.split(b"\0\0\0\1") if nal]
    kinds = {"h264": lambda nal: nal[0] & 0x1F in (1, 5), "h265": lambda nal: nal[0] >> 1 & 0x3F < 32}
    return b"".join(nal for nal in nals if kinds[codec](nal))


def pictures_of(path: Path, codec: str) -> list[bytes]:
    """The coded pictures of a file, in decode order."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        if codec == "mjpeg":
            return [coded(bytes(packet), codec) for packet in packets]
        to_annex_b = av.BitStreamFilterContext(TO_ANNEX_B[codec], stream)
        return [coded(canonical(bytes(out)), codec) for packet in packets for out in to_annex_b.filter(packet)]


def assert_a_run_of(pictures: list[bytes], seen: list[bytes]) -> None:
    """These are the file's pictures in order, beginning anywhere and going round and round."""
    twice = pictures * (len(seen) // len(pictures) + 2)
    starts = [at for at, picture in enumerate(pictures) if picture == seen[0]]
    assert starts, "the first is none of the file's"
    assert any(twice[at : at + len(seen)] == seen for at in starts)


async def taken(client: BrokerClient, camera: str, *, may_lose: bool = False) -> tuple[EpochStarted, list[WireFrame]]:
    """Frames in a row. `may_lose`: over UDP, on a machine that stands still, a told loss begins the row anew."""
    found: list[WireFrame] = []
    started: EpochStarted | None = None
    async with asyncio.timeout(60):
        async for item in client.stream([camera]):
            assert may_lose or not isinstance(item, Gap), item
            if isinstance(item, Gap) or (may_lose and isinstance(item, WireFrame) and item.damaged):
                found.clear()
            elif isinstance(item, EpochStarted):
                assert started is None, "a second epoch"
                started = item
            elif isinstance(item, WireFrame) and (found or (item.join_point == JOIN_POINT_EXACT and not item.damaged)):
                # VLC begins anywhere, in the middle of a picture too.
                found.append(item)
            if len(found) == UNITS:
                break
    assert started is not None
    assert [frame.seq for frame in found] == list(range(found[0].seq, found[0].seq + UNITS))
    assert not any(frame.damaged or frame.follows_damage for frame in found)
    return started, found


def seen_by_ffmpeg(url: str, codec: str, options: Mapping[str, str], units: int = 25) -> list[bytes]:
    """Coded pictures as FFmpeg's client gets them from the same server."""
    with av.open(url, options=dict(options), timeout=15) as container:
        found: list[bytes] = []
        for packet in container.demux(video=0):
            if not found and not packet.is_keyframe:
                continue  # VLC begins anywhere
            data = bytes(packet)
            found.append(coded(data if codec == "mjpeg" else canonical(data), codec))
            if len(found) == units:
                return found
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_gstreamer_with_digest_authentication_gives_what_the_files_hold(
    broker: BrokerProcess, clips: dict[str, Path], transport: str
) -> None:
    with gstreamer(clips, *LOGIN) as server:
        async with broker.client() as client:
            for codec in CODECS:
                url = server.url(codec, ":".join(LOGIN))
                await client.add_camera(f"{transport}-{codec}", url, transport=transport)
            may_lose = transport == "udp"
            received = await asyncio.gather(
                *(taken(client, f"{transport}-{codec}", may_lose=may_lose) for codec in CODECS)
            )
            cameras = {camera.spec.id: camera for camera in await client.list_cameras()}
        options = {"rtsp_transport": transport, "buffer_size": "1000000"}
        urls = [server.url(codec, "guard:pass%3Aw%40rd") for codec in CODECS]
        theirs = await asyncio.gather(
            *(asyncio.to_thread(seen_by_ffmpeg, *one, options) for one in zip(urls, CODECS, strict=True))
        )
    for codec, (started, frames), seen in zip(CODECS, received, theirs, strict=True):
        pictures = pictures_of(clips[codec], codec)
        assert_a_run_of(pictures, [coded(bytes(frame.payload), codec) for frame in frames])
        assert_a_run_of(pictures, seen)
        assert (started.codec, started.width, started.height) == (CODECS[codec], 320, 192)
        assert cameras[f"{transport}-{codec}"].transport_used == transport


async def test_vlc_which_has_no_rtp_over_tcp_is_played_over_udp(broker: BrokerProcess, clips: dict[str, Path]) -> None:
    with contextlib.ExitStack() as servers:
        urls = {codec: servers.enter_context(vlc(clips[codec])) for codec in CODECS}
        async with broker.client() as client:
            for codec, url in urls.items():
                await client.add_camera(f"vlc-{codec}", url)
            received = await asyncio.gather(*(taken(client, f"vlc-{codec}", may_lose=True) for codec in CODECS))
            cameras = {camera.spec.id: camera for camera in await client.list_cameras()}
        options = {"rtsp_transport": "udp", "buffer_size": "1000000"}
        theirs = await asyncio.gather(
            *(asyncio.to_thread(seen_by_ffmpeg, url, codec, options) for codec, url in urls.items())
        )
    for codec, (started, frames), seen in zip(CODECS, received, theirs, strict=True):
        pictures = pictures_of(clips[codec], codec)
        assert_a_run_of(pictures, [coded(bytes(frame.payload), codec) for frame in frames])
        assert_a_run_of(pictures, seen)
        assert started.codec == CODECS[codec]
        assert cameras[f"vlc-{codec}"].transport_used == "udp"


@pytest.fixture
async def client(broker: BrokerProcess) -> AsyncIterator[BrokerClient]:
    async with broker.client() as connected:
        yield connected


async def test_multipart_motion_jpeg_over_http_is_the_files_very_bytes(
    client: BrokerClient, clips: dict[str, Path]
) -> None:
    with av.open(str(clips["mjpeg"])) as container:
        files = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    with mjpeg_http({"clip": clips["mjpeg"]}) as base:
        await client.add_camera("clip", base + "clip")
        started, frames = await taken(client, "clip")
        camera = await client.get_camera("clip")
        theirs = await asyncio.to_thread(seen_by_ffmpeg, base + "clip", "mjpeg", {})
    assert_a_run_of(files, [bytes(frame.payload) for frame in frames])
    assert_a_run_of([coded(file, "mjpeg") for file in files], theirs)
    assert (started.codec, camera.transport_used) == (CODEC_MJPEG, "http")


async def test_what_is_no_stream_is_refused_with_what_helps(client: BrokerClient, clips: dict[str, Path]) -> None:
    async def detail(camera: str, state: int) -> str:
        found = await client.get_camera(camera)
        return found.detail if found.state == state else ""

    with mjpeg_http({"clip": clips["mjpeg"]}) as base, gstreamer({"clip": clips["h265"]}, *LOGIN) as server:
        await client.add_camera("single", base + "one.jpg")
        await client.add_camera("absent", base + "nothing")
        await client.add_camera("guarded", server.url("clip", "guard:wrong"))
        assert "multipart/x-mixed-replace" in str(await auntil(lambda: detail("single", CAMERA_STATE_REFUSED), 15))
        assert "'/nothing'" in str(await auntil(lambda: detail("absent", CAMERA_STATE_REFUSED), 15))
        assert "password" in str(await auntil(lambda: detail("guarded", CAMERA_STATE_UNAUTHORISED), 15))
