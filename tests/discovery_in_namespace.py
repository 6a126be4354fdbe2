"""Run inside a network namespace of its own: simulated devices, our own question and wsdiscovery's, told as JSON.

    unshare -n -r python -m tests.discovery_in_namespace

Does not belong here: judging; `tests/integration/discovery` does.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from wsdiscovery import QName, Scope
from wsdiscovery.discovery import ThreadedWSDiscovery
from wsdiscovery.publishing import ThreadedWSPublishing

from broker.discovery.client import SyncDiscoveryClient
from broker.discovery.interfaces import chosen
from broker.discovery.wsd import discover
from simulator.onvif_device import SimulatedDevice
from simulator.onvif_discovery import DiscoveryAnswerer
from tests.broker_process import running_broker

NETWORK = "http://www.onvif.org/ver10/network/wsdl"
# wsdiscovery passes over 127.0.0.0/8, so the namespace's only interface gets an address of another kind, too.
ADDRESS = "10.77.0.1"
ADDRESSES = {"gate": "http://10.77.0.1:8080/onvif/gate/device_service", "yard": "http://10.77.0.1:8080/onvif/yard"}


async def _main() -> dict[str, Any]:
    for command in (
        "ip link set lo up multicast on",
        f"ip addr add {ADDRESS}/24 dev lo",
        "ip route add 239.0.0.0/8 dev lo",
    ):
        subprocess.run(command.split(), check=True)  # noqa: ASYNC221
    devices = [
        SimulatedDevice("gate", "North gate", (), location="Gate 1"),
        SimulatedDevice("yard", "Hof Süd", (), model="PTZ 9"),
    ]
    silent = [device async for device in discover(chosen(""), 0.5)]
    answerer = DiscoveryAnswerer(devices, ADDRESSES)
    await answerer.start(ADDRESS)
    began = time.monotonic()
    found, after_s = [], []
    async for device in discover(chosen(""), 1.0):
        found.append(device)
        after_s.append(time.monotonic() - began)
    on_lo = [device async for device in discover(chosen("lo"), 0.5)]
    answered = answerer.answered
    by_broker = await asyncio.to_thread(_ask_through_a_broker)
    peer = await asyncio.to_thread(_ask_with_wsdiscovery)
    answerer.close()
    published = await _find_one_of_wsdiscovery()
    return {
        "silent": len(silent),
        "found": {device.urn: [device.name, device.hardware, device.location, *device.addresses] for device in found},
        "times": len(found),
        "first_after_s": min(after_s, default=None),
        "on_lo": sorted(device.urn for device in on_lo),
        "answered": answered,
        "urns": [device.urn for device in devices],
        "by_broker": by_broker,
        "peer": peer,
        "published": published,
    }


def _ask_through_a_broker() -> list[list[object]]:
    """What a client of a broker is told, which has a camera on the same host."""
    with tempfile.TemporaryDirectory() as folder, running_broker(Path(folder) / "data") as broker:
        with broker.sync_client() as cameras:
            cameras.add_camera("north", f"rtsp://u:p@{ADDRESS}:1/x")
            cameras.add_camera("elsewhere", "rtsp://10.77.0.9:1/x")
        with SyncDiscoveryClient(broker.endpoint, broker.token) as discovery:
            found = [[d.urn, d.name, list(d.addresses), list(d.cameras)] for d in discovery.devices(1.0, "lo")]
        with SyncDiscoveryClient(broker.endpoint, broker.mint("a", "administrator", ["other"])) as discovery:
            hidden = [list(d.cameras) for d in discovery.devices(0.5)]
    return [*sorted(found), hidden]


def _ask_with_wsdiscovery() -> dict[str, list[str]]:
    """What wsdiscovery finds of our devices."""
    peer = ThreadedWSDiscovery()
    peer.start()
    try:
        kind = QName(NETWORK, "NetworkVideoTransmitter")
        return {service.getEPR(): list(service.getXAddrs()) for service in peer.searchServices([kind], timeout=1)}
    finally:
        peer.stop()


async def _find_one_of_wsdiscovery() -> list[str]:
    """Addresses that we find of a device that wsdiscovery tells of."""
    peer = ThreadedWSPublishing()
    await asyncio.to_thread(peer.start)
    try:
        kind, scope = QName(NETWORK, "NetworkVideoTransmitter"), Scope("onvif://www.onvif.org/name/Other")
        address = "http://10.77.0.1:8081/onvif/device_service"
        await asyncio.to_thread(peer.publishService, types=[kind], scopes=[scope], xAddrs=[address])
        return [address async for device in discover(chosen(""), 1.0) for address in device.addresses]
    finally:
        await asyncio.to_thread(peer.stop)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_main())))
