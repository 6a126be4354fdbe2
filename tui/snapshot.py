"""From a PNG file to a picture that fits into cells, with boxes drawn on it.

What should not be in this module: fetching the file, Textual.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import av
import numpy as np
import numpy.typing as npt

from trueframe.alarms import BoxSight
from tui.palette import ALARM_RGB

SMALLEST_BOX = 6
Pixels = npt.NDArray[np.uint8]


def decode_png(png: bytes) -> Pixels:
    """A picture as rows x columns x RGB. Raises ValueError if there is none in it."""
    try:
        with av.open(io.BytesIO(png), mode="r", format="png_pipe") as container:
            for frame in container.decode(video=0):
                return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    except av.error.FFmpegError as error:
        raise ValueError(f"not a PNG file: {error}") from error
    raise ValueError("no picture in the PNG file")


def fit_picture(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture scaled to fit, its shape kept. Never larger than twice its size."""
    rows, columns = pixels.shape[:2]
    scale = min(width / columns, height / rows, 2.0)
    wanted = max(1, round(columns * scale)), max(1, round(rows * scale))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    scaled = frame.reformat(*wanted, "rgb24", interpolation="AREA")
    return np.asarray(scaled.to_ndarray(), dtype=np.uint8)


def _widened(low: int, high: int, size: int) -> tuple[int, int]:
    while high - low < SMALLEST_BOX - 1 and high - low < size - 1:
        low, high = max(0, low - 1), min(size - 1, high + 1)
    return low, high


def draw_boxes(pixels: Pixels, boxes: Iterable[BoxSight], colour: tuple[int, int, int] = ALARM_RGB) -> Pixels:
    """A copy with each box as a line one pixel wide; a box outside of the picture is cut at its edge."""
    drawn = pixels.copy()
    rows, columns = drawn.shape[:2]
    for box in boxes:
        left = min(columns - 1, max(0, round(box.x * columns)))
        top = min(rows - 1, max(0, round(box.y * rows)))
        right = min(columns - 1, max(left, round((box.x + box.width) * columns) - 1))
        bottom = min(rows - 1, max(top, round((box.y + box.height) * rows) - 1))
        # Around what is small, so that the line does not hide it.
        left, right = _widened(left, right, columns)
        top, bottom = _widened(top, bottom, rows)
        drawn[top, left : right + 1] = colour
        drawn[bottom, left : right + 1] = colour
        drawn[top : bottom + 1, left] = colour
        drawn[top : bottom + 1, right] = colour
    return drawn
