"""ONVIF devices asked over real sockets: ours against the simulated ones, a client from PyPI against the same."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.discovery.addresses import parse_address
from broker.discovery.errors import DeviceUnauthorised, DeviceUnreachable, NotADevice
from broker.discovery.onvif import Device, OnvifDevice
from broker.rtsp.auth import Credentials
from simulator import tls
from simulator.onvif import Login, OnvifServer
from simulator.onvif_device import SimulatedDevice, VideoProfile
from tests.real_peers import ROOT, free_port, require
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG

MAIN = VideoProfile(
    "p-1", "main", "rtsp://127.0.0.1:8554/gate?a=1&b=2", "h265", 1920, 1080, 25, "http://127.0.0.1/s.jpg"
)
SUB = VideoProfile("p<2>", "sub & co", "rtsp://127.0.0.1:8554/gate/sub", "h264", 640, 360, 12)
STILLS = VideoProfile("p-3", "stills", "rtsp://127.0.0.1:8554/gate/jpeg", "mjpeg")
RIGHT, WRONG = Credentials("admin", "Geheim 1&<>"), Credentials("admin", "geheim")


@asynccontextmanager
async def serving(login: Login | None = None, **traits: object) -> AsyncIterator[OnvifServer]:
    device = SimulatedDevice("gate", "North gate", (MAIN, SUB, STILLS), **traits)  # type: ignore[arg-type]
    server = OnvifServer([device], login)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def ask(server: OnvifServer, credentials: Credentials | None = None, timeout_s: float = 5.0) -> Device:
    return await OnvifDevice(parse_address(server.addresses["gate"]), credentials, timeout_s).describe()


async def test_a_device_says_who_it_is_and_how_it_gives_video() -> None:
    async with serving() as server:
        device = await ask(server)
    assert (device.manufacturer, device.model, device.serial) == ("trueframe", "Simulated camera", "gate")
    assert [profile.token for profile in device.profiles] == ["p-1", "p<2>", "p-3"]
    main, sub, stills = device.profiles
    assert (main.codec, main.width, main.height, main.frame_rate) == (CODEC_H265, 1920, 1080, 25)
    assert (main.source, main.snapshot) == (MAIN.url, MAIN.snapshot)
    assert (sub.codec, sub.name, sub.source, sub.snapshot) == (CODEC_H264, "sub & co", SUB.url, "")
    assert stills.codec == CODEC_MJPEG


@pytest.mark.parametrize("has_services", [True, False])
async def test_an_older_device_is_asked_by_media_1(has_services: bool) -> None:
    async with serving(has_media2=False, has_services=has_services) as server:
        device = await ask(server)
    # Media 1 has no word for H.265.
    assert [profile.token for profile in device.profiles] == ["p<2>", "p-3"]


@pytest.mark.parametrize("kind", ["digest", "token", "both"])
async def test_a_login_is_proved_in_the_way_that_the_device_wants(kind: str) -> None:
    # An hour wrong: what is signed with another time than the device's own is refused as old.
    async with serving(Login(RIGHT.user, RIGHT.password, kind), clock_offset_s=-3600) as server:
        device = await ask(server, RIGHT)
        assert len(device.profiles) == 3
        with pytest.raises(DeviceUnauthorised, match="wants user and password"):
            await ask(server)
        with pytest.raises(DeviceUnauthorised, match="refuses user or password") as raised:
            await ask(server, WRONG)
    assert "geheim" not in str(raised.value)


async def test_the_clock_of_a_device_is_held_against_ours() -> None:
    async with serving(clock_offset_s=7200) as server:
        device = await ask(server)
    assert device.clock_offset_ns is not None
    assert abs(device.clock_offset_ns / 1e9 - 7200) < 1.5


async def test_a_device_behind_tls_is_believed_by_its_certificate_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate, _ = tls.prepare(tmp_path)
    server = OnvifServer([SimulatedDevice("gate", "Gate", (MAIN,))])
    await server.start(tls=context)
    try:
        with pytest.raises(DeviceUnreachable, match="certificate that this host does not believe"):
            await ask(server)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert [profile.token for profile in (await ask(server)).profiles] == ["p-1"]
    finally:
        await server.close()


async def test_a_device_that_tells_an_address_nobody_reaches_is_asked_where_it_was_found() -> None:
    async with serving(told_host="192.0.2.1:81") as server:
        assert len((await ask(server)).profiles) == 3


async def test_a_client_from_pypi_reads_the_simulated_device_as_we_do() -> None:
    script = Path(__file__).parent / "ask_with_onvif_zeep.py"
    async with serving(Login("admin", "secret", "token")) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), str(server.port), "admin", "secret", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    told = json.loads(output)
    assert told["model"] == "Simulated camera"
    assert told["profiles"] == [
        ["p<2>", "sub & co", "H264", 640, 360, 12, SUB.url],
        ["p-3", "stills", "JPEG", 640, 360, 10, STILLS.url],
    ]
    assert abs(told["clock_s"]) < 3


# ---- what answers, and is no device ---------------------------------------------------------------------------------

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answered_by(handler: Handler, timeout_s: float = 2.0) -> Device:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await OnvifDevice(parse_address(f"http://127.0.0.1:{port}"), RIGHT, timeout_s).describe()


def saying(answer: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()

    return handler


def http(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(b"<html><p>hello"), "no well-formed XML"),
        (http(b"not found", b"404 Not Found"), "HTTP status 404"),
        (http(b"<html/>"), "no SOAP"),
        (http(b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'), "document type"),
        (b"RTSP/1.0 400 Bad Request\r\n\r\n", "does not speak HTTP"),
        (b"\x00\x01\x02garbage", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut", "does not speak HTTP"),
    ],
)
async def test_what_answers_and_is_no_device_is_told_apart_with_the_reason(answer: bytes, reason: str) -> None:
    with pytest.raises(NotADevice, match=reason) as raised:
        await answered_by(saying(answer))
    assert raised.value.remedy


async def test_a_device_that_sends_for_ever_is_given_up() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"<a>" * 30_000)
            await writer.drain()

    with pytest.raises(NotADevice):
        await answered_by(flood, timeout_s=10)


async def test_nobody_and_somebody_who_says_nothing_are_unreachable() -> None:
    with pytest.raises(DeviceUnreachable, match="cannot be reached"):
        await OnvifDevice(parse_address(f"http://127.0.0.1:{free_port()}"), None, 2).describe()
    with pytest.raises(DeviceUnreachable, match=r"does not answer within 0.3 s"):
        await answered_by(lambda reader, writer: asyncio.sleep(30), timeout_s=0.3)


async def test_a_device_that_refuses_every_login_is_asked_no_more_than_three_times() -> None:
    asked = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(4000))
        challenge = b'WWW-Authenticate: Digest realm="r", nonce="n%d", stale=true' % len(asked)
        writer.write(http(b"", b"401 Unauthorized", challenge))
        await writer.drain()

    with pytest.raises(DeviceUnauthorised):
        await answered_by(refuse)
    # The time, and who it is; each three times.
    assert len(asked) <= 6
    assert RIGHT.password.encode() not in b"".join(asked)


# ---- found by multicast ---------------------------------------------------------------------------------------------


def test_devices_are_found_in_a_network_of_their_own() -> None:
    told = in_a_namespace()
    assert told["silent"] == 0
    assert set(told["found"]) == set(told["urns"])
    assert told["times"] == 2  # Each once, however often it answered.
    assert told["answered"] > 2
    assert told["found"][told["urns"][1]] == ["Hof Süd", "PTZ 9", "Simulator", "http://10.77.0.1:8080/onvif/yard"]
    assert told["first_after_s"] < 1.0
    assert told["on_lo"] == sorted(told["urns"])
    # Through a broker: with its cameras on the same host, as far as the caller may see them.
    *found, hidden = told["by_broker"]
    assert found == sorted([urn, name, [address], ["north"]] for urn, (name, _, _, address) in told["found"].items())
    assert hidden == [[], []]
    # The other way round: a client and a device of somebody else.
    assert told["peer"] == {urn: [address] for urn, (*_, address) in told["found"].items()}
    assert told["published"] == ["http://10.77.0.1:8081/onvif/device_service"]


def in_a_namespace() -> dict[str, Any]:
    require("namespace")
    done = subprocess.run(
        ["unshare", "-n", "-r", sys.executable, "-m", "tests.discovery_in_namespace"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    return told
