"""Where one camera's pictures leave the host: its ring while somebody reads it, and the readers to wake.

Here: making, superseding and freeing rings within the host's memory budget, floors, waking. Not here: sockets and who
may read (handover.py), decoding (camera.py). One decoder thread writes; readers come and go on the event loop.
"""

from __future__ import annotations

import threading
from typing import Protocol

from broker.pixel import ring_layout
from broker.pixel.picture import MissingReason
from broker.pixel.pins import PinRow
from broker.pixel.planes import Planes
from broker.pixel.ring_writer import RingWriter
from broker.pixel.settled import Settled
from mesh.errors import ResourceExhausted, TrueframeError
from mesh.logs import get_logger, rate_limited

log = get_logger("broker.pixel.outlet")


class Seat(Protocol):
    """One reader, as the outlet sees it. None of these calls may block; a reader that cannot follow loses its seat."""

    @property
    def wants_pins(self) -> bool:
        """Whether it may ask for pictures to be held."""

    def wake(self) -> None:
        """There is something new in the ring, and the reader waits for a message."""

    def offer(self, writer: RingWriter, row: PinRow | None) -> None:
        """Hands a ring over, and the page for this reader's pins in it."""

    def refuse(self, error: TrueframeError) -> None:
        """Tells why there is no ring, and ends."""


class Budget:
    """Ring memory of one host, in bytes; shared by all cameras."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._lock = threading.Lock()

    def take(self, size_bytes: int, camera: str) -> None:
        """Reserves; raises ResourceExhausted naming what was asked and what is left."""
        with self._lock:
            left = self.limit_bytes - self.used_bytes
            if size_bytes > left:
                raise ResourceExhausted(
                    f"picture memory for camera {camera}",
                    f"needs {size_bytes / 1e6:.1f} MB; {left / 1e6:.1f} of {self.limit_bytes / 1e6:.1f} MB are left",
                    "Raise pixels.memory_bytes, lower pixels.slots, or inspect fewer cameras on this machine.",
                )
            self.used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Returns what was taken."""
        with self._lock:
            self.used_bytes -= size_bytes


