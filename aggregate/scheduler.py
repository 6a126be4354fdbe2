"""Who inspects what: a pure state machine. Stimuli in, instructions out; no clock, no I/O.

One worker at a time has an inspection, under a fence that grows with every assignment; what an older fence says is
refused. Inspections stick to their worker, and those of one camera stay together, because a worker reads each camera
once. When a worker goes, the next one takes over behind the last judged frame. An inspection weighs what its worker
measured that it costs, against the cores that the worker may use; until it is measured, all weigh the same against the
number that the worker takes. When all are full they carry more, rather than nobody watching a camera: then those that
are measured are looked at less often (`rates.py`), until there is room again. Storing fences before they are used and
talking to workers belong to `inspections.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aggregate.orders import Order
from aggregate.rates import Demand, fair_rates
from aggregate.rules import SECOND
from mesh.ids import FrameId

WORKER_SILENT_NS = 6 * SECOND
RECLAIM_NS = 3 * SECOND
RATES_EVERY_NS = 10 * SECOND
# Above the first a worker is overloaded and rates are lowered to the second; below the third all have theirs again.
TOO_MUCH, TARGET, CALM = 0.95, 0.85, 0.75
_SMALL_CHANGE = 0.15
_EDGE = 1e-6
CUDA = "CUDA"


@dataclass(frozen=True, slots=True)
class Assign:
    """Tell the worker to carry out the order, behind `after` if given."""

    worker: str
    order: Order
    fence: int
    after: FrameId | None
    fps: float = 0.0
    """Frames a second to look at, where there is too much to do; 0 for all that the order asks for."""


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
    frame_s: float = 0.0
    """CPU or device seconds of a frame, as measured; 0 while that is not known."""
    came_fps: float = 0.0
    lowered_fps: float = 0.0
    """0: it is looked at as often as the order says."""

    @property
    def demand(self) -> Demand:
        """What it would cost if its rate was not lowered."""
        wanted = self.order.max_fps
        fps = min(self.came_fps, wanted) if wanted else self.came_fps
        return Demand(self.order.id, self.frame_s, fps, self.order.priority)


@dataclass(slots=True)
class Worker:
    """One worker of the pool."""

    name: str
    detectors: frozenset[str]
    """Names without versions."""
    capacity: int
    heard_ns: int
    cores: float = 0.0
    """0: not told."""
    providers: frozenset[str] = frozenset()
    is_leaving: bool = False
    seats: set[str] = field(default_factory=set)


def _has_model(order: Order) -> bool:
    return bool(order.model)


class Scheduler:
    """Places inspections on workers. Every method is a stimulus; what it returns must be carried out in order.

    `takes_model`: whether an order is carried out with a model, and so runs best where there is a GPU.
    """

    def __init__(
        self,
        *,
        worker_silent_ns: int = WORKER_SILENT_NS,
        reclaim_ns: int = RECLAIM_NS,
        takes_model: Callable[[Order], bool] = _has_model,
    ) -> None:
        self._worker_silent_ns = worker_silent_ns
        self._reclaim_ns = reclaim_ns
        self._takes_model = takes_model
        self._seats: dict[str, Seat] = {}
        self._workers: dict[str, Worker] = {}
        # Of inspections that were withdrawn: should they apply again, their fences go on growing.
        self._withdrawn: dict[str, tuple[int, FrameId | None]] = {}
        self._rated_ns = 0

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

    @property
    def lowered(self) -> dict[str, float]:
        """Inspections whose rate had to be lowered, with the frames a second that are looked at."""
        return {name: seat.lowered_fps for name, seat in self._seats.items() if seat.lowered_fps}

    def accepts(self, worker: str, inspection: str, fence: int) -> bool:
        """Whether a block of this worker under this fence counts."""
        seat = self._seats.get(inspection)
        return seat is not None and seat.fence == fence and seat.worker == worker

    def room(self) -> tuple[float, float]:
        """Cores that all workers may use, and those that their inspections take as measured."""
        cores = sum(worker.cores for worker in self._workers.values())
        return cores, sum(seat.demand.cores for seat in self._seats.values())

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
            return [self._again(seat)]
        return self._place(now_ns, [order.id])

    def order_touched(self, inspection: str) -> list[Instruction]:
        """What goes with its order has changed, its model say: the worker hears of it under a new fence."""
        seat = self._seats.get(inspection)
        return [self._again(seat)] if seat is not None and seat.worker in self._workers else []

    def order_withdrawn(self, inspection: str) -> list[Instruction]:
        """An inspection applies no longer."""
        seat = self._seats.get(inspection)
        if seat is None:
            return []
        instructions: list[Instruction] = [self._take_away(seat)] if seat.worker in self._workers else []
        self._withdrawn[inspection] = (seat.fence, seat.after)
        del self._seats[inspection]
        return instructions + self._relieve(0)

    def worker_joined(
        self,
        name: str,
        detectors: Iterable[str],
        capacity: int,
        now_ns: int,
        *,
        cores: float = 0.0,
        providers: Iterable[str] = (),
    ) -> list[Instruction]:
        """A worker says hello. One that comes back for what is reserved for it goes on under its old fences."""
        known = frozenset(detector.partition("@")[0] for detector in detectors)
        worker = Worker(name, known, max(0, capacity), now_ns, max(0.0, cores), frozenset(providers))
        self._workers[name] = worker
        instructions: list[Instruction] = []
        for seat in self._seats.values():
            if seat.worker == name:
                worker.seats.add(seat.order.id)
                seat.reserved_until_ns = 0
                instructions.append(Assign(name, seat.order, seat.fence, seat.after, seat.lowered_fps))
        instructions += self._place(now_ns, sorted(self._seats))
        return instructions + self._relieve(now_ns) + self._to_gpu(worker, now_ns)

    def worker_heard(self, name: str, now_ns: int) -> list[Instruction]:
        """A sign of life."""
        if name in self._workers:
            self._workers[name].heard_ns = now_ns
        return []

    def worker_leaving(self, name: str) -> list[Instruction]:
        """A worker is about to leave: it says its last words and is given nothing new.

        Others take over once its stream has ended: behind the last word, from the state that came with it.
        """
        if name in self._workers:
            self._workers[name].is_leaving = True
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

    def measured(self, inspection: str, frame_s: float, came_fps: float) -> None:
        """What a frame costs, in CPU or device seconds, and how many come in a second; 0 where that is not known."""
        seat = self._seats.get(inspection)
        if seat is not None and frame_s > 0 and came_fps > 0:
            seat.frame_s, seat.came_fps = frame_s, came_fps

    def tick(self, now_ns: int) -> list[Instruction]:
        """Time passes: silent workers go, reservations end, now and then rates are set anew."""
        instructions: list[Instruction] = []
        for name in [w.name for w in self._workers.values() if now_ns - w.heard_ns > self._worker_silent_ns]:
            instructions.append(Disconnect(name))
            instructions += self.worker_gone(name, now_ns)
        instructions += self._place(now_ns, sorted(self._seats))
        if now_ns - self._rated_ns >= RATES_EVERY_NS:
            self._rated_ns = now_ns
            instructions += self._relieve(now_ns)
            for worker in sorted(self._workers.values(), key=lambda w: w.name):
                instructions += self._set_rates(worker)
        return instructions

    # Choices

    def _place(self, now_ns: int, inspections: Iterable[str]) -> list[Instruction]:
        instructions: list[Instruction] = []
        for inspection in inspections:
            seat = self._seats[inspection]
            if seat.worker in self._workers or (seat.worker and now_ns < seat.reserved_until_ns):
                continue
            worker = self._best_for(seat)
            if worker is None:
                seat.worker = ""
                continue
            seat.worker, seat.reserved_until_ns = worker.name, 0
            worker.seats.add(inspection)
            instructions.append(self._again(seat))
        return instructions

    def _again(self, seat: Seat) -> Assign:
        seat.fence += 1
        return Assign(seat.worker, seat.order, seat.fence, seat.after, seat.lowered_fps)

    def _best_for(self, seat: Seat) -> Worker | None:
        order = seat.order
        able = [
            worker
            for worker in self._workers.values()
            if order.detector in worker.detectors and worker.capacity and not worker.is_leaving
        ]
        if not able:
            return None
        wants_gpu = self._takes_model(order)

        def has_camera(worker: Worker) -> bool:
            return any(self._seats[other].order.camera == order.camera for other in worker.seats)

        def badness(worker: Worker) -> tuple[bool, bool, bool, float, str]:
            lacks_gpu = wants_gpu and CUDA not in worker.providers
            is_full = not self._has_room(worker, seat)
            return is_full, lacks_gpu, not has_camera(worker), self._load(worker), worker.name

        return min(able, key=badness)

    def _share(self, worker: Worker, seat: Seat) -> float:
        """What of a worker an inspection takes, 1 being all of it."""
        cores = seat.demand.cores
        return cores / worker.cores if cores and worker.cores else 1.0 / max(worker.capacity, 1)

    def _load(self, worker: Worker) -> float:
        return sum(self._share(worker, self._seats[name]) for name in worker.seats)

    def _has_room(self, worker: Worker, seat: Seat) -> bool:
        own = 0.0 if seat.order.id in worker.seats else self._share(worker, seat)
        return self._load(worker) + own <= 1.0 + _EDGE

    def _relieve(self, now_ns: int) -> list[Instruction]:
        """Moves inspections from workers that carry too much to workers that have room."""
        instructions: list[Instruction] = []
        for worker in sorted(self._workers.values(), key=lambda w: w.name):
            # Whole cameras first: the last ones taken on go together.
            for inspection in sorted(worker.seats, key=lambda name: self._seats[name].order.camera, reverse=True):
                if self._load(worker) <= 1.0 + _EDGE:
                    break
                seat = self._seats[inspection]
                best = self._best_for(seat)
                if best is not None and best is not worker and self._has_room(best, seat):
                    instructions.append(self._take_away(seat))
                    instructions += self._place(now_ns, [inspection])
        return instructions

    def _to_gpu(self, worker: Worker, now_ns: int) -> list[Instruction]:
        """A worker with a GPU has joined: inspections with a model go there, as far as it has room."""
        instructions: list[Instruction] = []
        if CUDA not in worker.providers:
            return instructions
        for inspection, seat in sorted(self._seats.items()):
            present = self._workers.get(seat.worker)
            is_better = present is not None and CUDA not in present.providers and self._takes_model(seat.order)
            if is_better and self._best_for(seat) is worker and self._has_room(worker, seat):
                instructions.append(self._take_away(seat))
                instructions += self._place(now_ns, [inspection])
        return instructions

    def _set_rates(self, worker: Worker) -> list[Instruction]:
        """Lowers the rates of a worker that cannot keep up, or gives them back."""
        seats = [self._seats[name] for name in sorted(worker.seats) if self._seats[name].demand.cores]
        wanted = sum(seat.demand.cores for seat in seats)
        is_lowered = any(seat.lowered_fps for seat in seats)
        if not worker.cores or wanted <= (CALM if is_lowered else TOO_MUCH) * worker.cores:
            rates: dict[str, float] = {}
        else:
            rates = fair_rates([seat.demand for seat in seats], TARGET * worker.cores)
        instructions: list[Instruction] = []
        for seat in seats:
            fps = round(rates.get(seat.order.id, 0.0), 2)
            now = seat.lowered_fps
            if fps == now or (fps and now and abs(fps - now) <= _SMALL_CHANGE * now):
                continue
            seat.lowered_fps = fps
            instructions.append(self._again(seat))
        return instructions

    def _take_away(self, seat: Seat) -> Revoke:
        worker = self._workers[seat.worker]
        worker.seats.discard(seat.order.id)
        revoke = Revoke(worker.name, seat.order.id, seat.fence)
        seat.worker = ""
        return revoke
