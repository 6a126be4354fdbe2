"""Cameras that send Motion JPEG over HTTP(S): every part arrives as it was sent, every refusal says what helps."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from broker.client import BrokerClient, EpochStarted, Gap, WireFrame
from simulator import sei
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.broker_watch import camera_in_state
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_LIVE,
    CAMERA_STATE_LOST,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_UNAUTHORISED,
)
from trueframe.v1.frames_pb2 import CODEC_MJPEG, JOIN_POINT_EXACT

LOGIN = "guard:pa:ss"
KINDS = {
    "cam-1": "scheme=http,auth=none",
    "cam-2": "scheme=http,auth=basic,sloppy=no-length",
    "cam-3": "scheme=http,auth=digest-qop,boundary=quoted",
    "cam-4": "scheme=https,auth=digest-sha256",
    "cam-5": "scheme=http,auth=both,boundary=dashes,sloppy=lf-parts+no-length+chunked",
    "cam-6": "scheme=http,auth=digest-stale,boundary=odd,sloppy=junk+case",
    "cam-7": "scheme=http,auth=digest,redirect=path",
    "cam-8": "scheme=http,auth=none,redirect=tls",
    "cam-9": "scheme=http,auth=none,redirect=loop",
    "cam-10": "scheme=https,auth=none,redirect=plain",
}
UNITS = 25


@pytest.fixture(scope="module")
def served() -> Iterator[Simulator]:
    traits = {camera: f"codec=mjpeg,{kind}" for camera, kind in KINDS.items()}
    serve = ("--auth", LOGIN, "--scenes", "hall")
    with running(len(KINDS), fps=25, loop_s=4, traits=traits, arguments=serve) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One for all tests; each has cameras of its own."""
    settings = ("broker.silent_after_s=1.5", "broker.connect_timeout_s=2")
    with running_broker(tmp_path_factory.mktemp("broker"), *settings) as process:
        yield process


@pytest.fixture
async def client(broker: BrokerProcess) -> AsyncIterator[BrokerClient]:
    async with broker.client() as connected:
        yield connected


def with_login(url: str, login: str = "guard:pa%3Ass") -> str:
    return url.replace("://", f"://{login}@")


async def taken(client: BrokerClient, camera: str, units: int = UNITS) -> list[WireFrame]:
    found: list[WireFrame] = []
    async with asyncio.timeout(30):
        async for item in client.stream([camera]):
            assert not isinstance(item, Gap), item
            if isinstance(item, EpochStarted):
                assert (item.codec, item.parameter_sets) == (CODEC_MJPEG, b"")
            elif isinstance(item, WireFrame):
                found.append(item)
            if len(found) == units:
                break
    return found


