"""Discovery as the broker serves it: sources tried, attached ones left alone, devices asked, callers checked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.client import CameraSpec
from broker.discovery.client import DiscoveryClient, ProbeSourceResponse, SyncDiscoveryClient
from mesh.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from simulator.onvif import Login, OnvifServer
from simulator.onvif_device import SimulatedDevice, VideoProfile
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.real_peers import free_port
from tests.support import auntil
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_DISABLED,
    CAMERA_STATE_LIVE,
    CAMERA_STATE_LOST,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_UNAUTHORISED,
    TRANSPORT_UDP,
)
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265

TRAITS = {"cam-1": "audio=aac", "cam-2": "codec=h265,claims_fps=50"}


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with running(2, fps=25, gop_s=0.4, traits=TRAITS, arguments=("--auth", "admin:secret")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with running_broker(tmp_path_factory.mktemp("discovery") / "data", "broker.connect_timeout_s=1") as process:
        yield process


@pytest.fixture
def discovery(broker: BrokerProcess) -> Iterator[SyncDiscoveryClient]:
    with SyncDiscoveryClient(broker.endpoint, broker.token) as client:
        yield client


def url(sim: Simulator, camera: str, login: str = "admin:secret") -> str:
    return sim.urls[camera].replace("rtsp://", f"rtsp://{login}@" if login else "rtsp://")


def probed(discovery: SyncDiscoveryClient, source: str, seconds: float = 1.0, **fields: object) -> ProbeSourceResponse:
    return discovery.probe(CameraSpec(source=source, **fields), seconds)  # type: ignore[arg-type]


def test_a_source_is_described_as_it_is(sim: Simulator, discovery: SyncDiscoveryClient) -> None:
    told = probed(discovery, url(sim, "cam-1"), 1.5)
    assert (told.playable, told.failure, told.state) == (True, "", CAMERA_STATE_LIVE)
    assert (told.codec, told.width, told.height, told.key_frame_interval) == (CODEC_H264, 320, 180, 10)
    assert (told.transport_used, told.server) == ("tcp", "trueframe-simulator")
    assert told.has_audio
    assert told.has_camera_time
    assert 20 < told.frame_rate < 30
    assert told.bit_rate > 10_000
    assert 0 < told.first_frame_s < 2
    assert told.attached_as == ""


def test_what_a_camera_claims_stands_beside_what_it_does(sim: Simulator, discovery: SyncDiscoveryClient) -> None:
    told = probed(discovery, url(sim, "cam-2"), transport=TRANSPORT_UDP)
    assert told.claimed_frame_rate == 50
    assert 20 < told.frame_rate < 30
    assert (told.codec, told.transport_used) == (CODEC_H265, "udp")


def test_a_source_that_cannot_be_played_says_why(
    sim: Simulator, discovery: SyncDiscoveryClient, tmp_path: Path
) -> None:
    (tmp_path / "note.mp4").write_text("no video")
    closed = f"rtsp://u:hidden@127.0.0.1:{free_port()}/x"
    for source, state, reason in (
        (closed, CAMERA_STATE_LOST, "refuses the connection"),
        (url(sim, "cam-1", ""), CAMERA_STATE_UNAUTHORISED, ""),
        (url(sim, "cam-1", "admin:hidden"), CAMERA_STATE_UNAUTHORISED, ""),
        (f"{url(sim, 'cam-1')}-is-not-there", CAMERA_STATE_REFUSED, ""),
        (str(tmp_path / "note.mp4"), CAMERA_STATE_REFUSED, ""),
    ):
        told = probed(discovery, source)
        assert (told.playable, told.state) == (False, state), (source, told)
        assert reason in told.failure
        assert told.failure
        assert "hidden" not in str(told)


def test_what_is_no_source_at_all_is_refused(discovery: SyncDiscoveryClient) -> None:
    for source, seconds in (("", 1.0), ("gopher://x", 1.0), ("rtsp://h/x", 0.1), ("rtsp://h/x", 31.0)):
        with pytest.raises(InvalidArgument):
            probed(discovery, source, seconds)
    with pytest.raises(NotFound):
        discovery.probe(CameraSpec(id="nobody"))


async def test_an_attached_source_is_not_connected_to_a_second_time(sim: Simulator, broker: BrokerProcess) -> None:
    async with broker.client() as client, DiscoveryClient(broker.endpoint, broker.token) as discovery:
        before = sim.status()["cam-2"]["plays"]
        await client.add_camera("yard", url(sim, "cam-2"))
        # Just added, by another login, by id: the same connection each time.
        by_source = await discovery.probe(CameraSpec(source=url(sim, "cam-2")), 5)
        by_another_login = await discovery.probe(CameraSpec(source=url(sim, "cam-2", "x:y")), 5)
        by_id = await discovery.probe(CameraSpec(id="yard"), 5)
        for told in (by_source, by_another_login, by_id):
            assert (told.playable, told.attached_as) == (True, "yard")
            assert (told.codec, told.width, told.transport_used) == (CODEC_H265, 320, "tcp")
            assert told.claimed_frame_rate == 50
        assert sim.status()["cam-2"]["plays"] == before + 1
        assert sim.status()["cam-2"]["peak_viewers"] == 1

        # Of a camera in trouble its trouble is told.
        sim.fault("cam-2", "refuse")
        try:
            await auntil(lambda: _state_is(client, "yard", CAMERA_STATE_LIVE, False), 20, "the camera is lost")
            trouble = await discovery.probe(CameraSpec(id="yard"), 1)
            assert not trouble.playable
            assert trouble.failure == (await client.get_camera("yard")).detail
        finally:
            sim.fault("cam-2", "none")
        # A disabled one has no connection, so that the trial's is the only one.
        await client.update_camera(CameraSpec(id="yard", disabled=True))
        await auntil(lambda: _state_is(client, "yard", CAMERA_STATE_DISABLED, True), 10, "the camera is off")
        assert (await discovery.probe(CameraSpec(id="yard"), 0.5)).attached_as == ""
        await client.remove_camera("yard")


async def _state_is(client: object, camera: str, state: int, wanted: bool) -> bool:
    return ((await client.get_camera(camera)).state == state) is wanted  # type: ignore[attr-defined]


async def test_one_source_is_tried_once_at_a_time_and_four_at_once(sim: Simulator, broker: BrokerProcess) -> None:
    async with DiscoveryClient(broker.endpoint, broker.token) as discovery:

        async def outcome(source: str) -> str:
            try:
                return "played" if (await discovery.probe(CameraSpec(source=source), 1)).playable else "not"
            except ResourceExhausted as error:
                return "too many" if "more than" in error.reason else "tried already"

        source = url(sim, "cam-1")
        assert sorted(await asyncio.gather(outcome(source), outcome(source))) == ["played", "tried already"]
        assert sim.status()["cam-1"]["peak_viewers"] == 1
        # Hosts that say nothing: each keeps its place until it is given up.
        with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
            port = silent.getsockname()[1]
            outcomes = await asyncio.gather(*(outcome(f"rtsp://127.0.0.1:{port}/{number}") for number in range(7)))
        assert sorted(outcomes) == ["not"] * 4 + ["too many"] * 3
        # All places are free again.
        assert await outcome(source) == "played"


async def test_a_trial_gives_way_to_a_camera_of_the_same_source(sim: Simulator, broker: BrokerProcess) -> None:
    async with broker.client() as client, DiscoveryClient(broker.endpoint, broker.token) as discovery:
        trying = asyncio.create_task(discovery.probe(CameraSpec(source=url(sim, "cam-1")), 20))
        await auntil(lambda: sim.status()["cam-1"]["viewers"] == 1, 10, "the trial is on")
        await client.add_camera("first", url(sim, "cam-1"))
        assert (await asyncio.wait_for(trying, 10)).attached_as == "first"
        await auntil(lambda: _state_is(client, "first", CAMERA_STATE_LIVE, True), 10, "the camera is live")
        assert sim.status()["cam-1"]["viewers"] == 1
        await client.remove_camera("first")


async def test_a_caller_who_leaves_ends_the_trial(sim: Simulator, broker: BrokerProcess) -> None:
    async with DiscoveryClient(broker.endpoint, broker.token) as discovery:
        leaving = asyncio.create_task(discovery.probe(CameraSpec(source=url(sim, "cam-1")), 20))
        await auntil(lambda: sim.status()["cam-1"]["viewers"] == 1, 10, "the trial is on")
        leaving.cancel()
        await auntil(lambda: sim.status()["cam-1"]["viewers"] == 0, 10, "the trial is over")


async def test_a_device_is_asked_through_the_broker_and_its_refusals_keep_their_kind(broker: BrokerProcess) -> None:
    profile = VideoProfile("p", "main", "rtsp://127.0.0.1/x")
    server = OnvifServer([SimulatedDevice("gate", "Gate", (profile,))], Login("admin", "secret"))
    await server.start()
    address = server.addresses["gate"]
    async with DiscoveryClient(broker.endpoint, broker.token) as discovery:
        told = await discovery.profiles(address, "admin", "secret")
        assert [(p.token, p.source, p.codec) for p in told.profiles] == [("p", "rtsp://127.0.0.1/x", CODEC_H264)]
        assert told.HasField("clock_offset_ns")
        with pytest.raises(Unauthenticated, match=r"device at 127\.0\.0\.1"):
            await discovery.profiles(address, "admin", "wrong")
        with pytest.raises(FailedPrecondition):
            await discovery.profiles(f"http://127.0.0.1:{server.port}/elsewhere")
        with pytest.raises(Unavailable):
            await discovery.profiles(f"http://127.0.0.1:{free_port()}")
        with pytest.raises(InvalidArgument):
            await discovery.profiles("rtsp://127.0.0.1")
        with pytest.raises(InvalidArgument):
            await discovery.profiles(address, "u" * 513, "p")
    await server.close()
    assert "secret" not in broker.log


def test_the_network_is_asked_within_bounds(discovery: SyncDiscoveryClient) -> None:
    for timeout_s in (0.1, 61.0, -1.0):
        with pytest.raises(InvalidArgument, match="timeout_s"):
            list(discovery.devices(timeout_s))
    with pytest.raises(InvalidArgument, match="There are"):
        list(discovery.devices(0.5, "no-such-interface"))


def test_only_who_may_change_cameras_may_look_for_them(broker: BrokerProcess) -> None:
    with SyncDiscoveryClient(broker.endpoint, broker.mint("m", "maintainer")) as client:
        with pytest.raises(PermissionDenied):
            list(client.devices(0.5))
        with pytest.raises(PermissionDenied):
            client.profiles("10.0.0.1")
        with pytest.raises(PermissionDenied):
            probed(client, "rtsp://h/x")
    scoped = broker.mint("a", "administrator", ["gate"])
    with SyncDiscoveryClient(broker.endpoint, scoped) as client, pytest.raises(PermissionDenied):
        client.probe(CameraSpec(id="yard"))
