"""Small video files, written by PyAV. For tests that need a file to play."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


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
) -> Path:
    """Writes a clip whose pictures differ, and returns its path. The container follows from the suffix."""
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=8000) if with_audio else None
        if has_video:
            options = {"preset": "ultrafast", "g": str(gop), "bf": str(b_frames)} if codec == "libx264" else {}
            video = container.add_stream(codec, rate=fps, options=options)
            video.width, video.height = size
            video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for number in range(frames):
                picture = np.full((size[1], size[0], 3), (number * 37 % 256, 80, number * 11 % 256), np.uint8)
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
    """The file's H.264 access units in decode order, in Annex B form as FFmpeg's own filter gives them."""
    with av.open(io.BytesIO(path.read_bytes())) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]
