"""A file of noise, which no codec can make small: a flood of bytes for tests of limits."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FRAME_BYTES = 80_000


def make_noise(path: Path) -> Path:
    """Writes a second of H.264 at 25 fps, about 3.5 MB, at least FRAME_BYTES a frame, and returns its path."""
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "5", "qp": "12"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (360, 320), np.uint8), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    assert path.stat().st_size > 25 * FRAME_BYTES
    return path
