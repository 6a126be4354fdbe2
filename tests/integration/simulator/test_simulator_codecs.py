"""FFmpeg's own clients as witnesses for every codec: the payloads they end up with are those of the sent log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import av
import numpy as np
import numpy.typing as npt
import pytest

from simulator import bitstream, counter, jpeg, sei, testing
from simulator.jpeg import JpegForm
from simulator.log import SentUnit
from simulator.testing import Simulator
from tests.support import until

UNITS = 20
TRAITS = {
    "cam-1": "codec=h265",
    "cam-2": "codec=h265,bframes=2,aggregate,mtu=300",
    "cam-3": "codec=h265,audio=aac,onvif",
    "cam-4": "codec=h264,bframes=2,audio=pcmu",
    "cam-5": "codec=mjpeg",
    "cam-6": "codec=mjpeg,restart=8,mtu=500",
    "cam-7": "codec=mjpeg,jpeg_type=0,sloppy=no-rtpmap",
    "cam-8": "codec=mjpeg,jpeg_q=40",
    "cam-9": "codec=mjpeg,jpeg_q=200",
    "cam-10": "codec=mjpeg,scheme=http",
    "cam-11": "codec=mjpeg,scheme=http,sloppy=no-length,boundary=odd,restart=3",
    "cam-12": "codec=mjpeg,scheme=http,sloppy=chunked,boundary=dashes,auth=basic",
    "cam-13": "codec=mjpeg,scheme=http,auth=digest-qop",
    "cam-14": "codec=h265,bframes=2,sets=sdp",
    "cam-15": "codec=h264,sets=sdp",
    "cam-16": "codec=mjpeg,scheme=http,redirect=path",
}
LOGIN = "anna:s3cret"
ARGUMENTS = ("--auth", LOGIN, "--no-incidents", "--scenes", "yard,hall")


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    traits = {"*": "auth=none", **TRAITS}
    with testing.running(len(TRAITS), fps=25, loop_s=2, gop_s=0.4, traits=traits, arguments=ARGUMENTS) as running:
        yield running


def luma(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


def watched(url: str, transport: str) -> tuple[list[bytes], list[int], list[str]]:
    """Payloads, the counters of decoded pictures, and what streams there are."""
    payloads: list[bytes] = []
    counters: list[int] = []
    options = {"rtsp_transport": transport} if transport else {}
    with av.open(url, options={**options, "analyzeduration": "300000"}, timeout=10) as container:
        streams = [stream.codec_context.name for stream in container.streams]
        for packet in container.demux(video=0):
            payloads.append(bytes(packet))
            counters += [counter.read(luma(frame)) for frame in packet.decode()]
            if len(payloads) >= UNITS:
                return payloads, counters, streams
    raise AssertionError(f"the stream ended after {len(payloads)} units")


def logged(sim: Simulator, camera: str, number: int) -> list[SentUnit]:
    """The log up to a unit that has arrived: its row follows its packets."""
    until(lambda: number in {row.number for row in sim.log(camera)}, 5, f"unit {number} is in the log")
    return sim.log(camera)


def assert_no_picture_is_missing(counters: list[int], lag: int = 4) -> None:
    assert len(counters) >= UNITS - lag
    assert all((b - a) % 50 == 1 for a, b in pairwise(counters))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("camera", "streams"),
    [("cam-1", ["hevc"]), ("cam-2", ["hevc"]), ("cam-3", ["hevc", "aac"]), ("cam-4", ["h264", "pcm_mulaw"])],
)
def test_ffmpeg_receives_every_unit_bit_for_bit_with_or_without_audio_beside(
    sim: Simulator, camera: str, transport: str, streams: list[str]
) -> None:
    payloads, counters, found = watched(sim.urls[camera], transport)
    numbers = [sei.read(payload)[0] for payload in payloads]
    log = {row.number: row for row in logged(sim, camera, numbers[-1])}
    assert found == streams
    assert numbers == list(range(numbers[0], numbers[0] + UNITS))
    assert [hashlib.sha256(payload).digest() for payload in payloads] == [log[number].digest for number in numbers]
    assert_no_picture_is_missing(counters)


@pytest.mark.parametrize("camera", ["cam-14", "cam-15"])
def test_with_parameter_sets_in_the_sdp_only_the_log_has_them_where_a_receiver_puts_them(
    sim: Simulator, camera: str
) -> None:
    payloads, counters, _ = watched(sim.urls[camera], "tcp")
    numbers = [sei.read(payload)[0] for payload in payloads]
    log = {row.number: row.digest for row in logged(sim, camera, numbers[-1])}
    with av.open(sim.urls[camera], options={"rtsp_transport": "tcp", "analyzeduration": "300000"}) as container:
        sets = bytes(container.streams.video[0].codec_context.extradata or b"")
    same = [hashlib.sha256(payload).digest() == log[number] for number, payload in zip(numbers, payloads, strict=True)]
    syntax = bitstream.of(str(TRAITS[camera].partition("codec=")[2][:4]))
    whole = [syntax.with_parameter_sets(bitstream.split(payload), bitstream.split(sets)) for payload in payloads]
    joined = [
        hashlib.sha256(bitstream.canonical(nals)).digest() == log[number]
        for number, nals in zip(numbers, whole, strict=True)
    ]
    assert all(a != b for a, b in zip(same, joined, strict=True))
    assert joined[0]
    assert sum(joined) in (2, 3)
    assert_no_picture_is_missing(counters)


def in_our_form(file: bytes, form: JpegForm) -> bytes:
    """What RFC 2435's appendix makes of the tables and the scan that somebody else's receiver put together."""
    tables: dict[int, bytes] = {}
    at, size = 2, (0, 0)
    while file[at + 1] != 0xDA:
        marker, length = file[at + 1], int.from_bytes(file[at + 2 : at + 4], "big")
        body = file[at + 4 : at + 2 + length]
        if marker == 0xDB:
            tables |= {body[i] & 15: body[i + 1 : i + 65] for i in range(0, len(body), 65)}
        elif marker == 0xC0:
            size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
        elif marker == 0xDD:
            assert int.from_bytes(body, "big") == form.restart
        at += 2 + length
    scan = file[at + 2 + int.from_bytes(file[at + 2 : at + 4], "big") :]
    assert scan.endswith(jpeg.EOI)
    return jpeg.file(scan[:-2], (tables[0], tables[1]), form, *size)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("camera", "form"),
    [
        ("cam-5", JpegForm()),
        ("cam-6", JpegForm(restart=8)),
        ("cam-7", JpegForm(type=0)),
        ("cam-8", JpegForm(q=40)),
        ("cam-9", JpegForm(q=200)),
    ],
)
def test_ffmpeg_puts_the_same_jpegs_together(sim: Simulator, camera: str, transport: str, form: JpegForm) -> None:
    payloads, counters, streams = watched(sim.urls[camera], transport)
    connection = sim.status()[camera]["plays"]

    def sent() -> list[SentUnit]:
        rows = [row for row in sim.log(camera) if row.connection == connection]
        return rows if len(rows) >= UNITS else []

    rows = until(sent, 5, "the last unit is in the log")
    digests = [hashlib.sha256(in_our_form(payload, form)).digest() for payload in payloads]
    assert streams == ["mjpeg"]
    assert digests == [row.digest for row in rows[:UNITS]]
    assert_no_picture_is_missing(counters)
    if form.q == 255:
        assert [sei.read(payload)[0] for payload in payloads] == [row.number for row in rows[:UNITS]]


@pytest.mark.parametrize("camera", ["cam-10", "cam-11", "cam-12", "cam-13", "cam-16"])
def test_ffmpeg_gets_the_jpegs_that_http_carries(sim: Simulator, camera: str) -> None:
    payloads, counters, _ = watched(sim.urls[camera].replace("http://", f"http://{LOGIN}@"), "")
    numbers = [sei.read(payload)[0] for payload in payloads]
    log = {row.number: row.digest for row in logged(sim, camera, numbers[-1])}
    assert [hashlib.sha256(payload).digest() for payload in payloads] == [log[number] for number in numbers]
    assert numbers == list(range(numbers[0], numbers[0] + UNITS))
    assert_no_picture_is_missing(counters)
