"""Planes for readers on other machines: packed once for every size that somebody takes, the newest kept.

Here: which sizes are wanted of a camera, packing, memory for it, what each reader has not seen. Not here: gRPC
(remote.py), the arithmetic (scale.pyx). The decoder thread packs, the event loop takes.

A packed picture is a whole `StreamPixelsResponse` but for `left_out`, which differs from reader to reader and may be
appended to it, as fields of a message may: all readers of a size share the same bytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.pixel.beat import Beat
from broker.pixel.outlet import Budget
from broker.pixel.planes import Planes
from broker.pixel.ring_layout import BT709, FULL_RANGE, MAX_SIDE
from broker.pixel.scale import fit
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from trueframe.v1 import pixels_pb2

# The newest, and the one that gRPC is sending while the next becomes the newest.
_PICTURES_HELD = 2
_PLANES_TAG = b"\x32"  # field 6, length-delimited


@dataclass(frozen=True, slots=True)
class PlaneSize:
    """The box that a picture fits into, in pixels; 0 is no bound."""

    max_width: int
    max_height: int

    def of(self, width: int, height: int) -> tuple[int, int]:
        """The size of a picture in this box."""
        return fit(width, height, self.max_width or MAX_SIDE, self.max_height or MAX_SIDE)


@dataclass(frozen=True, slots=True)
class PackedPicture:
    """A picture as it goes out."""

    number: int
    """Counts all pictures that the camera showed, packed or not."""
    packed_ns: int
    """Monotonic time at which it was packed."""
    message: bytes


@dataclass(slots=True)
class _Wanted:
    # Interval in nanoseconds and how to tell of a new picture, of each reader.
    readers: dict[int, tuple[int, Callable[[], None]]] = field(default_factory=dict)
    beat: Beat = field(default_factory=lambda: Beat(0))
    newest: PackedPicture | None = None
    taken_bytes: int = 0
    refusal: TrueframeError | None = None


class PlaneBoard:
    """The packed pictures of one camera. `wake` of a reader is called on the decoder thread, and must not block."""

    def __init__(self, camera: str, budget: Budget) -> None:
        self._camera = camera
        self._budget = budget
        self._lock = threading.Lock()
        self._wanted: dict[PlaneSize, _Wanted] = {}
        self._keys = 0
        self.pictures = 0
        """Pictures shown since the board was made."""

    def want(self, size: PlaneSize, max_rate: float, wake: Callable[[], None]) -> Callable[[], None]:
        """Somebody takes this size, at most `max_rate` a second (0: each); returns how to end that."""
        interval_ns = int(1e9 / max_rate) if max_rate else 0
        with self._lock:
            self._keys += 1
            key = self._keys
            wanted = self._wanted.setdefault(size, _Wanted())
            wanted.readers[key] = (interval_ns, wake)
            # A quicker reader need not wait out the interval of a slower one.
            wanted.beat = Beat(min(interval_ns for interval_ns, _ in wanted.readers.values()))

        def unwant() -> None:
            with self._lock:
                wanted = self._wanted[size]
                del wanted.readers[key]
                if not wanted.readers:
                    del self._wanted[size]
                    self._budget.give_back(wanted.taken_bytes)

        return unwant

    def newest(self, size: PlaneSize) -> PackedPicture | None:
        """The newest picture of a wanted size. Raises ResourceExhausted when there is no memory for that size."""
        wanted = self._wanted.get(size)
        if wanted is None:
            return None
        if wanted.refusal is not None:
            raise wanted.refusal
        return wanted.newest

    def picture(self, planes: Planes, frame_id: FrameId, received_ns: int, monotonic_ns: int, inexact: bool) -> None:
        """Packs a picture in every size that is due. On the decoder thread."""
        self.pictures += 1
        if not self._wanted:
            return
        now_ns = time.monotonic_ns()
        with self._lock:
            due = [
                (size, wanted)
                for size, wanted in self._wanted.items()
                if wanted.refusal is None and wanted.beat.wait_ns(now_ns) == 0
            ]
        for size, wanted in due:
            width, height = size.of(planes.width, planes.height)
            if self._make_room(size, wanted, width, height):
                message = _packed(planes, width, height, frame_id, received_ns, monotonic_ns, inexact)
                wanted.newest = PackedPicture(self.pictures, now_ns, message)
            with self._lock:
                readers = list(wanted.readers.values())
            wanted.beat.interval_ns = min((interval_ns for interval_ns, _ in readers), default=0)
            wanted.beat.take(now_ns)
            for _, wake in readers:
                wake()

    def _make_room(self, size: PlaneSize, wanted: _Wanted, width: int, height: int) -> bool:
        needed = _PICTURES_HELD * (width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2))
        with self._lock:
            if self._wanted.get(size) is not wanted or needed == wanted.taken_bytes:
                return self._wanted.get(size) is wanted
            self._budget.give_back(wanted.taken_bytes)
            wanted.taken_bytes = 0
            try:
                self._budget.take(needed, self._camera)
            except TrueframeError as error:
                wanted.refusal = error
                wanted.newest = None
                return False
            wanted.taken_bytes = needed
            return True


def _packed(
    planes: Planes, width: int, height: int, frame_id: FrameId, received_ns: int, monotonic_ns: int, inexact: bool
) -> bytes:
    head = pixels_pb2.StreamPixelsResponse(
        id=frame_id.to_proto(),
        received_ns=received_ns,
        monotonic_ns=monotonic_ns,
        format=pixels_pb2.PIXEL_FORMAT_I420,
        width=width,
        height=height,
        inexact=inexact,
        full_range=bool(planes.flags & FULL_RANGE),
        bt709=bool(planes.flags & BT709),
    ).SerializeToString()
    size = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    return planes.packed(head + _PLANES_TAG + _varint(size), width, height)


def with_left_out(message: bytes, left_out: int) -> bytes:
    """A packed picture that also tells how many were left out before it."""
    return message if left_out == 0 else message + b"\x48" + _varint(left_out)  # field 9, varint


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
