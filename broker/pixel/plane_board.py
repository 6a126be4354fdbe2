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
from broker.pixel.covering import Views
from broker.pixel.outlet import Budget
from broker.pixel.planes import Planes
from broker.pixel.ring_layout import BT709, FULL_RANGE, MAX_SIDE
from broker.pixel.scale import fit
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from trueframe.v1 import pixels_pb2

# Of each reader: the picture that it is being sent while others become the newest, and gRPC's own copy of it.
_SENT_AT_ONCE = 2
_PLANES_TAG = b"\x32"  # field 6, length-delimited


@dataclass(frozen=True, slots=True)
class PlaneSize:
    """The box that a picture fits into, in pixels; 0 is no bound."""

    max_width: int
    max_height: int
    is_covered: bool = False
    """Privacy masks are covered, where the camera has any."""

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


class PlaneSeat:
    """One reader of one size. `wake` is called on the decoder thread, and must not block."""

    def __init__(self, board: PlaneBoard, size: PlaneSize, interval_ns: int, wake: Callable[[], None]) -> None:
        self.size = size
        self.interval_ns = interval_ns
        self.wake = wake
        self.paid_bytes = 0
        self.refusal: TrueframeError | None = None
        self._board = board

    def newest(self) -> PackedPicture | None:
        """The newest picture. Raises ResourceExhausted when there is no memory for this reader."""
        if self.refusal is not None:
            raise self.refusal
        return self._board.newest(self.size)

    def leave(self) -> None:
        """The reader takes no more; its memory is free."""
        self._board.leave(self)


@dataclass(slots=True)
class _Wanted:
    seats: list[PlaneSeat] = field(default_factory=list)
    beat: Beat = field(default_factory=lambda: Beat(0))
    newest: PackedPicture | None = None
    picture_bytes: int = 0
    paid_bytes: int = 0


class PlaneBoard:
    """The packed pictures of one camera. `picture` on one thread, all else on any."""

    def __init__(self, camera: str, budget: Budget) -> None:
        self._camera = camera
        self._budget = budget
        self._lock = threading.Lock()
        self._wanted: dict[PlaneSize, _Wanted] = {}
        self.pictures = 0
        """Pictures shown since the board was made."""

    @property
    def readers(self) -> int:
        """Readers of all sizes."""
        with self._lock:
            return sum(len(wanted.seats) for wanted in self._wanted.values())

    def want(self, size: PlaneSize, max_rate: float, wake: Callable[[], None]) -> PlaneSeat:
        """Somebody takes this size, at most `max_rate` a second (0: each)."""
        seat = PlaneSeat(self, size, int(1e9 / max_rate) if max_rate else 0, wake)
        with self._lock:
            wanted = self._wanted.setdefault(size, _Wanted())
            wanted.seats.append(seat)
            # A quicker reader need not wait out the interval of a slower one.
            wanted.beat = Beat(min(other.interval_ns for other in wanted.seats))
        return seat

    def leave(self, seat: PlaneSeat) -> None:
        """The inverse of `want`; with the last reader the size is packed no more."""
        with self._lock:
            wanted = self._wanted[seat.size]
            wanted.seats.remove(seat)
            self._budget.give_back(seat.paid_bytes)
            if wanted.seats:
                wanted.beat.interval_ns = min(other.interval_ns for other in wanted.seats)
            else:
                del self._wanted[seat.size]
                self._budget.give_back(wanted.paid_bytes)

    def newest(self, size: PlaneSize) -> PackedPicture | None:
        """The newest picture of a size that somebody takes."""
        wanted = self._wanted.get(size)
        return None if wanted is None else wanted.newest

    def forget(self) -> None:
        """What was packed until now is sent no more: masks have changed."""
        with self._lock:
            for wanted in self._wanted.values():
                wanted.newest = None

    def picture(self, views: Views, frame_id: FrameId, received_ns: int, monotonic_ns: int, inexact: bool) -> None:
        """Packs a picture in every size that is due. On the decoder thread."""
        self.pictures += 1
        if not self._wanted:
            return
        now_ns = time.monotonic_ns()
        with self._lock:
            due = [(size, wanted) for size, wanted in self._wanted.items() if wanted.beat.wait_ns(now_ns) == 0]
        for size, wanted in due:
            planes, masks = views.of(covered=size.is_covered)
            width, height = size.of(planes.width, planes.height)
            with self._lock:
                has_takers = self._pay(wanted, _planes_bytes(width, height))
                seats = list(wanted.seats)
                wanted.beat.take(now_ns)
            if has_takers:
                message = _packed(planes, width, height, frame_id, received_ns, monotonic_ns, inexact, bool(masks))
                with self._lock:
                    if views.is_current(masks, covered=size.is_covered):
                        wanted.newest = PackedPicture(self.pictures, now_ns, message)
            for seat in seats:
                seat.wake()

    def _pay(self, wanted: _Wanted, picture_bytes: int) -> bool:
        """Takes memory for the size and for each of its readers, the oldest first; whether any is left to pack for."""
        if picture_bytes != wanted.picture_bytes:
            for seat in wanted.seats:
                self._budget.give_back(seat.paid_bytes)
                seat.paid_bytes = 0
            self._budget.give_back(wanted.paid_bytes)
            wanted.picture_bytes, wanted.paid_bytes, wanted.newest = picture_bytes, 0, None
        for seat in wanted.seats:
            if seat.paid_bytes or seat.refusal is not None:
                continue
            own = 0 if wanted.paid_bytes else picture_bytes
            try:
                self._budget.take(own + _SENT_AT_ONCE * picture_bytes, self._camera)
            except TrueframeError as error:
                seat.refusal = error
                continue
            wanted.paid_bytes += own
            seat.paid_bytes = _SENT_AT_ONCE * picture_bytes
        return any(seat.refusal is None for seat in wanted.seats)


def _planes_bytes(width: int, height: int) -> int:
    return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)


def _packed(
    planes: Planes,
    width: int,
    height: int,
    frame_id: FrameId,
    received_ns: int,
    monotonic_ns: int,
    inexact: bool,
    masked: bool,
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
        masked=masked,
    ).SerializeToString()
    return planes.packed(head + _PLANES_TAG + _varint(_planes_bytes(width, height)), width, height)


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
