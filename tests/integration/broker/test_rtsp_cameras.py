"""Cameras of every kind over RTSP: codecs, logins, redirects, TLS, and servers that do not keep to the standard.

All are connected at once and looked at for a second or two; each test then judges one of them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from broker.client import BrokerClient, Camera, EpochStarted, Gap, WireFrame
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.broker_watch import camera_in_state
from tests.rtsp_proxy import proxied
from tests.support import auntil
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_CONNECTING,
    CAMERA_STATE_LIVE,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_UNAUTHORISED,
)
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG

_FRAMES = 12
_USER, _PASSWORD = "guard", "p@ss:w/rd"
_LOGIN = "guard:p%40ss:w%2Frd@"

# What kind of camera, how packets are wanted. Every one of them has to give its pictures whole.
SOUND: dict[str, tuple[str, str]] = {
    "h265": ("codec=h265,bframes=2", "auto"),
    "h265-udp": ("codec=h265", "udp"),
    "mjpeg": ("codec=mjpeg", "auto"),
    "mjpeg-static-type-udp": ("codec=mjpeg,jpeg_q=80,sloppy=no-rtpmap", "udp"),
    "bframes-and-sound": ("bframes=2,audio=aac", "auto"),
    "sets-in-sdp-alone": ("sets=sdp", "auto"),
    "h265-sets-in-sdp-alone": ("codec=h265,sets=sdp", "udp"),
    "sets-in-stream-alone": ("sets=stream", "udp"),
    "lying-rate": ("claims_fps=120", "auto"),
    "basic": ("auth=basic", "auto"),
    "digest": ("auth=digest", "udp"),
    "digest-qop": ("auth=digest-qop", "auto"),
    "digest-sha256": ("auth=digest-sha256", "auto"),
    "basic-and-digest": ("auth=both", "auto"),
    "other-path": ("redirect=path,auth=digest-qop", "auto"),
    "other-port": ("redirect=port", "udp"),
    "tls": ("scheme=rtsps", "auto"),
    "base-of-another-host": ("sloppy=base", "auto"),
    "base-that-leads-nowhere": ("sloppy=base-path", "udp"),
    "no-base": ("sloppy=no-base", "auto"),
    "no-control": ("sloppy=no-control", "udp"),
    "no-cseq-and-lf": ("sloppy=no-cseq+lf", "auto"),
    "odd-case": ("sloppy=case", "auto"),
    "no-rtp-info-nor-ports": ("sloppy=no-rtpinfo+no-transport-ports", "udp"),
    "junk-packets": ("sloppy=junk", "auto"),
    "junk-bytes": ("sloppy=junk-bytes", "auto"),
    "everything-at-once": ("sloppy=base-path+no-rtpinfo+lf+case+junk+junk-bytes+no-cseq", "auto"),
}
# Sessions that end 2.5 s after the last sign of life of the one kind that counts; receiver reports do not.
KEPT_ALIVE = {
    "options": "keepalive=options,timeout_s=2",
    "get-parameter": "keepalive=get_parameter,timeout_s=2",
}
# Joined in the middle of a long group of pictures, and nothing before the next join point says how to decode them.
SMART = "gop_s=4,sets=stream,start=anywhere"
REFUSED: dict[str, tuple[str, str]] = {
    "loop": ("redirect=loop", "moves its stream in circles"),
    "out-of-tls": ("scheme=rtsps,redirect=plain", "which is not encrypted"),
    "into-unknown-tls": ("redirect=tls", "shows a certificate that is not believed"),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one camera."""

    camera: Camera
    frames: list[WireFrame]
    gaps: list[Gap]
    sent: set[bytes]


def id_of(name: str) -> str:
    return f"cam-{[*SOUND, *REFUSED, *KEPT_ALIVE, 'smart'].index(name) + 1}"


def with_login(url: str) -> str:
    return url.replace("://", f"://{_LOGIN}", 1)


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    traits = {id_of(name): kind for name, (kind, _) in {**SOUND, **REFUSED}.items()}
    traits |= {id_of(name): kind for name, kind in {**KEPT_ALIVE, "smart": SMART}.items()}
    arguments = ("--auth", f"{_USER}:{_PASSWORD}", "--session-timeout", "30")
    common = {"*": "auth=none"}
    with running(len(traits), fps=15, gop_s=0.5, traits={**common, **traits}, arguments=arguments) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    settings = ("broker.silent_after_s=1.5", "broker.connect_timeout_s=3")
    with running_broker(tmp_path_factory.mktemp("kinds"), *settings) as process:
        yield process


