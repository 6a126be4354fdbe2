"""The mixed cameras of the long exactness proof: codecs, transports, audio, parameter sets that change, real servers.

What belongs here: which cameras there are, the films they play, when they change. What does not: reading and comparing
(`exactness_100k`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from simulator import bitstream
from simulator.testing import Simulator, running
from tests.clips import make_clip
from tests.real_peers import GstreamerServer

FPS = 30
SMALL, LARGE = "160x96", "224x128"
_OTHER_SIZE, _GOP = f"other=size:{LARGE}", 15
_SETS = "other SPS and PPS ids every 2 s"


@dataclass(frozen=True, slots=True)
class Kind:
    """A simulated camera. `change`: the fault that changes its parameter sets: resize in mid-connection, recode."""

    traits: str
    transport: str = "auto"
    change: str = ""


SIMULATED = {
    "cam-1": Kind(f"audio=aac,{_OTHER_SIZE}", "tcp", "resize"),
    "cam-2": Kind("bframes=2", "udp"),
    "cam-3": Kind("codec=h265,bframes=3,audio=aac", "tcp"),
    "cam-4": Kind(f"codec=h265,audio=pcmu,{_OTHER_SIZE}", "udp", "resize"),
    "cam-5": Kind(f"codec=mjpeg,audio=pcmu,{_OTHER_SIZE}", "tcp", "resize"),
    "cam-6": Kind(f"codec=mjpeg,scheme=http,{_OTHER_SIZE}", "auto", "resize"),
    "cam-7": Kind("codec=h265,bframes=2,audio=aac,other=codec:h264", "tcp", "recode"),
    "cam-8": Kind("bframes=2,sets=sdp,audio=aac", "tcp"),
    "cam-9": Kind("codec=h265,sets=sdp", "udp"),
    "cam-10": Kind(f"sets=stream,audio=pcmu,{_OTHER_SIZE}", "tcp", "resize"),
    "cam-11": Kind("other=codec:mjpeg", "udp", "recode"),
    "cam-12": Kind("codec=mjpeg", "udp"),
    "cam-13": Kind("bframes=1,aggregate,mtu=300", "udp"),
    "cam-14": Kind("gop_s=4,onvif,drift_ppm=80", "tcp"),
    "cam-15": Kind(f"codec=h265,sets=stream,{_OTHER_SIZE}", "tcp", "resize"),
    "cam-16": Kind("codec=mjpeg,restart=4,mtu=700", "tcp"),
}
"""By id. Their senders keep logs."""
FEW = ("cam-1", "cam-2", "cam-3", "cam-4", "cam-5", "cam-6", "cam-7")
"""Those of a short run: every codec and transport, audio beside, every kind of change."""


@dataclass(frozen=True, slots=True)
class Film:
    """A file that a camera plays in a loop. `whole`: its units must come as they stand in it, not their slices only."""

    path: Path
    codec: str
    told: str
    whole: bool

    def units(self) -> list[bytes]:
        """Its access units in decode order, canonical; read by FFmpeg's demuxer and the simulator's parser."""
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            packets: Any = container.demux(stream)
            if (stream.codec_context.extradata or b"")[:1] == b"\x01":
                packets = _annex_b(stream, packets)
            return [self._canonical(bytes(packet)) for packet in packets if packet.size]

    def _canonical(self, data: bytes) -> bytes:
        return data if self.codec == "mjpeg" else bitstream.canonical(bitstream.split(data))


def _annex_b(stream: Any, packets: Any) -> Iterator[Any]:
    turned = av.BitStreamFilterContext("h264_mp4toannexb", stream)
    for packet in packets:
        if packet.size:
            yield from turned.filter(packet)


@dataclass(slots=True)
class Sources:
    """Everything that sends."""

    simulator: Simulator
    kinds: dict[str, Kind]
    films: dict[str, Film] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    def change(self) -> None:
        """Every camera that can change its parameter sets does so."""
        for camera, kind in self.kinds.items():
            if kind.change:
                self.simulator.fault(camera, kind.change)


@contextlib.contextmanager
def sources(folder: Path, names: tuple[str, ...], seed: int, real: GstreamerServer | None) -> Iterator[Sources]:
    """Simulated cameras of these names, three file sources, and a server's streams if there is one."""
    kinds = {name: SIMULATED[name] for name in names}
    assert list(kinds) == [f"cam-{number}" for number in range(1, len(kinds) + 1)]
    traits = {name: kind.traits for name, kind in kinds.items()}
    loop_s = 4 if len(kinds) > len(FEW) else 2  # drawn and coded anew in every run
    arguments = ("--cache", str(folder / "cache"), "--scenes", "hall", "--seed", str(seed), "--no-incidents")
    films = {
        "film-1": Film(changing_sets(folder / "ids.ts", 3), "h264", f"file, B-frames, {_SETS}", False),
        "film-2": Film(_film(folder / "film.ts", "libx265", 2), "h265", "file, B-frames", True),
        "film-3": Film(_film(folder / "film.avi", "mjpeg"), "mjpeg", "file", True),
    }
    with running(
        len(kinds), fps=FPS, size=SMALL, loop_s=loop_s, log=folder / "sent", traits=traits, arguments=arguments
    ) as simulator:
        urls = {camera: simulator.urls[camera] for camera in kinds}
        urls |= {name: f"file://{film.path}?loop=1" for name, film in films.items()}
        if real is not None:
            films |= {
                "gst-1": Film(folder / "server.ts", "h264", f"GStreamer, B-frames, {_SETS}", False),
                "gst-2": Film(folder / "server.mp4", "h264", "GStreamer, B-frames, audio", False),
            }
            urls |= {name: real.url(name) for name in ("gst-1", "gst-2")}
        yield Sources(simulator, kinds, films, urls)


