"""RTP over UDP: chosen, refused, silent, reordered, doubled, lost, and poisoned by strangers."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.client import BrokerClient, Gap, WireFrame
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.broker_watch import camera_in_state
from tests.rtsp_proxy import proxied
from tests.support import auntil
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_LIVE,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_SILENT,
    TRANSPORT_UNSPECIFIED,
)
from trueframe.v1.frames_pb2 import GAP_REASON_NETWORK_LOSS

TRAITS = {"cam-2": "transport=udp", "cam-3": "transport=tcp", "cam-4": "audio=pcmu"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    settings = ("broker.silent_after_s=1.5", "broker.connect_timeout_s=1")
    with running_broker(tmp_path_factory.mktemp("udp"), *settings) as process:
        yield process


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    # Pieces so small that every unit has many packets to lose and to confuse.
    with running(4, fps=25, gop_s=1.0, traits={"*": "mtu=300", **TRAITS}) as simulator:
        yield simulator


async def watched(client: BrokerClient, camera: str, frames: int) -> tuple[list[WireFrame], list[Gap]]:
    """The next frames of a camera, and the gaps between them."""
    found: list[WireFrame] = []
    gaps: list[Gap] = []
    async with asyncio.timeout(30):
        async for item in client.stream([camera]):
            if isinstance(item, WireFrame):
                found.append(item)
            elif isinstance(item, Gap):
                gaps.append(item)
            if len(found) == frames:
                break
    return found, gaps


def sent(sim: Simulator, camera: str) -> set[bytes]:
    return {unit.digest for unit in sim.log(camera)}


@pytest.mark.parametrize(
    ("camera", "wish", "used"),
    [("cam-1", "auto", "tcp"), ("cam-1", "udp", "udp"), ("cam-2", "auto", "udp"), ("cam-3", "udp", "tcp")],
    ids=["both", "udp-wanted", "no-tcp", "no-udp"],
)
async def test_a_camera_is_played_by_what_it_offers(
    broker: BrokerProcess, sim: Simulator, camera: str, wish: str, used: str
) -> None:
    name = f"{camera}-{wish}"
    async with broker.client() as client:
        await client.add_camera(name, sim.urls[camera], transport=wish)
        frames, gaps = await watched(client, name, 30)
        seen = await client.get_camera(name)
        await client.remove_camera(name)
    assert seen.transport_used == used
    assert not gaps
    assert not any(frame.damaged or frame.follows_damage for frame in frames)
    assert {hashlib.sha256(frame.payload).digest() for frame in frames} <= sent(sim, camera)


async def test_a_camera_without_tcp_is_refused_where_tcp_alone_is_wanted_and_says_what_helps(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        await client.add_camera("tcp-only", sim.urls["cam-2"], transport="tcp")
        refused = await camera_in_state(client, "tcp-only", CAMERA_STATE_REFUSED)
        assert "does not offer RTP over TCP" in refused.detail
        assert "--transport auto" in refused.detail
        refused.spec.source, refused.spec.transport = "", TRANSPORT_UNSPECIFIED
        await client.update_camera(refused.spec)
        healed = await camera_in_state(client, "tcp-only", CAMERA_STATE_LIVE)
        await client.remove_camera("tcp-only")
    assert healed.transport_used == "udp"


async def test_packets_that_overtake_and_packets_that_come_twice_change_nothing(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        await client.add_camera("shuffled", sim.urls["cam-1"], transport="udp")
        await watched(client, "shuffled", 5)
        try:
            sim.fault("cam-1", "reorder", share=0.3)
            frames, gaps = await watched(client, "shuffled", 40)
            sim.fault("cam-1", "duplicate", share=0.3)
            doubled, more = await watched(client, "shuffled", 40)
        finally:
            sim.fault("cam-1", "none")

        async def counted() -> bool:
            return (await client.get_camera("shuffled")).packets_reordered > 0

        await auntil(counted, 5)
        seen = await client.get_camera("shuffled")
        await client.remove_camera("shuffled")
    assert not gaps + more
    assert not any(frame.damaged or frame.follows_damage for frame in frames + doubled)
    assert {hashlib.sha256(frame.payload).digest() for frame in frames + doubled} <= sent(sim, "cam-1")
    assert (seen.packets_lost, seen.damaged_frames) == (0, 0)


async def test_lost_packets_are_told_and_no_frame_that_was_hit_passes_as_sound(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        await client.add_camera("lossy", sim.urls["cam-1"], transport="udp")
        await watched(client, "lossy", 5)
        try:
            sim.fault("cam-1", "lose", share=0.05)
            frames, gaps = await watched(client, "lossy", 60)
        finally:
            sim.fault("cam-1", "none")
        seen = await client.get_camera("lossy")
        await client.remove_camera("lossy")
    assert GAP_REASON_NETWORK_LOSS in {gap.reason for gap in gaps} or any(frame.damaged for frame in frames)
    assert seen.packets_lost > 0
    sound = {hashlib.sha256(frame.payload).digest() for frame in frames if not frame.damaged}
    assert sound
    assert sound <= sent(sim, "cam-1")


async def test_audio_beside_the_video_is_taken_and_dropped(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("sound", sim.urls["cam-4"], transport="udp")
        frames, gaps = await watched(client, "sound", 50)

        async def dropped() -> bool:
            return (await client.get_camera("sound")).audio_packets_dropped > 0

        await auntil(dropped, 10, "audio packets are counted")
        await client.remove_camera("sound")
    assert not gaps
    assert not any(frame.damaged for frame in frames)


async def test_where_nothing_arrives_over_udp_the_camera_is_played_over_tcp_and_it_is_remembered(
    broker: BrokerProcess, sim: Simulator
) -> None:
    hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hole.bind(("127.0.0.1", 0))

    def into_a_hole(data: bytes) -> bytes:
        port = str(hole.getsockname()[1]).encode()
        return re.sub(rb"client_port=\d+-\d+", b"client_port=" + port + b"-" + port, data)

    with hole:
        async with proxied(sim.port, into_a_hole) as proxy, broker.client() as client:
            await client.add_camera("walled", proxy.url("cam-1"), transport="udp")
            frames, _ = await watched(client, "walled", 5)
            first = await client.get_camera("walled")
            wishes = [wish for head in proxy.heads for wish in re.findall(r"Transport: (\S+)", head)]
            connections = proxy.connections
            proxy.say(b"TEARDOWN * RTSP/1.0\r\nCSeq: 9\r\n\r\n")

            async def again() -> bool:
                return (await client.get_camera("walled")).epoch > first.epoch

            await auntil(again, 10, "connected again")
            later = proxy.heads[-6:]
            await client.remove_camera("walled")
    assert frames
    assert first.transport_used == "tcp"
    assert ["UDP" if "client_port" in wish else "TCP" for wish in wishes] == ["UDP", "TCP"]
    assert connections == 2
    assert not any("client_port" in head for head in later), "UDP is not waited for a second time"


@pytest.mark.parametrize("is_named", [True, False], ids=["named-in-the-answer", "not-named"])
async def test_packets_from_another_address_are_heard_if_the_camera_named_it(
    broker: BrokerProcess, sim: Simulator, is_named: bool
) -> None:
    """A recorder with two addresses: its packets are passed on here from 127.0.0.2."""
    ports: list[int] = []

    class Relay(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, sender: object) -> None:
            other_leg.sendto(data, ("127.0.0.1", ports[0]))

    loop = asyncio.get_running_loop()
    relay, _ = await loop.create_datagram_endpoint(Relay, local_addr=("127.0.0.1", 0))
    other_leg = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other_leg.bind(("127.0.0.2", 0))
    there = b"client_port=%d-%d" % ((relay.get_extra_info("sockname")[1],) * 2)

    def to_relay(data: bytes) -> bytes:
        found = re.search(rb"client_port=(\d+)-\d+", data)
        if found is None:
            return data
        ports[:] = [int(found[1])]
        return data.replace(found[0], there)

    def named(data: bytes) -> bytes:
        return data.replace(there, there + b";source=127.0.0.2") if is_named else data

    with other_leg:
        async with proxied(sim.port, to_relay, named) as proxy, broker.client() as client:
            name = f"legs-{is_named}".lower()
            await client.add_camera(name, proxy.url("cam-2"), transport="udp")
            if is_named:
                frames, _ = await watched(client, name, 5)
                assert not any(frame.damaged for frame in frames)
            else:
                silent = await camera_in_state(client, name, CAMERA_STATE_SILENT)
                assert "those of others are not heard" in silent.detail
            await client.remove_camera(name)
    relay.close()


async def test_a_camera_that_hangs_up_when_asked_for_tcp_is_played_over_udp(
    broker: BrokerProcess, sim: Simulator
) -> None:
    def hang_up(data: bytes) -> bytes:
        if b"interleaved=" in data:
            raise ConnectionResetError
        return data

    async with proxied(sim.port, hang_up) as proxy, broker.client() as client:
        await client.add_camera("touchy", proxy.url("cam-1"))
        await watched(client, "touchy", 5)
        seen = await client.get_camera("touchy")
        await client.remove_camera("touchy")
    assert seen.transport_used == "udp"


async def test_where_neither_works_the_camera_is_silent_and_says_why(broker: BrokerProcess, sim: Simulator) -> None:
    def nowhere(data: bytes) -> bytes:
        return re.sub(rb"client_port=\d+-\d+", b"client_port=9-9", data)

    async with proxied(sim.port, nowhere) as proxy, broker.client() as client:
        await client.add_camera("nowhere", proxy.url("cam-2"))
        silent = await camera_in_state(client, "nowhere", CAMERA_STATE_SILENT)
        await client.remove_camera("nowhere")
    assert "does not offer RTP over TCP" in silent.detail
    assert "no packet arrives" in silent.detail
    assert "firewall" in silent.detail


async def test_datagrams_of_strangers_are_not_heard(broker: BrokerProcess, sim: Simulator) -> None:
    """Somebody on the same network knows the ports and sends well-formed RTP from an address of his own."""
    async with proxied(sim.port) as proxy, broker.client() as client:
        await client.add_camera("hunted", proxy.url("cam-1"), transport="udp")
        await watched(client, "hunted", 5)
        setup = next(head for head in proxy.heads if head.startswith("SETUP"))
        port = int(setup.split("client_port=")[1].split("-")[0])
        # From another address, and from the camera's address by another port.
        for address in ("127.0.0.2", "127.0.0.1"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind((address, 0))
                for sequence in range(2000):
                    header = struct.pack("!BBHII", 0x80, 96 | 0x80, sequence, sequence * 90, 1)
                    stranger.sendto(header + b"\x41\x9a" + bytes(40), ("127.0.0.1", port))
        frames, gaps = await watched(client, "hunted", 40)
        seen = await client.get_camera("hunted")
        await client.remove_camera("hunted")
    assert not gaps
    assert not any(frame.damaged for frame in frames)
    assert {hashlib.sha256(frame.payload).digest() for frame in frames} <= sent(sim, "cam-1")
    assert (seen.packets_lost, seen.damaged_frames) == (0, 0)


def udp_sockets(pid: int) -> int:
    """How many UDP sockets a process has open."""
    lines = Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]
    inodes = {f"socket:[{line.split()[9]}]" for line in lines}
    links = (path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink())
    return sum(str(link) in inodes for link in links)


async def test_no_socket_is_left_when_a_camera_goes(broker: BrokerProcess, sim: Simulator) -> None:
    before = udp_sockets(broker.pid)
    async with broker.client() as client:
        await client.add_camera("leaky", sim.urls["cam-4"], transport="udp")
        await camera_in_state(client, "leaky", CAMERA_STATE_LIVE)
        assert udp_sockets(broker.pid) == before + 4, "a pair for the video and one for the sound"
        await client.remove_camera("leaky")
        await auntil(lambda: udp_sockets(broker.pid) == before, 5, "all sockets are closed")
