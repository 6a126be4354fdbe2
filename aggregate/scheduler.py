"""Who inspects what: a pure state machine. Stimuli in, instructions out; no clock, no I/O.

One worker at a time has an inspection, under a fence that grows with every assignment; what an older fence says is
refused. Inspections stick to their worker, and those of one camera stay together, because a worker reads each camera
once. When a worker goes, the next one takes over behind the last judged frame. A worker's capacity is what it should
carry: when all are full they carry more, rather than nobody watching a camera, until somebody with room joins. Storing
fences before they are used and talking to workers belong to `inspections.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aggregate.orders import Order
from aggregate.rules import SECOND
from mesh.ids import FrameId

WORKER_SILENT_NS = 6 * SECOND
RECLAIM_NS = 3 * SECOND


@dataclass(frozen=True, slots=True)
class Assign:
    """Tell the worker to carry out the order, behind `after` if given."""

    worker: str
    order: Order
    fence: int
    after: FrameId | None


@dataclass(frozen=True, slots=True)
class Revoke:
    """Tell the worker to put the inspection down."""

    worker: str
    inspection: str
    fence: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the worker's stream: it is silent, or was replaced."""

    worker: str


Instruction = Assign | Revoke | Disconnect


@dataclass(slots=True)
class Seat:
    """One inspection and who has it."""

    order: Order
    fence: int = 0
    worker: str = ""
    after: FrameId | None = None
    reserved_until_ns: int = 0
    """Until then only `worker` may take it up again: it had it when the aggregate stopped."""


@dataclass(slots=True)
class Worker:
    """One worker of the pool."""

    name: str
    detectors: frozenset[str]
    """Names without versions."""
    capacity: int
    heard_ns: int
    seats: set[str] = field(default_factory=set)

    @property
    def room(self) -> int:
        """How many more it should carry; negative if it carries too much."""
        return self.capacity - len(self.seats)


