"""Every form in which cameras send their codecs arrives as what the simulator, which parses by itself, says it sent."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

import pytest

from broker.client import BrokerClient, Gap, WireFrame
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess

UNITS = 40
KINDS = {
    "cam-1": "codec=h264,bframes=3,aggregate,mtu=500,audio=aac",
    "cam-2": "codec=h264,sets=sdp",
    "cam-3": "codec=h264,bframes=1,marker=no",
    "cam-4": "codec=h265,bframes=3,aggregate,mtu=300,audio=pcmu",
    "cam-5": "codec=h265,sets=sdp",
    "cam-6": "codec=h265,sets=stream,marker=no,onvif",
    "cam-7": "codec=mjpeg,jpeg_q=60",
    "cam-8": "codec=mjpeg,jpeg_q=200,jpeg_type=0",
    "cam-9": "codec=mjpeg,restart=5,mtu=600,audio=aac,onvif",
    "cam-10": "codec=mjpeg,jpeg_type=0,restart=1",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Simulator]:
    with running(len(KINDS), fps=20, loop_s=4, traits=KINDS, arguments=("--scenes", "hall")) as simulator:
        yield simulator


async def digests_of(client: BrokerClient, camera: str) -> list[bytes]:
    found: list[bytes] = []
    async with asyncio.timeout(40):
        async for item in client.stream([camera]):
            assert not isinstance(item, Gap), item
            if isinstance(item, WireFrame):
                assert not item.damaged, item.id
                assert hashlib.sha256(item.payload).digest() == item.digest
                found.append(bytes(item.digest))
            if len(found) == UNITS:
                return found
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_every_unit_arrives_as_it_was_sent(broker: BrokerProcess, served: Simulator, transport: str) -> None:
    async with broker.client() as client:
        for camera in KINDS:
            await client.add_camera(camera, served.urls[camera], transport=transport)
        received = await asyncio.gather(*(digests_of(client, camera) for camera in KINDS))
        cameras = {camera.spec.id: camera for camera in await client.list_cameras()}
    for camera, digests in zip(KINDS, received, strict=True):
        assert cameras[camera].transport_used == transport
        rows = served.log(camera)
        last = max(row.connection for row in rows)
        sent = [row.digest for row in rows if row.connection == last]
        # Where JPEGs carry no stamp they repeat with the loop: it is the run that has to be there.
        assert any(sent[at : at + UNITS] == digests for at in range(len(sent) - UNITS + 1)), camera
