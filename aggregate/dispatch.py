"""What the scheduler decided, told to workers: assignments with all that they take, on disk before a worker hears.

What should not be in this module: deciding (`scheduler`), orders and their history (`inspections`), what an assignment
holds (`assigning`).
"""

from __future__ import annotations

from collections.abc import Iterable

from aggregate.archive import Archive
from aggregate.assigning import assignment_of, beginning
from aggregate.bench import Bench
from aggregate.model_store import Models
from aggregate.models import Version
from aggregate.reports import Reports
from aggregate.resting import Resting
from aggregate.scheduler import Assign, Disconnect, Instruction, Revoke
from aggregate.sessions import Session
from mesh.errors import TrueframeError
from mesh.logs import get_logger
from trueframe.v1 import inspection_pb2

log = get_logger("aggregate.dispatch")


class Dispatch:
    """The streams of all workers, and what each was told."""

    def __init__(
        self, archive: Archive, bench: Bench, models: Models | None, resting: Resting, reports: Reports
    ) -> None:
        self._archive = archive
        self._bench = bench
        self._models = models
        self._resting = resting
        self._reports = reports
        self.sessions: dict[str, Session] = {}
        self.assigned: dict[str, tuple[Version, ...]] = {}
        """Versions of models that workers were told to run, by inspection."""

    async def carry_out(self, instructions: Iterable[Instruction]) -> None:
        """Tells workers, in order. One that cannot be told is disconnected: it is told again when it comes."""
        for instruction in instructions:
            match instruction:
                case Assign():
                    try:
                        await self._assign(instruction)
                    except Exception as error:
                        # Whatever it was: a worker that comes again is told again. Nobody else has to wait for that.
                        log.exception("assignment failed", inspection=instruction.order.id, error=str(error))
                        session = self.sessions.get(instruction.worker)
                        if session is not None:
                            session.close()
                case Revoke():
                    revocation = inspection_pb2.Revocation(inspection=instruction.inspection, fence=instruction.fence)
                    self._say(instruction.worker, inspection_pb2.JoinPoolResponse(revocation=revocation))
                case Disconnect():
                    log.warning("worker is silent", worker=instruction.worker)
                    session = self.sessions.pop(instruction.worker, None)
                    if session is not None:
                        session.close()

    async def _assign(self, instruction: Assign) -> None:
        order = instruction.order
        docket = self._bench.docket(order.id)
        if docket is None:
            raise AssertionError(f"inspection {order.id} was placed before its docket was opened")
        # A worker that goes on with changed orders keeps what its detector has learnt.
        is_kept = docket.resume_after is not None and docket.worker == instruction.worker
        checkpoint = None
        try:
            if not is_kept:
                # The newest state may be heard of and not stored yet.
                await self._bench.settle(docket)
                if (last := docket.resume_after) is not None:
                    checkpoint = await self._archive.checkpoints.newest(order.id, last)
            docket.fence, docket.worker = instruction.fence, instruction.worker
            begin = beginning(docket) if not is_kept and checkpoint is None else None
            docket.begins = not is_kept and checkpoint is None and begin is None
            self._reports.lowered(order, instruction.fps)
            await self._bench.settle(docket)
        except TrueframeError as error:
            # An assignment that is not stored must not be heard of. The worker comes again.
            log.error("assignment cannot be stored", inspection=order.id, reason=str(error))
            session = self.sessions.get(instruction.worker)
            if session is not None:
                session.close(error)
            return
        versions = self.assigned[order.id] = self._resting.versions(order)
        assignment = await assignment_of(instruction, docket, self._archive, self._models, versions, checkpoint, begin)
        self._say(instruction.worker, inspection_pb2.JoinPoolResponse(assignment=assignment))

    def _say(self, worker: str, response: inspection_pb2.JoinPoolResponse) -> None:
        session = self.sessions.get(worker)
        if session is not None:
            session.say(response)
