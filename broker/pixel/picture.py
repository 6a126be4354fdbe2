"""What readers get: a Picture in shared memory, a RemotePicture from another machine, Missing frames with a reason.

Values only. Not here: reading rings (reader.py), calls (client.py).
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker.pixel.ring_layout import MAX_SIDE
from broker.pixel.ring_mapping import RingMapping
from broker.pixel.scale import area_average, fit, rgb24
from mesh.errors import DataLoss
from mesh.ids import FrameId
from trueframe.v1 import pixels_pb2


class MissingReason(enum.IntEnum):
    """Why a frame has no picture."""

    BEFORE_JOIN_POINT = 1
    """Decoding could not begin yet: no join point since the start or since the last hole."""
    THINNED = 2
    """The pixel host could not keep up and left frames out, up to a join point."""
    DECODE_FAILED = 3
    """The decoder refused the frame, or swallowed it."""
    NOT_RECEIVED = 4
    """The pixel host did not get the frame from the broker in time."""
    TOO_OLD = 5
    """Decoded to catch up, and older than live pixels may be."""
    OVERRUN = 6
    """This reader was too slow and the picture was overwritten."""
    HOST_LOST = 7
    """No pixel host decoded the camera at that time."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Frames without a picture: first_id to last_id, both included, of one epoch."""

    first_id: FrameId
    last_id: FrameId
    reason: MissingReason
    received_ns: int = 0
    """UTC arrival of the first of them at the broker; 0 when not known."""

    @property
    def count(self) -> int:
        """How many frames."""
        return self.last_id.seq - self.first_id.seq + 1


@dataclass(frozen=True, slots=True, eq=False)
class _Views:
    """Planes, wherever they lie, and what can be done with them."""

    id: FrameId
    received_ns: int
    """UTC arrival of the frame at the broker."""
    monotonic_ns: int
    """The broker host's monotonic clock at the same moment: not this machine's, where the picture came from afar."""
    width: int
    height: int
    y: NDArray[np.uint8]
    """Luma, shape (height, width)."""
    u: NDArray[np.uint8]
    """Blue difference, shape ((height + 1) // 2, (width + 1) // 2)."""
    v: NDArray[np.uint8]
    """Red difference, like `u`."""
    inexact: bool
    """The frame or one it refers to is damaged."""
    full_range: bool
    """Luma uses 0 to 255, not 16 to 235."""
    bt709: bool
    """Colour matrix is BT.709, not BT.601."""

    def require_valid(self) -> None:
        """Nothing to ask of planes that are one's own."""

    def grey(self, width: int, height: int | None = None) -> NDArray[np.uint8]:
        """Luma averaged down to `width` columns, and `height` rows or as many as keep the shape: a new array.

        The exact area mean in integers, equal on every machine. Raises DataLoss when the picture was overwritten
        meanwhile.
        """
        rows = height or max(1, (2 * self.height * width + self.width) // (2 * self.width))
        return self._checked(area_average(self.y, width, rows))

    def rgb(self, max_width: int, max_height: int) -> NDArray[np.uint8]:
        """The picture fitted into max_width x max_height as an array (rows, columns, 3) of R, G, B.

        Raises DataLoss when the picture was overwritten meanwhile.
        """
        width, height = fit(self.width, self.height, max_width, max_height)
        pixels = rgb24(self.y, self.u, self.v, width, height, self.bt709, self.full_range)
        return self._checked(np.frombuffer(pixels, np.uint8).reshape(height, width, 3))

    def copy(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """The planes (y, u, v) as arrays of one's own. Raises DataLoss when the picture was overwritten meanwhile."""
        planes = self.y.copy(), self.u.copy(), self.v.copy()
        self._checked(planes[0])
        return planes

    def _checked(self, result: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.require_valid()
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Picture(_Views):
    """One decoded frame in shared memory: planes are views, without a copy, read-only.

    The reader holds the picture (a pin) until it is asked for the next one; `pinned()` holds it for longer. The writer
    never waits: it overwrites a picture that is not held, or that it has spared for a second already. So whoever uses
    the planes asks `still_valid()` afterwards, or takes `grey()` or `copy()`, which ask for themselves. Views stay safe
    to read for ever; only their content changes.
    """

    _mapping: RingMapping
    _slot: int
    _sequence: int

    @contextlib.contextmanager
    def pinned(self) -> Iterator[bool]:
        """Holds the picture while the block lasts, also beyond the reader's next `read`: about a second at most.

        Gives whether it is held; False: this reader holds as many as one may (one in a ring of four slots, or more in
        larger ones), and `still_valid()` is all there is. Raises DataLoss when the picture is overwritten already.
        """
        is_held = self._mapping.pin(self._slot, self._sequence)
        try:
            self.require_valid()
            yield is_held
        finally:
            if is_held:
                self._mapping.unpin(self._slot, self._sequence)

    def require_valid(self) -> None:
        """Raises DataLoss unless `still_valid()`."""
        if not self.still_valid():
            raise DataLoss(
                f"picture {self.id}", "was overwritten while it was read", "Read sooner, or treat as missing."
            )

    @property
    def published_ns(self) -> int:
        """This machine's monotonic clock when the pixel host had finished the picture."""
        return self._mapping.published_ns(self._slot)

    def still_valid(self) -> bool:
        """Whether the planes still hold this picture: if so, all that was read from them until now was whole."""
        return self._mapping.is_whole(self._slot, self._sequence)


@dataclass(frozen=True, slots=True, eq=False)
class RemotePicture(_Views):
    """One decoded frame that came over the network: as `Picture`, in memory of one's own, read-only."""

    left_out: int
    """Pictures of the camera that were decoded and not sent since the one before."""

    def still_valid(self) -> bool:
        """True: nobody overwrites it."""
        return True


def remote_picture(message: pixels_pb2.StreamPixelsResponse) -> RemotePicture:
    """The picture of a message, its planes as views of the message's bytes. Raises DataLoss if they do not fit it."""
    width, height, planes = message.width, message.height, message.planes
    half = ((height + 1) // 2, (width + 1) // 2)
    luma, chroma = width * height, half[0] * half[1]
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE) or len(planes) != luma + 2 * chroma:
        raise DataLoss(f"picture of {width}x{height} pixels", f"came with {len(planes)} bytes of planes")
    if message.format == pixels_pb2.PIXEL_FORMAT_NV12:
        strides, v_offset = (2 * half[1], 2), luma + 1
    elif message.format == pixels_pb2.PIXEL_FORMAT_I420:
        strides, v_offset = (half[1], 1), luma + chroma
    else:
        raise DataLoss(f"picture of {width}x{height} pixels", f"came in format {message.format}, which is unknown")
    return RemotePicture(
        id=FrameId.from_proto(message.id),
        received_ns=message.received_ns,
        monotonic_ns=message.monotonic_ns,
        width=width,
        height=height,
        y=np.ndarray((height, width), np.uint8, planes),
        u=np.ndarray(half, np.uint8, planes, luma, strides),
        v=np.ndarray(half, np.uint8, planes, v_offset, strides),
        inexact=message.inexact,
        full_range=message.full_range,
        bt709=message.bt709,
        left_out=message.left_out,
    )
