"""The aggregate itself: orders, cameras, workers and the judge, put together. One task changes things at a time.

Decisions are made by pure parts (`scheduler`, `judge`, `orders`); here they are stored and carried out, in that order:
a fence is on disk before a worker hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from aggregate.archive import Archive
from aggregate.bench import Bench, Docket
from aggregate.checkpoints import Checkpoint
from aggregate.errors import BadInspection, BadVerdicts, WorkerReplaced
from aggregate.history import Change, change_of
from aggregate.orders import Catalogue, Order
from aggregate.pages import page_from_document
from aggregate.rules import RULES
from aggregate.scheduler import Assign, Disconnect, Instruction, Revoke, Scheduler
from aggregate.sessions import Session
from aggregate.wire import (
    UNSEEN_REASONS,
    checkpoint_from_proto,
    checkpoint_to_proto,
    order_to_proto,
    verdicts_from_proto,
)
from mesh.clocks import Clock
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from mesh.logs import get_logger
from mesh.metrics import counter
from trueframe.v1 import inspection_pb2

log = get_logger("aggregate")

TICK_S = 0.5
# A worker that is told to put an inspection down looks at the frame at hand and says what it has.
LAST_WORDS_NS = 2_000_000_000
BY_CONFIGURATION = "configuration"
BY_ITSELF = "trueframe"

_refused = counter("aggregate_blocks_refused", "Verdict blocks not judged, by reason.", ("reason",))


@dataclass(frozen=True, slots=True)
class Ending:
    """A worker was told to put an inspection down: its last words are waited for."""

    worker: str
    fence: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Status:
    """An inspection, who carries it out, and how far it has come."""

    order: Order
    docket: Docket | None
    worker: str


class Inspections:
    """The aggregate's state. `run` must run."""

    def __init__(self, archive: Archive, bench: Bench, clock: Clock, scheduler: Scheduler) -> None:
        self._archive = archive
        self._bench = bench
        self._clock = clock
        self._scheduler = scheduler
        self._catalogue = Catalogue()
        self._camera_names: dict[str, str] = {}
        self._sessions: dict[str, Session] = {}
        self._endings: dict[str, Ending] = {}
        self._changing = asyncio.Lock()

    # Orders

    async def load(self, seeds: Iterable[Order]) -> None:
        """Reads stored orders, and stores those of the configuration whose ids are new."""
        for order in seeds:
            await self._seed(order, BY_CONFIGURATION)
        async for order in self._archive.orders():
            newest = await self._archive.history.newest(order.id)
            if newest is None:
                await self._note(None, order, BY_ITSELF)
            elif newest.order != order:
                # Noted, and then the process died before it was carried out.
                order = newest.order
                await self._archive.put_order(order)
            self._catalogue.orders[order.id] = order

    def statuses(self) -> list[Status]:
        """Inspections of existing cameras, by id."""
        return [self._status(order) for order in self._catalogue.visible()]

    def orders_of(self, camera: str) -> list[Order]:
        """All orders of a camera, by id, those of a removed one included."""
        return [order for _, order in sorted(self._catalogue.orders.items()) if order.camera == camera]

    def applies(self, order: Order) -> bool:
        """Whether the order is carried out now."""
        return self._catalogue.applies(order)

    async def put(self, order: Order, by: str) -> Status:
        """Creates or replaces an inspection at somebody's wish; stored when this returns. Raises BadInspection."""
        async with self._changing:
            known = self._catalogue.orders.get(order.id)
            if known is not None and (known.camera, known.detector) != (order.camera, order.detector):
                raise BadInspection(
                    f"inspection {order.id!r}",
                    f"watches camera {known.camera} with {known.detector}",
                    "Another camera or detector needs an inspection of its own.",
                )
            await self._note(known, order, by)
            await self._archive.put_order(order)
            self._catalogue.orders[order.id] = order
            await self._apply(order)
        return self._status(order)

    async def _seed(self, order: Order, by: str) -> None:
        if await self._archive.seed_order(order):
            await self._note(None, order, by)

    async def _note(self, old: Order | None, new: Order, by: str) -> None:
        """Writes down who did it, before it is done: nobody then asks in vain why a frame was not inspected."""
        what = change_of(old, new)
        if what is not None:
            await self._archive.history.add(Change(self._clock.utc_ns(), by, what, new))

    def _status(self, order: Order) -> Status:
        seat = self._scheduler.seat(order.id)
        worker = seat.worker if seat is not None and seat.worker in self._sessions else ""
        return Status(order, self._bench.docket(order.id), worker)

    # Cameras

    async def camera_came(self, camera: str, name: str) -> None:
        """A camera exists, or changed its name."""
        async with self._changing:
            is_new = camera not in self._catalogue.cameras
            self._camera_names[camera] = name if name != camera else ""
            for order in self._catalogue.camera_came(camera) if is_new else ():
                await self._seed(order, BY_ITSELF)
                self._catalogue.orders[order.id] = order
            for order in [o for o in self._catalogue.orders.values() if o.camera == camera]:
                await self._apply(order)

    async def camera_left(self, camera: str) -> None:
        """A camera was removed."""
        async with self._changing:
            for order in self._catalogue.camera_left(camera):
                await self._apply(order)

    @property
    def cameras(self) -> frozenset[str]:
        """Cameras that exist."""
        return frozenset(self._catalogue.cameras)

    async def _apply(self, order: Order) -> None:
        if not self._catalogue.applies(order):
            seat = self._scheduler.seat(order.id)
            if seat is not None:
                until_ns = self._clock.monotonic_ns() + LAST_WORDS_NS
                self._endings[order.id] = Ending(seat.worker, seat.fence, until_ns)
            await self._carry_out(self._scheduler.order_withdrawn(order.id))
            return
        self._end(order.id)
        docket, was_read = await self._bench.open_docket(order, self._camera_names.get(order.camera, ""))
        change = await self._archive.history.newest(order.id)
        docket.since_ns = change.since_ns if change is not None else 0
        now_ns = self._clock.monotonic_ns()
        if was_read and docket.fence:
            said = self._scheduler.restored(order, docket.fence, docket.worker, docket.resume_after, now_ns)
        else:
            said = self._scheduler.order_put(order, now_ns)
        await self._carry_out(said)

    def _end(self, inspection: str) -> None:
        """The last word was said, or is not waited for any longer."""
        docket = self._bench.docket(inspection)
        if self._endings.pop(inspection, None) is not None and docket is not None:
            self._bench.end(docket)

    def _is_last_word(self, worker: str, inspection: str, fence: int) -> bool:
        ending = self._endings.get(inspection)
        return ending is not None and (ending.worker, ending.fence) == (worker, fence)

    # Workers

    async def worker_joined(self, session: Session, hello: inspection_pb2.WorkerHello) -> None:
        """A worker says hello on a new stream; one it had before ends."""
        async with self._changing:
            replaced = self._sessions.get(session.worker)
            if replaced is not None:
                replaced.close(WorkerReplaced(f"worker {session.worker}", "has joined again on another stream"))
            self._sessions[session.worker] = session
            now_ns = self._clock.monotonic_ns()
            said = self._scheduler.worker_joined(session.worker, hello.detectors, hello.capacity, now_ns)
            log.info("worker joined", worker=session.worker, capacity=hello.capacity, assignments=len(said))
            await self._carry_out(said)

    async def worker_left(self, session: Session) -> None:
        """The worker's stream ended."""
        async with self._changing:
            if self._sessions.get(session.worker) is not session:
                return
            del self._sessions[session.worker]
            said = self._scheduler.worker_gone(session.worker, self._clock.monotonic_ns())
            log.info("worker left", worker=session.worker, taken_over=len(said))
            await self._carry_out(said)

    def worker_heard(self, session: Session) -> None:
        """A sign of life."""
        self._scheduler.worker_heard(session.worker, self._clock.monotonic_ns())

    def block_came(self, session: Session, block: inspection_pb2.VerdictBlock) -> None:
        """Judges a block, or refuses it as stale; either way it will be acknowledged. Raises BadVerdicts."""
        self.worker_heard(session)

        def acknowledge() -> None:
            acknowledgement = inspection_pb2.BlockAcknowledgement(number=block.number)
            session.say(inspection_pb2.JoinPoolResponse(acknowledgement=acknowledgement))

        docket = self._bench.docket(block.inspection)
        speaker = (session.worker, block.inspection, block.fence)
        if docket is None or not (self._scheduler.accepts(*speaker) or self._is_last_word(*speaker)):
            _refused.labels("stale").inc()
            acknowledge()
            return
        try:
            verdicts = verdicts_from_proto(docket.order.camera, block)
            checkpoint = checkpoint_from_proto(docket.order.camera, block)
        except BadVerdicts:
            _refused.labels("malformed").inc()
            raise
        self._bench.hear(docket, block.detector[:100], verdicts, acknowledge, checkpoint)

    # Time

    async def run(self) -> None:
        """Lets time pass until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            async with self._changing:
                now_ns = self._clock.monotonic_ns()
                for inspection in [name for name, ending in self._endings.items() if ending.until_ns <= now_ns]:
                    self._end(inspection)
                await self._carry_out(self._scheduler.tick(now_ns))
            self._bench.end_silent()

    # Carrying out

    async def _carry_out(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Assign():
                    await self._assign(instruction)
                case Revoke():
                    revocation = inspection_pb2.Revocation(inspection=instruction.inspection, fence=instruction.fence)
                    self._say(instruction.worker, inspection_pb2.JoinPoolResponse(revocation=revocation))
                case Disconnect():
                    log.warning("worker is silent", worker=instruction.worker)
                    session = self._sessions.pop(instruction.worker, None)
                    if session is not None:
                        session.close()

    async def _assign(self, instruction: Assign) -> None:
        order = instruction.order
        docket = self._bench.docket(order.id)
        if docket is None:
            raise AssertionError(f"inspection {order.id} was placed before its docket was opened")
        last = docket.resume_after
        # A worker that goes on with changed orders keeps what its detector has learnt.
        is_kept = last is not None and docket.worker == instruction.worker
        checkpoint = None
        if last is not None and not is_kept:
            checkpoint = await self._archive.checkpoints.newest(order.id, last)
        docket.fence, docket.worker = instruction.fence, instruction.worker
        docket.begins = not is_kept and checkpoint is None
        try:
            await self._bench.settle(docket)
        except TrueframeError as error:
            # An assignment that is not stored must not be heard of. The worker comes again.
            log.error("assignment cannot be stored", inspection=order.id, reason=str(error))
            session = self._sessions.get(instruction.worker)
            if session is not None:
                session.close(error)
            return
        message = order_to_proto(order)
        if message.threshold <= 0.0:
            message.threshold = RULES[order.detector].threshold
        assignment = inspection_pb2.Assignment(inspection=message, fence=instruction.fence)
        last = docket.resume_after
        if last is not None:
            assignment.after.CopyFrom(last.to_proto())
            if checkpoint is not None:
                assignment.checkpoint.CopyFrom(checkpoint_to_proto(checkpoint))
                assignment.unseen.extend(await self._unseen(order, checkpoint, last))
        self._say(instruction.worker, inspection_pb2.JoinPoolResponse(assignment=assignment))

    async def _unseen(self, order: Order, checkpoint: Checkpoint, last: FrameId) -> list[inspection_pb2.FrameRun]:
        """Frames between the two that no detector was shown."""
        runs = []
        async for body in self._archive.ledger.between(order.id, checkpoint.received_ns):
            for verdict in page_from_document(body).verdicts():
                is_between = checkpoint.after < verdict.last_id and verdict.id <= last
                if is_between and verdict.reason in UNSEEN_REASONS:
                    runs.append(inspection_pb2.FrameRun(id=verdict.id.to_proto(), count=verdict.count))
        return runs

    def _say(self, worker: str, response: inspection_pb2.JoinPoolResponse) -> None:
        session = self._sessions.get(worker)
        if session is not None:
            session.say(response)