@pytest.fixture(scope="module")
def seen(broker: BrokerProcess, sim: Simulator) -> dict[str, Seen]:
    async def look(client: BrokerClient, name: str, kind: str, transport: str) -> tuple[str, Seen]:
        camera = id_of(name)
        url = sim.urls[camera]
        url = with_login(url) if "auth" in kind else url
        pin = sim.tls_sha256 if url.startswith("rtsps") else ""
        await client.add_camera(camera, url, transport=transport, tls_sha256=pin)
        frames: list[WireFrame] = []
        gaps: list[Gap] = []
        try:
            async with asyncio.timeout(20):
                async for item in client.stream([camera]):
                    if isinstance(item, WireFrame):
                        frames.append(item)
                    elif isinstance(item, Gap):
                        gaps.append(item)
                    if len(frames) == _FRAMES:
                        break
        except TimeoutError:
            pass  # The test of this camera says what it is then.
        sent = {unit.digest for unit in sim.log(camera)}
        return name, Seen(await client.get_camera(camera), frames, gaps, sent)

    async def all_of_them() -> dict[str, Seen]:
        async with broker.client() as client:
            looks = [look(client, name, kind, transport) for name, (kind, transport) in SOUND.items()]
            found = dict(await asyncio.gather(*looks))
            for name in SOUND:
                await client.remove_camera(id_of(name))
        return found

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("name", SOUND)
def test_every_kind_of_camera_gives_its_pictures_whole(seen: dict[str, Seen], name: str) -> None:
    found = seen[name]
    assert len(found.frames) == _FRAMES, found.camera.detail
    assert found.camera.state == CAMERA_STATE_LIVE
    assert not found.gaps
    assert not any(frame.damaged or frame.follows_damage for frame in found.frames)
    assert {hashlib.sha256(frame.payload).digest() for frame in found.frames} <= found.sent


@pytest.mark.parametrize(
    ("name", "codec", "used"),
    [
        ("h265", CODEC_H265, "tcp"),
        ("mjpeg-static-type-udp", CODEC_MJPEG, "udp"),
        ("tls", CODEC_H264, "tls"),
        ("other-port", CODEC_H264, "udp"),
    ],
)
def test_what_a_camera_sends_and_how_it_comes_is_shown(seen: dict[str, Seen], name: str, codec: int, used: str) -> None:
    camera = seen[name].camera
    assert (camera.codec, camera.transport_used) == (codec, used)


def test_sound_beside_the_picture_is_counted(seen: dict[str, Seen]) -> None:
    assert seen["bframes-and-sound"].camera.audio_packets_dropped > 0


async def test_a_smart_codec_is_not_called_silent_while_its_packets_come(broker: BrokerProcess, sim: Simulator) -> None:
    camera = id_of("smart")
    async with broker.client() as client:
        await client.add_camera("smart", sim.urls[camera], transport="udp")
        states: list[int] = []

        async def is_live() -> bool:
            states.append((await client.get_camera("smart")).state)
            return states[-1] == CAMERA_STATE_LIVE

        await auntil(is_live, 15)
        found = await client.get_camera("smart")
        await client.remove_camera("smart")
    assert set(states) == {CAMERA_STATE_CONNECTING, CAMERA_STATE_LIVE}
    assert found.connections == 1