async def test_every_part_arrives_as_it_was_sent_the_moment_it_was_read(
    client: BrokerClient, served: Simulator
) -> None:
    cameras = [f"cam-{number}" for number in range(1, 8)]
    for camera in cameras:
        url = with_login(served.urls[camera])
        await client.add_camera(camera, url, tls_sha256=served.ready["tls_sha256"] if url[:5] == "https" else "")
    for camera, frames in zip(cameras, await asyncio.gather(*(taken(client, one) for one in cameras)), strict=True):
        sent = {unit.digest: unit for unit in served.log(camera)}
        rows = [sent[hashlib.sha256(frame.payload).digest()] for frame in frames]
        whole = [row for row in served.log(camera) if row.connection == rows[0].connection and not row.dropped_packets]
        at = whole.index(rows[0])
        assert rows == whole[at : at + UNITS], camera
        numbers = [row.number for row in rows]
        assert all(frame.join_point == JOIN_POINT_EXACT and not frame.damaged for frame in frames), camera
        assert [sei.read(bytes(frame.payload))[0] for frame in frames] == numbers, camera
        # Long before the next one, 40 ms later, is sent.
        late_ns = sorted(frame.monotonic_ns - sent[bytes(frame.digest)].sent_monotonic_ns for frame in frames)
        assert late_ns[len(late_ns) // 2] < 35_000_000, camera
        scheme = "https" if camera == "cam-4" else "http"
        assert (await client.get_camera(camera)).transport_used == scheme


async def test_a_redirect_to_tls_leads_to_a_certificate_that_must_be_believed(
    client: BrokerClient, served: Simulator
) -> None:
    await client.add_camera("yard-2", served.urls["cam-8"])
    detail = (await camera_in_state(client, "yard-2", CAMERA_STATE_REFUSED)).detail
    assert "certificate that is not believed" in detail
    assert served.ready["tls_sha256"] in detail.replace(":", "").lower()


async def test_a_redirect_out_of_the_encryption_or_in_circles_is_refused(
    client: BrokerClient, served: Simulator
) -> None:
    await client.add_camera("circle", served.urls["cam-9"])
    await client.add_camera("plain", served.urls["cam-10"], tls_sha256=served.ready["tls_sha256"])
    assert "redirects more than 5 times" in (await camera_in_state(client, "circle", CAMERA_STATE_REFUSED)).detail
    assert "out of the encryption" in (await camera_in_state(client, "plain", CAMERA_STATE_REFUSED)).detail


async def test_another_certificate_than_the_pinned_one_gets_no_password(
    client: BrokerClient, served: Simulator
) -> None:
    await client.add_camera("yard-4", with_login(served.urls["cam-4"]), tls_sha256="ab" * 32)
    assert "another certificate" in (await camera_in_state(client, "yard-4", CAMERA_STATE_REFUSED)).detail


async def test_wrong_and_missing_passwords_are_told_apart(
    client: BrokerClient, served: Simulator, broker: BrokerProcess
) -> None:
    await client.add_camera("none", served.urls["cam-3"])
    await client.add_camera("wrong", with_login(served.urls["cam-3"], "guard:s3cret"))
    assert "asks for a user and a password" in (await camera_in_state(client, "none", CAMERA_STATE_UNAUTHORISED)).detail
    assert (
        "refuses the user or the password" in (await camera_in_state(client, "wrong", CAMERA_STATE_UNAUTHORISED)).detail
    )
    assert "s3cret" not in broker.log


async def test_what_goes_wrong_on_the_way_is_told_and_the_camera_comes_back(
    client: BrokerClient, served: Simulator
) -> None:
    await client.add_camera("yard-6", served.urls["cam-1"])
    frames = await taken(client, "yard-6", 5)
    served.fault("cam-1", "cut-short")
    gaps: list[Gap] = []
    async with asyncio.timeout(30):
        async for item in client.stream(["yard-6"], starts={"yard-6": frames[-1].id}):
            if isinstance(item, Gap):
                gaps.append(item)
            if isinstance(item, WireFrame) and item.epoch > frames[-1].epoch:
                break
    assert gaps, "what the camera sent into the broken connection is a gap of unknown count"
    served.fault("cam-1", "refuse", for_s=1.5)
    await camera_in_state(client, "yard-6", CAMERA_STATE_LOST)
    await camera_in_state(client, "yard-6", CAMERA_STATE_LIVE)


async def test_bytes_damaged_on_the_way_make_damaged_frames_and_harm_no_other(
    client: BrokerClient, served: Simulator
) -> None:
    await client.add_camera("yard-7", served.urls["cam-1"])
    await taken(client, "yard-7", 3)
    served.fault("cam-1", "corrupt", share=0.3, seed=3)
    try:
        frames: list[WireFrame] = []
        async with asyncio.timeout(20):
            async for item in client.stream(["yard-7"]):
                if isinstance(item, WireFrame):
                    frames.append(item)
                if len(frames) == 40:
                    break
    finally:
        served.fault("cam-1", "none")
    sent = {unit.digest for unit in served.log("cam-1")}
    whole = [frame for frame in frames if bytes(frame.digest) in sent]
    assert 5 < len(whole) < 40
    assert not any(frame.damaged for frame in whole)


ANSWERS = [
    (b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", CAMERA_STATE_REFUSED, "gives text/html"),
    (b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8", CAMERA_STATE_REFUSED, "one picture"),
    (b"HTTP/1.0 404 Not Found\r\n\r\n", CAMERA_STATE_REFUSED, "no stream at the path '/mjpg'"),
    (b"HTTP/1.0 403 Forbidden\r\n\r\n", CAMERA_STATE_UNAUTHORISED, "forbids"),
    (b"HTTP/1.0 503 Busy\r\n\r\n", CAMERA_STATE_REFUSED, "no further viewer"),
    (b"HTTP/1.0 302 Moved\r\nLocation: rtsp://127.0.0.1/x\r\n\r\n", CAMERA_STATE_REFUSED, "redirects to 'rtsp://"),
    (b"HTTP/1.0 302 Moved\r\n\r\n", CAMERA_STATE_REFUSED, "redirects more than"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", CAMERA_STATE_REFUSED, "does not speak HTTP (it said 'SSH-2.0"),
    (b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x; boundary=a\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",
     CAMERA_STATE_REFUSED, "sent a chunk of size"),
    (b"", CAMERA_STATE_LOST, "closed the connection"),
]  # fmt: skip


async def test_an_answer_that_is_no_stream_is_refused_with_what_helps(client: BrokerClient) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWERS[int(asked.split(b" ")[1].partition(b"?")[2])][0])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for number in range(len(ANSWERS)):
            await client.add_camera(f"answer-{number}", f"http://127.0.0.1:{port}/mjpg?{number}")
        for number, (_, state, words) in enumerate(ANSWERS):
            assert words in (await camera_in_state(client, f"answer-{number}", state)).detail


async def test_a_server_that_says_nothing_is_lost_and_one_that_stops_is_silent(client: BrokerClient) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await client.add_camera("yard-9", f"http://127.0.0.1:{port}/mjpg")
        assert "did not answer within 2 s" in (await camera_in_state(client, "yard-9", CAMERA_STATE_LOST)).detail


async def test_nothing_of_a_password_reaches_the_log_or_the_listing(
    client: BrokerClient, served: Simulator, broker: BrokerProcess, tmp_path: Path
) -> None:
    await client.add_camera("yard-10", with_login(served.urls["cam-2"]))
    await taken(client, "yard-10", 3)
    camera = await client.get_camera("yard-10")
    assert "pa:ss" not in str(camera)
    assert "pa%3Ass" not in str(camera)
    assert "pa:ss" not in broker.log
    assert "pa%3Ass" not in broker.log
