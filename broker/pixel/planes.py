"""The planes of a decoded picture, 8 bits, 4:2:0, as the rest of the host handles them.

Here: which decoder formats are taken as they are, which are brought to I420, and which are refused. Not here: the
arithmetic (convert.pyx), rings, scaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from broker.pixel.convert import reduced
from broker.pixel.ring_layout import BT709, FULL_RANGE, I420, MAX_SIDE, NV12
from broker.pixel.scale import packed_i420, rgb24
from mesh.masks import Masks, cover_planes

_RANGE_FULL = 2  # AVCOL_RANGE_JPEG
_SPACE_BT709 = 1
_SPACE_UNSPECIFIED = 2
_HD_HEIGHT = 720  # streams that do not say are taken as BT.709 from this height on, as players do
_AS_THEY_ARE = {"yuv420p": I420, "yuvj420p": I420, "nv12": NV12}


@dataclass(frozen=True, slots=True)
class _Chroma:
    """How chroma lies in a format: samples across and down for one of 4:2:0, and neighbours that share one."""

    step_x: int
    step_y: int
    repeat_x: int = 1


_SUBSAMPLING = {
    "420": _Chroma(1, 1),
    "422": _Chroma(1, 2),
    "440": _Chroma(2, 1),
    "444": _Chroma(2, 2),
    "411": _Chroma(1, 2, 2),
}
_DEEPER = {"9le": 1, "10le": 2, "12le": 4, "14le": 6}
# What cameras send beside 8-bit 4:2:0: MJPEG in 4:2:2, 4:4:4, 4:4:0 and 4:1:1 and in grey, H.264 and H.265 of the
# higher profiles in up to 14 bits. Format → (subsampling, None for grey; bits beyond eight).
_CONVERTED: dict[str, tuple[_Chroma | None, int]] = {
    **{f"yuv{letter}{name}p": (chroma, 0) for name, chroma in _SUBSAMPLING.items() for letter in ("", "j")},
    **{
        f"yuv{name}p{depth}": (_SUBSAMPLING[name], shift)
        for name in ("420", "422", "444")
        for depth, shift in _DEEPER.items()
    },
    "gray": (None, 0),
    **{f"gray{depth}": (None, shift) for depth, shift in _DEEPER.items()},
}  # fmt: skip


# Of a GPU, in more than 8 bits: chroma interleaved, the bits at the upper end of 16.
_SEMI_PLANAR = ("p010le", "p012le", "p016le")


class UnknownFormat(ValueError):
    """The decoder gives pictures in a format that is not converted."""


@dataclass(frozen=True, slots=True)
class Planes:
    """Planes of one picture. `frame` keeps them valid: the decoder's frame, or arrays of one's own."""

    width: int
    height: int
    layout: int
    flags: int
    """ring_layout.FULL_RANGE and BT709, where they apply."""
    y: memoryview
    y_stride: int
    u: memoryview
    """Interleaved chroma in the NV12 layout."""
    u_stride: int
    v: memoryview | None
    v_stride: int
    frame: object

    def views(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """(y, u, v) as arrays, whatever the layout."""
        chroma_width, chroma_height = (self.width + 1) // 2, (self.height + 1) // 2
        y = _view(self.y, self.y_stride, self.width, self.height)
        if self.v is None:
            pairs = _view(self.u, self.u_stride, 2 * chroma_width, chroma_height)
            return y, pairs[:, 0::2], pairs[:, 1::2]
        u = _view(self.u, self.u_stride, chroma_width, chroma_height)
        return y, u, _view(self.v, self.v_stride, chroma_width, chroma_height)

    def rgb24(self, width: int, height: int) -> bytes:
        """Averaged to width x height and converted: rows of R, G, B."""
        return rgb24(*self.views(), width, height, bool(self.flags & BT709), bool(self.flags & FULL_RANGE))

    def packed(self, before: bytes, width: int, height: int) -> bytes:
        """`before`, and behind it Y, U, V of the picture averaged to width x height, rows without padding."""
        return packed_i420(before, *self.views(), width, height)

    def covered(self, masks: Masks) -> Planes:
        """A picture of its own in which privacy masks are covered; this very one if there are none."""
        if not masks:
            return self
        y, u, v = (np.array(plane, order="C") for plane in self.views())
        cover_planes(masks, y, u, v)
        return _owned(y, u, v, self.flags)


def planes_of(frame: VideoFrame) -> Planes:
    """The planes of a decoder's frame: without a copy if they are 8-bit 4:2:0, else converted, exactly and everywhere.

    Raises ValueError for a side that no ring can have (parameter sets come from outside), UnknownFormat for a format
    that is not converted.
    """
    if not (0 < frame.width <= MAX_SIDE and 0 < frame.height <= MAX_SIDE):
        raise ValueError(f"a picture of {frame.width}x{frame.height} pixels is beyond {MAX_SIDE}")
    name = frame.format.name
    full_range = name.startswith("yuvj") or frame.color_range == _RANGE_FULL
    space = int(frame.colorspace)
    bt709 = space == _SPACE_BT709 or (space == _SPACE_UNSPECIFIED and frame.height >= _HD_HEIGHT)
    flags = (FULL_RANGE if full_range else 0) | (BT709 if bt709 else 0)
    layout = _AS_THEY_ARE.get(name)
    if layout is None:
        return _converted(frame, name, flags)
    planes = frame.planes
    return Planes(
        width=frame.width,
        height=frame.height,
        layout=layout,
        flags=flags,
        y=memoryview(planes[0]),
        y_stride=planes[0].line_size,
        u=memoryview(planes[1]),
        u_stride=planes[1].line_size,
        v=memoryview(planes[2]) if layout == I420 else None,
        v_stride=planes[2].line_size if layout == I420 else 0,
        frame=frame,
    )


def _converted(frame: VideoFrame, name: str, flags: int) -> Planes:
    if name in _SEMI_PLANAR:
        return _semi_planar(frame, flags)
    known = _CONVERTED.get(name)
    if known is None:
        raise UnknownFormat(
            f"pixel format {name} is none that is converted to 4:2:0: "
            "set the camera to H.264 or H.265 in 4:2:0, or to MJPEG"
        )
    chroma, shift = known
    width, height = frame.width, frame.height
    chroma_width, chroma_height = (width + 1) // 2, (height + 1) // 2
    y = reduced(_samples(frame, 0, shift), width, height, shift=shift)
    if chroma is None:
        u = v = np.full((chroma_height, chroma_width), 128, np.uint8)
    else:
        u, v = (
            reduced(
                _samples(frame, index, shift), chroma_width, chroma_height,
                step_x=chroma.step_x, step_y=chroma.step_y, repeat_x=chroma.repeat_x, shift=shift,
            )
            for index in (1, 2)
        )  # fmt: skip
    return _owned(y, u, v, flags)


def _semi_planar(frame: VideoFrame, flags: int) -> Planes:
    half = ((frame.height + 1) // 2, (frame.width + 1) // 2)
    plane = frame.planes[1]
    y = reduced(_samples(frame, 0, 8), frame.width, frame.height, shift=8)
    u, v = (
        reduced(np.ndarray(half, "<u2", memoryview(plane), offset, (plane.line_size, 4)), half[1], half[0], shift=8)
        for offset in (0, 2)
    )
    return _owned(y, u, v, flags)


def _owned(y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8], flags: int) -> Planes:
    (height, width), chroma_width = y.shape, u.shape[1]
    return Planes(
        width=width,
        height=height,
        layout=I420,
        flags=flags,
        y=y.reshape(-1).data,
        y_stride=width,
        u=u.reshape(-1).data,
        u_stride=chroma_width,
        v=v.reshape(-1).data,
        v_stride=chroma_width,
        frame=(y, u, v),
    )


def _samples(frame: VideoFrame, index: int, shift: int) -> NDArray[Any]:
    plane = frame.planes[index]
    kind: Any = np.dtype("<u2") if shift else np.dtype(np.uint8)
    return np.ndarray((plane.height, plane.width), kind, memoryview(plane), 0, (plane.line_size, kind.itemsize))


def _view(plane: memoryview, stride: int, width: int, height: int) -> NDArray[np.uint8]:
    return np.ndarray((height, width), np.uint8, plane, 0, (stride, 1))