async def test_a_session_is_kept_alive_by_whatever_counts_as_a_sign_of_life(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        for name in KEPT_ALIVE:
            await client.add_camera(name, sim.urls[id_of(name)], transport="udp")

        async def have_lived() -> bool:
            return all([(await client.get_camera(name)).frames > 15 * 6 for name in KEPT_ALIVE])

        await auntil(have_lived, 25, "six seconds of frames of each")
        seen = {name: await client.get_camera(name) for name in KEPT_ALIVE}
        for name in KEPT_ALIVE:
            await client.remove_camera(name)
    assert {name: camera.connections for name, camera in seen.items()} == dict.fromkeys(KEPT_ALIVE, 1)


def test_no_password_is_shown_or_logged(broker: BrokerProcess, seen: dict[str, Seen]) -> None:
    for name in ("basic", "digest", "other-path"):
        assert seen[name].camera.spec.source.count("@") == 0
    for secret in (_PASSWORD, "p%40ss", "w%2Frd"):
        assert secret not in broker.log


@pytest.mark.parametrize("name", REFUSED)
async def test_a_redirect_that_must_not_be_followed_is_refused(
    broker: BrokerProcess, sim: Simulator, name: str
) -> None:
    url = sim.urls[id_of(name)]
    async with broker.client() as client:
        pin = sim.tls_sha256 if url.startswith("rtsps") else ""
        await client.add_camera(f"bad-{name}", url, tls_sha256=pin)
        found = await camera_in_state(client, f"bad-{name}", CAMERA_STATE_REFUSED)
        await client.remove_camera(f"bad-{name}")
    assert REFUSED[name][1] in found.detail


async def test_a_certificate_that_nobody_vouches_for_is_named_and_believed_once_it_is_pinned(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        await client.add_camera("unpinned", sim.urls[id_of("tls")])
        found = await camera_in_state(client, "unpinned", CAMERA_STATE_REFUSED)
        fingerprint = found.detail.split("SHA-256 is ")[1][:95]
        assert fingerprint.replace(":", "").lower() == sim.tls_sha256
        assert "--tls-sha256" in found.detail
        found.spec.source, found.spec.tls_sha256 = "", "00" * 32
        await client.update_camera(found.spec)

        async def is_told() -> bool:
            return "another certificate than the one that was pinned" in (await client.get_camera("unpinned")).detail

        await auntil(is_told, 15)
        found.spec.tls_sha256 = fingerprint
        await client.update_camera(found.spec)
        live = await camera_in_state(client, "unpinned", CAMERA_STATE_LIVE)
        await client.remove_camera("unpinned")
    assert live.transport_used == "tls"


async def test_a_login_that_is_refused_is_told_for_every_scheme(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        for name in ("basic", "digest-sha256"):
            url = sim.urls[id_of(name)].replace("://", "://guard:wr0ng-word@")
            await client.add_camera(f"login-{name}", url)
            found = await camera_in_state(client, f"login-{name}", CAMERA_STATE_UNAUTHORISED)
            await client.remove_camera(f"login-{name}")
            assert "refuses the user or the password" in found.detail
    assert "wr0ng-word" not in broker.log


async def test_a_camera_that_asks_to_be_looked_for_elsewhere_is_followed_at_once(
    broker: BrokerProcess, sim: Simulator
) -> None:
    path = id_of("lying-rate")
    async with proxied(sim.port) as here, proxied(sim.port) as there, broker.client() as client:
        await client.add_camera("wanderer", here.url(path))
        epochs: list[EpochStarted] = []
        async with asyncio.timeout(20):
            async for item in client.stream(["wanderer"]):
                if isinstance(item, EpochStarted):
                    epochs.append(item)
                if isinstance(item, WireFrame) and here.connections and not there.connections:
                    here.say(f"REDIRECT * RTSP/1.0\r\nCSeq: 1\r\nLocation: {there.url(path)}\r\n\r\n".encode())
                if len(epochs) == 2 and isinstance(item, WireFrame):
                    break
        found = await client.get_camera("wanderer")
        await client.remove_camera("wanderer")
    assert (here.connections, there.connections) == (1, 1)
    assert found.state == CAMERA_STATE_LIVE
    assert found.spec.source == here.url(path), "what the administrator wrote stays as it is"


async def test_credentials_are_not_told_to_the_host_that_a_redirect_names(
    broker: BrokerProcess, sim: Simulator
) -> None:
    path = id_of("digest")

    def elsewhere(data: bytes) -> bytes:
        if b"DESCRIBE" in requests[-1:] and data.startswith(b"RTSP/1.0 200"):
            target = there.url(path).replace("127.0.0.1", "localhost")
            cseq = data.split(b"CSeq: ")[1].split(b"\r\n")[0]
            return b"RTSP/1.0 302 Moved\r\nCSeq: " + cseq + f"\r\nLocation: {target}\r\n\r\n".encode()
        return data

    requests: list[bytes] = []

    def remember(data: bytes) -> bytes:
        requests.append(data.split(b" ", 1)[0])
        return data

    async with (
        proxied(sim.port) as there,
        proxied(sim.port, remember, elsewhere) as here,
        broker.client() as client,
    ):
        await client.add_camera("tricked", here.url(path, _LOGIN))
        found = await camera_in_state(client, "tricked", CAMERA_STATE_UNAUTHORISED)
        await client.remove_camera("tricked")
    assert "asks for a user and a password" in found.detail
    assert there.requests
    assert not any("authorization" in head.lower() for head in there.heads)
    assert any("authorization" in head.lower() for head in here.heads)


async def test_video_on_another_channel_than_agreed_is_found(broker: BrokerProcess, sim: Simulator) -> None:
    def renamed(data: bytes) -> bytes:
        return data.replace(b"interleaved=0-1", b"interleaved=8-9") if data.startswith(b"RTSP/1.0") else data

    async with proxied(sim.port, to_broker=renamed) as proxy, broker.client() as client:
        await client.add_camera("misnamed", proxy.url(id_of("lying-rate")))
        found = await camera_in_state(client, "misnamed", CAMERA_STATE_LIVE)
        await client.remove_camera("misnamed")
    assert found.transport_used == "tcp"


async def test_a_description_beyond_64_kib_is_refused(broker: BrokerProcess, sim: Simulator) -> None:
    def bloated(data: bytes) -> bytes:
        if b"application/sdp" not in data:
            return data
        head, _, body = data.partition(b"\r\n\r\n")
        body += b"a=x:" + b"y" * 70_000 + b"\r\n"
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", b""]) + body

    async with proxied(sim.port, to_broker=bloated) as proxy, broker.client() as client:
        await client.add_camera("bloated", proxy.url(id_of("lying-rate")))
        found = await camera_in_state(client, "bloated", CAMERA_STATE_REFUSED)
        await client.remove_camera("bloated")
    assert "cannot be read" in found.detail
