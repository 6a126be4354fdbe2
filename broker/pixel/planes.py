"""The planes of a decoded picture, 8 bits, 4:2:0, as the rest of the host handles them.

Here: which decoder formats are taken as they are, and how others are brought to I420. Not here: rings, scaling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from broker.pixel.ring_layout import BT709, FULL_RANGE, I420, MAX_SIDE, NV12
from broker.pixel.scale import rgb24

_RANGE_FULL = 2  # AVCOL_RANGE_JPEG
_SPACE_BT709 = 1
_SPACE_UNSPECIFIED = 2
_HD_HEIGHT = 720  # streams that do not say are taken as BT.709 from this height on, as players do
_AS_THEY_ARE = {"yuv420p": I420, "yuvj420p": I420, "nv12": NV12}


@dataclass(frozen=True, slots=True)
class Planes:
    """Borrowed planes of one picture: valid while the decoder's frame that is kept in `frame` lives."""

    width: int
    height: int
    layout: int
    flags: int
    """FULL_RANGE and BT709, where they apply."""
    y: memoryview
    y_stride: int
    u: memoryview
    """Interleaved chroma in the NV12 layout."""
    u_stride: int
    v: memoryview | None
    v_stride: int
    frame: VideoFrame

    def rgb24(self, width: int, height: int) -> bytes:
        """Averaged to width x height and converted: rows of R, G, B."""
        chroma_width, chroma_height = (self.width + 1) // 2, (self.height + 1) // 2
        y = _view(self.y, self.y_stride, self.width, self.height)
        if self.v is None:
            pairs = _view(self.u, self.u_stride, 2 * chroma_width, chroma_height)
            u, v = pairs[:, 0::2], pairs[:, 1::2]
        else:
            u = _view(self.u, self.u_stride, chroma_width, chroma_height)
            v = _view(self.v, self.v_stride, chroma_width, chroma_height)
        return rgb24(y, u, v, width, height, bool(self.flags & BT709), bool(self.flags & FULL_RANGE))


def planes_of(frame: VideoFrame) -> Planes:
    """The planes of a decoder's frame. Formats other than 8-bit 4:2:0 are converted by the bundled libswscale.

    Raises ValueError for a side that no ring can have: parameter sets come from outside.
    """
    if not (0 < frame.width <= MAX_SIDE and 0 < frame.height <= MAX_SIDE):
        raise ValueError(f"a picture of {frame.width}x{frame.height} pixels is beyond {MAX_SIDE}")
    name = frame.format.name
    full_range = name.startswith("yuvj") or frame.color_range == _RANGE_FULL
    space = int(frame.colorspace)
    bt709 = space == _SPACE_BT709 or (space == _SPACE_UNSPECIFIED and frame.height >= _HD_HEIGHT)
    layout = _AS_THEY_ARE.get(name)
    if layout is None:
        frame = frame.reformat(format="yuvj420p" if full_range else "yuv420p")
        layout = I420
    planes = frame.planes
    return Planes(
        width=frame.width,
        height=frame.height,
        layout=layout,
        flags=(FULL_RANGE if full_range else 0) | (BT709 if bt709 else 0),
        y=memoryview(planes[0]),
        y_stride=planes[0].line_size,
        u=memoryview(planes[1]),
        u_stride=planes[1].line_size,
        v=memoryview(planes[2]) if layout == I420 else None,
        v_stride=planes[2].line_size if layout == I420 else 0,
        frame=frame,
    )


def _view(plane: memoryview, stride: int, width: int, height: int) -> NDArray[np.uint8]:
    return np.ndarray((height, width), np.uint8, plane, 0, (stride, 1))
