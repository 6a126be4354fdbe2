"""Cameras that do not work: each is told with thing, reason and remedy, and touches no other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from broker.client import CameraSpec
from mesh.errors import AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.broker_watch import camera_in_state
from tests.clips import make_clip
from tests.real_peers import free_port
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_DISABLED,
    CAMERA_STATE_ENDED,
    CAMERA_STATE_LIVE,
    CAMERA_STATE_LOST,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_SILENT,
    CAMERA_STATE_UNAUTHORISED,
)

_numbers = count(100)
Answer = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for all tests of this file: what one camera does wrong must not matter to the next."""
    settings = ("broker.silent_after_s=1.5", "broker.connect_timeout_s=2")
    with running_broker(tmp_path_factory.mktemp("bad-sources"), *settings) as process:
        yield process


@pytest.fixture
def gate(broker: BrokerProcess) -> Iterator[str]:
    """An id that no other test has; its cameras are removed at the end."""
    camera = f"gate-{next(_numbers)}"
    yield camera
    with broker.sync_client() as client:
        for known in client.list_cameras():
            if known.spec.id.startswith(camera):
                client.remove_camera(known.spec.id)


@contextlib.asynccontextmanager
async def peer(answer: Answer) -> AsyncIterator[int]:
    """A TCP server that answers every request in its own way; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(answer(request))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def describes(sdp: str) -> Answer:
    """A camera that answers DESCRIBE with this description."""

    def answer(request: bytes) -> bytes:
        cseq = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"cseq"))
        body = sdp.encode() if request.startswith(b"DESCRIBE") else b""
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        return b"RTSP/1.0 200 OK\r\n" + cseq + b"\r\n" + length + b"\r\n" + body

    return answer


async def test_a_host_that_refuses_is_lost_and_comes_back_by_itself(broker: BrokerProcess, gate: str) -> None:
    port = free_port()
    async with broker.client() as client:
        await client.add_camera(gate, f"rtsp://127.0.0.1:{port}/gate")
        lost = await camera_in_state(client, gate, CAMERA_STATE_LOST)
    assert f"127.0.0.1:{port}" in lost.detail
    assert "refuses the connection" in lost.detail
    assert "Check the port" in lost.detail


async def test_a_host_that_never_answers_is_lost(broker: BrokerProcess, gate: str) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        async with broker.client() as client:
            await client.add_camera(gate, f"rtsp://127.0.0.1:{mute.getsockname()[1]}/gate")
            lost = await camera_in_state(client, gate, CAMERA_STATE_LOST)
    assert "did not answer OPTIONS within 2 s" in lost.detail


async def test_a_name_that_cannot_be_resolved_is_lost(broker: BrokerProcess, gate: str) -> None:
    async with broker.client() as client:
        await client.add_camera(gate, "rtsp://no-such-host.invalid/gate")
        lost = await camera_in_state(client, gate, CAMERA_STATE_LOST)
    assert "cannot be resolved" in lost.detail


@pytest.mark.parametrize("banner", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01"])
async def test_a_server_that_is_not_rtsp_is_refused_by_name(broker: BrokerProcess, gate: str, banner: bytes) -> None:
    async with peer(lambda request: banner) as port, broker.client() as client:
        await client.add_camera(gate, f"rtsp://127.0.0.1:{port}/gate")
        refused = await camera_in_state(client, gate, CAMERA_STATE_REFUSED)
    assert "does not speak RTSP" in refused.detail


async def test_a_wrong_path_is_refused(broker: BrokerProcess, gate: str, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera(gate, f"rtsp://127.0.0.1:{sim.port}/no-such-camera")
        refused = await camera_in_state(client, gate, CAMERA_STATE_REFUSED)
    assert "/no-such-camera" in refused.detail
    assert "Correct the path" in refused.detail


async def test_audio_alone_is_refused(broker: BrokerProcess, gate: str) -> None:
    sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nm=audio 0 RTP/AVP 0\r\na=control:a\r\n"
    async with peer(describes(sdp)) as port, broker.client() as client:
        await client.add_camera(gate, f"rtsp://127.0.0.1:{port}/gate")
        refused = await camera_in_state(client, gate, CAMERA_STATE_REFUSED)
    assert "sends audio only" in refused.detail


async def test_another_codec_is_refused_by_name_with_the_remedy(broker: BrokerProcess, gate: str) -> None:
    sdp = "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\na=control:a\r\n"
    async with peer(describes(sdp)) as port, broker.client() as client:
        await client.add_camera(gate, f"rtsp://127.0.0.1:{port}/gate")
        refused = await camera_in_state(client, gate, CAMERA_STATE_REFUSED)
    assert "MPEG-4 Part 2" in refused.detail
    assert "Set this stream to H.264" in refused.detail


async def test_a_camera_that_plays_and_sends_nothing_is_silent(broker: BrokerProcess, gate: str) -> None:
    sdp = "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:a\r\n"
    async with peer(describes(sdp)) as port, broker.client() as client:
        await client.add_camera(gate, f"rtsp://127.0.0.1:{port}/gate")
        silent = await camera_in_state(client, gate, CAMERA_STATE_SILENT)
    assert "no frame for 1.5 s" in silent.detail


@pytest.mark.parametrize(
    ("camera", "source", "reason"),
    [
        ("Gate", "clip.mp4", "is not 1 to 63 characters"),
        ("", "clip.mp4", "is not 1 to 63 characters"),
        ("g" * 64, "clip.mp4", "is not 1 to 63 characters"),
        ("gate/1", "clip.mp4", "is not 1 to 63 characters"),
        ("gate", "ftp://u:secret-word@host/x", "unknown scheme ftp://"),
        ("gate", "", "is empty"),
        ("gate", "rtsp://", "names no host"),
    ],
)
async def test_ill_formed_ids_and_sources_are_refused_at_once(
    broker: BrokerProcess, camera: str, source: str, reason: str
) -> None:
    async with broker.client() as client:
        with pytest.raises(InvalidArgument, match=reason) as caught:
            await client.add_camera(camera, source)
        assert camera not in [known.spec.id for known in await client.list_cameras()]
    assert "secret-word" not in str(caught.value)
    assert "secret-word" not in broker.log


async def test_a_duplicate_id_is_refused_and_a_removed_one_is_never_given_again(broker: BrokerProcess) -> None:
    async with broker.client() as client:
        await client.add_camera("gate-1", "clip.mp4", disabled=True)
        with pytest.raises(AlreadyExists, match="exists already"):
            await client.add_camera("gate-1", "other.mp4")
        await client.remove_camera("gate-1")
        with pytest.raises(AlreadyExists, match=r"never given again.*'gate-2'"):
            await client.add_camera("gate-1", "clip.mp4")
        with pytest.raises(NotFound):
            await client.remove_camera("gate-1")
    broker.stop()
    broker.start()
    async with broker.client() as client:
        with pytest.raises(AlreadyExists, match="never given again"):
            await client.add_camera("gate-1", "clip.mp4")


async def test_one_camera_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    with running_broker(tmp_path / "data", "broker.max_cameras=1") as broker:
        async with broker.client() as client:
            await client.add_camera("a", "a.mp4", disabled=True)
            with pytest.raises(ResourceExhausted, match=r"broker\.max_cameras"):
                await client.add_camera("b", "b.mp4", disabled=True)


async def test_credentials_go_in_and_never_come_out(broker: BrokerProcess, gate: str, sim: Simulator) -> None:
    url = f"rtsp://admin:secret-word@127.0.0.1:{sim.port}/cam-1?password=other-secret"
    async with broker.client() as client:
        added = await client.add_camera(gate, url)
        listed = next(known for known in await client.list_cameras() if known.spec.id == gate)
    for camera in (added, listed):
        assert camera.spec.source == f"rtsp://127.0.0.1:{sim.port}/cam-1?password=***"
    assert "secret-word" not in broker.log
    assert "other-secret" not in broker.log
    store = broker.data / "broker" / "broker.db"
    assert store.stat().st_mode & 0o777 == 0o600


async def test_a_missing_file_is_refused_and_healed_by_appearing(
    broker: BrokerProcess, gate: str, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    async with broker.client() as client:
        await client.add_camera(gate, str(film))
        refused = await camera_in_state(client, gate, CAMERA_STATE_REFUSED)
        assert "does not exist" in refused.detail
        make_clip(film)
        await camera_in_state(client, gate, CAMERA_STATE_LIVE, 30)


async def test_a_file_that_is_no_video_is_refused(broker: BrokerProcess, gate: str, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    async with broker.client() as client:
        await client.add_camera(gate, f"file://{tmp_path}/notes.mp4")
        refused = await camera_in_state(client, gate, CAMERA_STATE_REFUSED)
        await client.add_camera(f"{gate}-folder", str(tmp_path))
        folder = await camera_in_state(client, f"{gate}-folder", CAMERA_STATE_REFUSED)
    assert "is not a video file" in refused.detail
    assert "is not a file" in folder.detail


async def test_a_file_that_ends_says_so_and_a_disabled_camera_rests(
    broker: BrokerProcess, gate: str, tmp_path: Path
) -> None:
    film = make_clip(tmp_path / "film.mp4", frames=10)
    async with broker.client() as client:
        await client.add_camera(gate, str(film))
        ended = await camera_in_state(client, gate, CAMERA_STATE_ENDED)
        await client.add_camera(f"{gate}-off", str(film), disabled=True)
        await camera_in_state(client, f"{gate}-off", CAMERA_STATE_DISABLED)
    assert "?loop=1" in ended.detail
    assert ended.frames == 10


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [("", "asks for a user and a password"), ("u:wrong@", "refuses the user or the password")],
)
async def test_wrong_credentials_are_told_as_such(
    broker: BrokerProcess, gate: str, credentials: str, reason: str
) -> None:
    with running(1, arguments=("--auth", "u:correct-word")) as locked:
        async with broker.client() as client:
            await client.add_camera(gate, f"rtsp://{credentials}127.0.0.1:{locked.port}/cam-1")
            refused = await camera_in_state(client, gate, CAMERA_STATE_UNAUTHORISED)
            assert reason in refused.detail
            assert ("USER:PASSWORD@HOST" in refused.detail) == (not credentials)
            assert "wrong" not in refused.detail
            # The remedy works while the camera waits for its next try.
            await client.update_camera(
                CameraSpec(id=gate, source=f"rtsp://u:correct-word@127.0.0.1:{locked.port}/cam-1")
            )
            await camera_in_state(client, gate, CAMERA_STATE_LIVE)
    assert "correct-word" not in broker.log
