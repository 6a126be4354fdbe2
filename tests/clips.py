"""Small video files, written by PyAV. For tests that need a file to play."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_X265 = (
    "keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop=0:frame-threads=1:pools=none"
    ":log-level=none"
)


def make_clip(
    path: Path,
    *,
    frames: int = 40,
    fps: int = 20,
    size: tuple[int, int] = (160, 96),
    codec: str = "libx264",
    gop: int = 10,
    b_frames: int = 0,
    with_audio: bool = False,
    has_video: bool = True,
    texture: int = 0,
) -> Path:
    """Writes a clip whose pictures differ, and returns its path. The container follows from the suffix.

    `texture`: how strong a pattern makes the units large, 0 to 100; it moves, so that all of them are.
    """
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=8000) if with_audio else None
        if has_video:
            options = {"preset": "ultrafast", "g": str(gop), "bf": str(b_frames)} if codec == "libx264" else {}
            if codec == "libx265":
                options = {"preset": "ultrafast", "x265-params": _X265.format(gop=gop, b_frames=b_frames)}
            pattern = np.random.default_rng(1).integers(0, texture + 1, (*size[::-1], 3), np.uint8)
            video = container.add_stream(codec, rate=fps, options=options)
            video.width, video.height = size
            video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for number in range(frames):
                picture = np.full((size[1], size[0], 3), (number * 37 % 256, 80, number * 11 % 256), np.uint8)
                if texture:
                    picture = picture // 2 + np.roll(pattern, number * 3, 1)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, fps)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None:
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate = 8000
            for number in range(8):
                sound.pts = number * 1024
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path


def units_of(path: Path) -> list[bytes]:
    """The packets of the file's video as they stand in it, in decode order."""
    with av.open(io.BytesIO(path.read_bytes())) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]