def server_films(folder: Path) -> dict[str, Path]:
    """What a real server plays: parameter sets that change; B-frames with audio beside."""
    return {
        "gst-1": changing_sets(folder / "server.ts", 2),
        "gst-2": _film(folder / "server.mp4", "libx264", 2, with_audio=True),
    }


def changing_sets(path: Path, b_frames: int) -> Path:
    """A film in MPEG-TS: 2 s with one SPS and PPS, 2 s with others of other ids (CABAC, more references), one stream.

    The size stays: another one begins another epoch, and a camera that changes it six times a minute is refused.
    """
    with av.open(str(path), "w", format="mpegts") as container:
        stream: Any = container.add_stream("libx264", rate=FPS, options=_x264("sps-id=0", b_frames))
        second: Any = av.CodecContext.create("libx264", "w")
        second.options = _x264("sps-id=5:cabac=1:ref=3", b_frames)
        for part, offset in ((stream, 0), (second, 2 * FPS)):
            part.width, part.height = 160, 96
            part.pix_fmt, part.time_base = "yuv420p", Fraction(1, FPS)
            for number in range(2 * FPS + 1):
                for packet in part.encode(_picture(number, offset) if number < 2 * FPS else None):
                    packet.stream, packet.time_base = stream, Fraction(1, FPS)
                    container.mux(packet)
    return path


def _x264(parameters: str, b_frames: int) -> dict[str, str]:
    return {"preset": "ultrafast", "g": str(_GOP), "bf": str(b_frames), "x264-params": parameters}


def _picture(number: int, offset: int) -> av.VideoFrame:
    pattern = np.random.default_rng(offset).integers(0, 160, (96, 160, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(np.roll(pattern, number * 3, 1) + np.uint8(number), format="rgb24")
    frame.pts, frame.time_base = number + offset, Fraction(1, FPS)
    return frame


def _film(path: Path, codec: str, b_frames: int = 0, *, with_audio: bool = False) -> Path:
    return make_clip(
        path, frames=4 * FPS, fps=FPS, codec=codec, gop=_GOP, b_frames=b_frames, with_audio=with_audio, texture=60
    )