class Outlet:
    """The ring of one camera and its readers. Thread-safe; `picture`, `missing` and `begin_epoch` from one thread."""

    def __init__(self, camera: str, slots: int, budget: Budget, session: int) -> None:
        self.camera = camera
        self._slots = slots
        self._budget = budget
        self._session = session
        self._lock = threading.Lock()
        self._seats: list[Seat] = []
        self._rows: dict[Seat, PinRow] = {}
        self._broken_pins = 0  # in rings that are no more
        self._ring: RingWriter | None = None
        self._generation = 0
        self._size: tuple[int, int, int] | None = None
        self._epoch = 0
        self._settled = Settled()

    @property
    def readers(self) -> int:
        """Seats taken."""
        return len(self._seats)

    @property
    def broken_pins(self) -> int:
        """Pictures overwritten although a reader held them: for longer than it may, or together with all others."""
        with self._lock:
            return self._broken_pins + (self._ring.broken_pins if self._ring is not None else 0)

    def add(self, seat: Seat) -> None:
        """Gives the reader the ring, now or as soon as the picture size is known."""
        with self._lock:
            self._seats.append(seat)
            if self._ring is not None:
                self._offer(seat, self._ring)
            elif self._size is not None:
                self._make_ring()

    def remove(self, seat: Seat) -> None:
        """The reader has gone; with the last one the ring's memory is freed. Unknown seats are ignored."""
        with self._lock:
            if seat in self._seats:
                self._seats.remove(seat)
            row = self._rows.pop(seat, None)
            if row is not None and self._ring is not None:
                self._ring.detach(row)
            if not self._seats:
                self._drop_ring(ring_layout.CLOSED)

    def close(self, error: TrueframeError) -> None:
        """Ends all readers with this error."""
        with self._lock:
            seats, self._seats = self._seats, []
            self._drop_ring(ring_layout.CLOSED)
        for seat in seats:
            seat.refuse(error)

    def begin_epoch(self, epoch: int, floor: int, width: int, height: int) -> None:
        """Frames up to `floor` of this epoch are nobody's business. Size 0 x 0 means: known with the first picture."""
        with self._lock:
            self._epoch = epoch
            self._settled = Settled(floor)
            if width and height:
                self._resize(width, height, self._size[2] if self._size else ring_layout.I420)

    def picture(self, planes: Planes, *, seq: int, received_ns: int, monotonic_ns: int, inexact: bool) -> None:
        """Writes a picture, if anybody reads."""
        with self._lock:
            if seq in self._settled:
                return
            self._settled.add(seq, seq)
            self._resize(planes.width, planes.height, planes.layout)
            if self._ring is None:
                return
            polling = self._ring.write_picture(
                planes.y,
                planes.y_stride,
                planes.u,
                planes.u_stride,
                planes.v,
                planes.v_stride,
                epoch=self._epoch,
                seq=seq,
                received_ns=received_ns,
                monotonic_ns=monotonic_ns,
                flags=planes.flags | (ring_layout.INEXACT if inexact else 0),
                floor=self._settled.floor,
            )
            self._message(polling)

    def pass_over(self, first: int, last: int) -> None:
        """These frames are nobody's business: they came before anybody wanted the camera."""
        with self._lock:
            self._settled.add(first, last)

    def missing(self, first: int, last: int, reason: MissingReason, received_ns: int = 0) -> None:
        """Tells that frames have no picture; those told before are left out."""
        with self._lock:
            polling = False
            for begin, end in self._settled.absent(first, last):
                self._settled.add(begin, end)
                if self._ring is not None:
                    polling |= self._ring.write_missing(
                        epoch=self._epoch,
                        first_seq=begin,
                        last_seq=end,
                        reason=reason,
                        received_ns=received_ns,
                        floor=self._settled.floor,
                    )
            if self._ring is not None:
                self._message(polling)

    # --- with the lock held

    def _message(self, polling: bool) -> None:
        """Wakes those readers that wait in `poll`; the ring itself woke those that sleep on it."""
        if not polling and len(self._rows) == len(self._seats):
            return
        for seat in self._seats:
            row = self._rows.get(seat)
            if row is None or row.polls:
                seat.wake()

    def _resize(self, width: int, height: int, layout: int) -> None:
        size = (width, height, layout)
        if size == self._size and (self._ring is not None or not self._seats):
            return
        self._size = size
        if self._seats:
            self._make_ring()

    def _make_ring(self) -> None:
        assert self._size is not None
        width, height, layout = self._size
        self._drop_ring(ring_layout.SUPERSEDED)
        taken = 0
        try:
            taken = ring_layout.ring_bytes(width, height, self._slots, ring_layout.DEFAULT_RECORDS, layout)
            self._budget.take(taken, self.camera)
            self._generation += 1
            self._ring = RingWriter(
                self.camera,
                width,
                height,
                slots=self._slots,
                layout=layout,
                generation=self._generation,
                session=self._session,
            )
        except (TrueframeError, OSError, ValueError) as error:
            if not isinstance(error, TrueframeError):
                self._budget.give_back(taken)
                error = ResourceExhausted(
                    f"picture memory for camera {self.camera}",
                    f"cannot be had from the system ({error})",
                    "Free memory on this machine or lower pixels.memory_bytes.",
                )
            log.warning("no ring", camera=self.camera, reason=str(error))
            seats, self._seats = self._seats, []
            for seat in seats:
                seat.refuse(error)
            return
        for seat in self._seats:
            self._offer(seat, self._ring)

    def _offer(self, seat: Seat, writer: RingWriter) -> None:
        row = None
        if seat.wants_pins:
            try:
                row = self._rows[seat] = PinRow()
                writer.attach(row)
            except OSError as error:
                # Out of descriptors, most likely. The reader works without pins, as far as it is quick.
                if rate_limited(f"no pins {self.camera}", 5.0):
                    log.warning("no pins", camera=self.camera, reason=str(error))
        seat.offer(writer, row)
        if row is not None:
            row.handed_over()

    def _drop_ring(self, state: int) -> None:
        if self._ring is None:
            return
        self._message(self._ring.set_state(state))
        self._budget.give_back(self._ring.size_bytes)
        self._broken_pins += self._ring.broken_pins
        self._rows.clear()
        self._ring.close()
        self._ring = None