class Scheduler:
    """Places inspections on workers. Every method is a stimulus; what it returns must be carried out in order."""

    def __init__(self, *, worker_silent_ns: int = WORKER_SILENT_NS, reclaim_ns: int = RECLAIM_NS) -> None:
        self._worker_silent_ns = worker_silent_ns
        self._reclaim_ns = reclaim_ns
        self._seats: dict[str, Seat] = {}
        self._workers: dict[str, Worker] = {}
        # Of inspections that were withdrawn: should they apply again, their fences go on growing.
        self._withdrawn: dict[str, tuple[int, FrameId | None]] = {}

    # What is there

    def seat(self, inspection: str) -> Seat | None:
        """The inspection's seat, or None if it does not apply."""
        return self._seats.get(inspection)

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the workers present."""
        return tuple(sorted(self._workers))

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Inspections that nobody carries out."""
        return tuple(sorted(name for name, seat in self._seats.items() if seat.worker not in self._workers))

    def accepts(self, worker: str, inspection: str, fence: int) -> bool:
        """Whether a block of this worker under this fence counts."""
        seat = self._seats.get(inspection)
        return seat is not None and seat.fence == fence and seat.worker == worker

    # Stimuli

    def restored(self, order: Order, fence: int, worker: str, after: FrameId | None, now_ns: int) -> list[Instruction]:
        """An inspection as it was stored. Its worker may come back for it for a short while, under the same fence."""
        if worker in self._workers:
            self._seats[order.id] = Seat(order, fence, worker, after)
            self._workers[worker].seats.add(order.id)
            return [Assign(worker, order, fence, after)]
        reserved = now_ns + self._reclaim_ns if worker else 0
        self._seats[order.id] = Seat(order, fence, worker, after, reserved)
        return self._place(now_ns, [order.id])

    def order_put(self, order: Order, now_ns: int) -> list[Instruction]:
        """An inspection begins to apply, or changes; a change goes to the same worker under a new fence.

        Camera and detector of an inspection never change: that is another inspection.
        """
        seat = self._seats.get(order.id)
        if seat is None:
            fence, after = self._withdrawn.pop(order.id, (0, None))
            self._seats[order.id] = Seat(order, fence, after=after)
            return self._place(now_ns, [order.id])
        if seat.order == order:
            return []
        seat.order = order
        if seat.worker in self._workers:
            seat.fence += 1
            return [Assign(seat.worker, order, seat.fence, seat.after)]
        return self._place(now_ns, [order.id])

    def order_withdrawn(self, inspection: str) -> list[Instruction]:
        """An inspection applies no longer."""
        seat = self._seats.get(inspection)
        if seat is None:
            return []
        instructions: list[Instruction] = [self._take_away(seat)] if seat.worker in self._workers else []
        self._withdrawn[inspection] = (seat.fence, seat.after)
        del self._seats[inspection]
        return instructions + self._relieve(0)

    def worker_joined(self, name: str, detectors: Iterable[str], capacity: int, now_ns: int) -> list[Instruction]:
        """A worker says hello. One that comes back for what is reserved for it goes on under its old fences."""
        known = frozenset(detector.partition("@")[0] for detector in detectors)
        worker = Worker(name, known, max(0, capacity), now_ns)
        self._workers[name] = worker
        instructions: list[Instruction] = []
        for seat in self._seats.values():
            if seat.worker == name:
                worker.seats.add(seat.order.id)
                seat.reserved_until_ns = 0
                instructions.append(Assign(name, seat.order, seat.fence, seat.after))
        return instructions + self._place(now_ns, sorted(self._seats)) + self._relieve(now_ns)

    def worker_heard(self, name: str, now_ns: int) -> list[Instruction]:
        """A sign of life."""
        if name in self._workers:
            self._workers[name].heard_ns = now_ns
        return []

    def worker_gone(self, name: str, now_ns: int) -> list[Instruction]:
        """A worker's stream ended: others take over behind the last judged frames."""
        worker = self._workers.pop(name, None)
        if worker is None:
            return []
        for inspection in worker.seats:
            self._seats[inspection].worker = ""
        return self._place(now_ns, sorted(worker.seats))

    def judged(self, inspection: str, last: FrameId) -> None:
        """Frames of the inspection up to `last` have their verdicts, for good."""
        seat = self._seats.get(inspection)
        if seat is not None:
            seat.after = last

    def tick(self, now_ns: int) -> list[Instruction]:
        """Time passes: silent workers go, reservations end."""
        instructions: list[Instruction] = []
        for name in [w.name for w in self._workers.values() if now_ns - w.heard_ns > self._worker_silent_ns]:
            instructions.append(Disconnect(name))
            instructions += self.worker_gone(name, now_ns)
        return instructions + self._place(now_ns, sorted(self._seats))

    # Choices

    def _place(self, now_ns: int, inspections: Iterable[str]) -> list[Instruction]:
        instructions: list[Instruction] = []
        for inspection in inspections:
            seat = self._seats[inspection]
            if seat.worker in self._workers or (seat.worker and now_ns < seat.reserved_until_ns):
                continue
            worker = self._best_for(seat.order)
            if worker is None:
                seat.worker = ""
                continue
            seat.worker, seat.reserved_until_ns = worker.name, 0
            seat.fence += 1
            worker.seats.add(inspection)
            instructions.append(Assign(worker.name, seat.order, seat.fence, seat.after))
        return instructions

    def _best_for(self, order: Order) -> Worker | None:
        able = [worker for worker in self._workers.values() if order.detector in worker.detectors and worker.capacity]
        if not able:
            return None

        def has_camera(worker: Worker) -> bool:
            return any(self._seats[seat].order.camera == order.camera for seat in worker.seats)

        return min(able, key=lambda w: (w.room <= 0, not has_camera(w), len(w.seats) / w.capacity, w.name))

    def _relieve(self, now_ns: int) -> list[Instruction]:
        """Moves inspections from workers that carry too much to workers that have room."""
        instructions: list[Instruction] = []
        for worker in sorted(self._workers.values(), key=lambda w: w.name):
            # Whole cameras first: the last ones taken on go together.
            for inspection in sorted(worker.seats, key=lambda name: self._seats[name].order.camera, reverse=True):
                if worker.room >= 0:
                    break
                seat = self._seats[inspection]
                best = self._best_for(seat.order)
                if best is not None and best is not worker and best.room > 0:
                    instructions.append(self._take_away(seat))
                    instructions += self._place(now_ns, [inspection])
        return instructions

    def _take_away(self, seat: Seat) -> Revoke:
        worker = self._workers[seat.worker]
        worker.seats.discard(seat.order.id)
        revoke = Revoke(worker.name, seat.order.id, seat.fence)
        seat.worker = ""
        return revoke
