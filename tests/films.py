"""Hand-made pictures for tests of detectors, and simulated clips as files that people bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from detector_pool.picture import Shot
from mesh.ids import FrameId
from simulator.clip import Clip

SECOND = 1_000_000_000


def textured(rng: np.random.Generator, width: int = 640, height: int = 360) -> NDArray[np.float32]:
    y, x = np.mgrid[0:height, 0:width]
    blocks = rng.normal(0, 12, (height // 8, width // 8)).repeat(8, 0).repeat(8, 1)
    scene: NDArray[np.float32] = (90 + 40 * np.sin(x / 50) + 30 * np.cos(y / 30) + blocks).astype(np.float32)
    return scene


def film(
    pictures: int,
    *,
    noise: float = 4.0,
    light: Callable[[int], float] = lambda _: 1.0,
    draw: Callable[[int, NDArray[np.float32]], None] = lambda _i, _p: None,
    fps: float = 10.0,
    seed: int = 1,
    size: tuple[int, int] = (640, 360),
) -> Iterator[Shot]:
    """Pictures of one camera: a textured scene, its light, what is drawn into it, and sensor noise, anew each time."""
    rng = np.random.default_rng(seed)
    scene = textured(rng, *size)
    for index in range(pictures):
        picture = scene * np.float32(light(index))
        draw(index, picture)
        picture += rng.standard_normal(picture.shape, dtype=np.float32) * noise
        received_ns = 1_000 * SECOND + round(index / fps * SECOND)
        yield Shot(FrameId("yard", 1, index), received_ns, np.clip(picture, 0, 255).astype(np.uint8))


def walker(start: int, end: int, *, contrast: float = 40.0, y: int = 200) -> Callable[[int, NDArray[np.float32]], None]:
    """A person 12 x 28 pixels large who walks from left to right."""

    def draw(index: int, picture: NDArray[np.float32]) -> None:
        if start <= index < end:
            x = 40 + (index - start) * 6
            picture[y : y + 28, x : x + 12] += contrast

    return draw


def write_mp4(clip: Clip, fps: int, path: Path, creation_time: str = "") -> None:
    """The clip's units as they are in an MP4 file, and beside it as a raw stream that says no times."""
    units = [b"".join(b"\0\0\0\1" + nal for nal in unit.nals) for unit in clip.units]
    raw = path.with_suffix(".h264")
    raw.write_bytes(b"".join(units))
    with av.open(str(raw)) as source, av.open(str(path), "w") as target:
        if creation_time:
            target.metadata["creation_time"] = creation_time
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, unit in enumerate(units):
            packet = av.Packet(unit)
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, fps)
            packet.is_keyframe = clip.units[number].joins
            packet.stream = stream
            target.mux(packet)
