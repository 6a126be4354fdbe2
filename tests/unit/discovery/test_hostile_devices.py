"""Devices that answer anything at all: what comes out is a description, or one of the errors that callers know."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.discovery.addresses import HttpAddress, parse_address
from broker.discovery.errors import DeviceUnauthorised, DeviceUnreachable, NotADevice
from broker.discovery.http import DeviceHttp, HttpAnswer
from broker.discovery.onvif import Device, OnvifDevice
from broker.discovery.wsd import probe_matches
from broker.discovery.xmltree import MalformedXml
from broker.rtsp.auth import Credentials
from simulator.onvif_device import SimulatedDevice, VideoProfile, message

DEVICE = SimulatedDevice("gate", "Gate", (VideoProfile("p1", "main", "rtsp://u:p@0.0.0.0/x", "h265", 1920, 1080, 25),))
QUESTIONS = (
    "GetSystemDateAndTime", "GetDeviceInformation", "GetServices", "GetProfiles", "GetStreamUri", "GetCapabilities",
)  # fmt: skip
NASTY = [
    b"", b"<", b">", b"&", b"&amp;", b"&#0;", b"]]>", b"<!DOCTYPE x>", b"9" * 40, b"-1", b"1e999", b"nan", b"\xff\xfe",
    b"\x00", b"http://", b"rtsp://[", b"<s:Fault/>", b"Body",
    b"token=", b"\r\nX: y", b"H265", "大".encode(), b"<a/>" * 50,
]  # fmt: skip


class Mutating(DeviceHttp):
    """A device whose answers are good ones, damaged."""

    def __init__(self, seed: int, damage: int) -> None:
        super().__init__(parse_address("http://10.0.0.7"), None, 1.0)
        self._rng = random.Random(seed)
        self._damage = damage

    async def post(self, address: HttpAddress, body: bytes, content_type: str) -> HttpAnswer:
        assert address.host == "10.0.0.7"  # Whatever it says, nobody else is asked.
        assert b"\n" not in address.path.encode()
        question = next((name for name in QUESTIONS if name.encode() in body), "?")
        namespace = "http://www.onvif.org/ver20/media/wsdl" if b"ver20" in body else None
        namespace = (
            namespace or "http://www.onvif.org/ver10/" + ("media" if b"ver10/media" in body else "device") + "/wsdl"
        )
        answer = message(DEVICE.answer(namespace, question, "p1", "http://192.0.2.1/onvif") or "<x/>")
        for _ in range(self._damage):
            at, length = self._rng.randrange(len(answer) + 1), self._rng.choice([0, 0, 1, 5, 50])
            answer = answer[:at] + self._rng.choice(NASTY) + answer[at + length :]
        return HttpAnswer(200, (), answer)


async def outcome(device: OnvifDevice) -> tuple[Device | None, str]:
    """The description, or what was said instead."""
    try:
        return await device.describe(), ""
    except (NotADevice, DeviceUnauthorised, DeviceUnreachable) as error:
        return None, str(error)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 6))
def test_damaged_answers_give_a_description_or_a_known_error(seed: int, damage: int) -> None:
    device = OnvifDevice(parse_address("http://10.0.0.7"), Credentials("u", "secret"), 1.0)
    device._http = Mutating(seed, damage)
    told, said = asyncio.run(outcome(device))
    assert said.isprintable()
    assert len(said) < 1000
    if told is None:
        return
    for text in (told.manufacturer, told.model, *(p.token + p.name + p.source + p.snapshot for p in told.profiles)):
        assert text.isprintable()
    for profile in told.profiles:
        assert profile.source.startswith(("rtsp://", "rtsps://"))
        assert "@" not in profile.source.split("/")[2]
        assert 0 <= profile.width < 100_000
    if not damage:
        assert [(p.token, p.source, p.width) for p in told.profiles] == [("p1", "rtsp://10.0.0.7/x", 1920)]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_damaged_answers_to_the_network_give_devices_or_nothing(seed: int) -> None:
    rng = random.Random(seed)
    answer = (
        b'<s:E xmlns:s="s"><s:Header><RelatesTo>urn:q</RelatesTo></s:Header><s:Body><ProbeMatch>'
        b"<EndpointReference><Address>urn:1</Address></EndpointReference><Types>dn:NetworkVideoTransmitter</Types>"
        b"<Scopes>onvif://www.onvif.org/name/A</Scopes><XAddrs>http://10.0.0.7/x</XAddrs></ProbeMatch></s:Body></s:E>"
    )
    for _ in range(rng.randrange(5)):
        at = rng.randrange(len(answer))
        answer = answer[:at] + rng.choice(NASTY) + answer[at + rng.choice([0, 1, 9]) :]
    try:
        devices = probe_matches(answer, {"urn:q"}, "10.0.0.7")
    except MalformedXml:
        return
    for device in devices:
        assert (device.urn + device.name).isprintable()
        assert all(address.startswith(("http://", "https://")) for address in device.addresses)
