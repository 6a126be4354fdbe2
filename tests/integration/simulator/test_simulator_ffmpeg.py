"""FFmpeg's own RTSP client as a witness: what it receives is what the sent log says."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import av
import pytest

from simulator import counter, sei, testing

UNITS = 45


def watched(url: str, transport: str, units: int = UNITS) -> tuple[dict[int, bytes], list[int]]:
    """Digest by running number, and the counters of all decoded pictures, in presentation order."""
    digests: dict[int, bytes] = {}
    counters: list[int] = []
    options = {"rtsp_transport": transport, "analyzeduration": "300000"}
    with av.open(url, options=options, timeout=10) as container:
        for packet in container.demux(video=0):
            data = bytes(packet)
            digests[sei.read(data)[0]] = hashlib.sha256(data).digest()
            counters += [counter.read(frame.to_ndarray()[: frame.height]) for frame in packet.decode()]
            if len(digests) >= units:
                return digests, counters
    raise AssertionError(f"the stream ended after {len(digests)} units")


@pytest.mark.parametrize(
    ("transport", "arguments"),
    [
        ("tcp", ()),
        ("udp", ()),
        ("tcp", ("--bframes", "2")),
        ("udp", ("--bframes", "1", "--aggregate", "--mtu", "500")),
        ("tcp", ("--no-sprop", "--aggregate")),
        ("tcp", ("--pad-bytes", "20000")),
    ],
)
def test_ffmpeg_receives_every_unit_bit_for_bit_and_reads_every_counter(
    transport: str, arguments: tuple[str, ...]
) -> None:
    with testing.running(2, fps=25, loop_s=4, arguments=arguments) as sim:
        digests, counters = watched(sim.urls["cam-2"], transport)
        log = {row.number: row for row in sim.log("cam-2")}
        status = sim.status()["cam-2"]
    numbers = list(digests)
    assert numbers == list(range(numbers[0], numbers[0] + UNITS))
    assert {number: log[number].digest for number in numbers} == digests
    assert all(log[number].dropped_packets == 0 for number in numbers)
    assert len(counters) >= UNITS - 8
    assert all((b - a) % 100 == 1 for a, b in pairwise(counters))
    assert set(counters) <= {log[number].frame_in_loop for number in numbers}
    assert (status["plays"], status["peak_viewers"]) == (1, 1)


def test_a_file_is_served_as_it_is_coded(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.options = {"x264-params": "keyint=25:bframes=2"}
        for index in range(100):
            frame = av.VideoFrame(320, 180, "yuv420p")
            for plane, level in zip(frame.planes, (40 + index, 128, 128), strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with testing.running(0, files={"clip": path}) as sim:
        levels: list[tuple[int, int]] = []
        numbers: list[int] = []
        with av.open(sim.urls["clip"], options={"rtsp_transport": "tcp", "analyzeduration": "300000"}) as container:
            for packet in container.demux(video=0):
                numbers.append(sei.read(bytes(packet))[0])
                levels += [(f.pts or 0, int(f.to_ndarray()[:180].mean())) for f in packet.decode()]
                if len(numbers) == 130:
                    break
        log = {row.number: row.frame_in_loop for row in sim.log("clip")}
    shown = [level - 40 for _, level in levels]
    assert len(shown) > 100
    assert sorted(level for level in levels if level[0]) == [level for level in levels if level[0]]
    assert all(abs((b - a) % 100 - 1) <= 1 for a, b in pairwise(shown))
    assert [log[number] for number in numbers] != sorted(log[number] for number in numbers)
