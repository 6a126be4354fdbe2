"""What workers say of the inspections that they have: verdicts, reports, signs of life, and last words.

What should not be in this module: what workers are told (`dispatch`), who has what (`scheduler`), judging (`bench`).
"""

from __future__ import annotations

from dataclasses import dataclass

from aggregate.bench import Bench
from aggregate.errors import BadVerdicts
from aggregate.model_store import Models
from aggregate.reports import Reports
from aggregate.scheduler import Scheduler
from aggregate.sessions import Session
from aggregate.wire import checkpoint_from_proto, verdicts_from_proto
from mesh.clocks import Clock
from mesh.metrics import counter
from trueframe.v1 import inspection_pb2

# A worker that is told to put an inspection down looks at the frame at hand and says what it has.
LAST_WORDS_NS = 2_000_000_000

_refused = counter("aggregate_blocks_refused", "Verdict blocks not judged, by reason.", ("reason",))


@dataclass(frozen=True, slots=True)
class Ending:
    """A worker was told to put an inspection down: its last words are waited for."""

    worker: str
    fence: int
    until_ns: int


class Hearing:
    """Takes what workers say, if it is theirs to say."""

    def __init__(
        self, bench: Bench, clock: Clock, scheduler: Scheduler, models: Models | None, reports: Reports
    ) -> None:
        self._bench = bench
        self._clock = clock
        self._scheduler = scheduler
        self._models = models
        self._reports = reports
        self._endings: dict[str, Ending] = {}

    def worker_heard(self, session: Session) -> None:
        """A sign of life."""
        self._scheduler.worker_heard(session.worker, self._clock.monotonic_ns())

    async def report_came(self, session: Session, report: inspection_pb2.InspectionReport) -> None:
        """How an inspection fares at its worker. One of another assignment is ignored."""
        self.worker_heard(session)
        seat = self._scheduler.seat(report.inspection)
        if seat is None or not self._scheduler.accepts(session.worker, report.inspection, report.fence):
            return
        self._reports.heard(seat.order, report)
        self._scheduler.measured(report.inspection, report.cost_us / 1e6, report.frames_came_per_second)
        if self._models is not None:
            own = inspection_pb2.ModelReport(
                digest=report.model, golden=report.golden, golden_differs=report.golden_differs
            )
            for one in (own, *report.further_models):
                if one.golden:
                    await self._models.golden(one.digest, one.golden, differs=one.golden_differs)

    def block_came(self, session: Session, block: inspection_pb2.VerdictBlock) -> None:
        """Judges a block, or refuses it as stale, and acknowledges what need not come again. Raises BadVerdicts."""
        self.worker_heard(session)

        def acknowledge() -> None:
            acknowledgement = inspection_pb2.BlockAcknowledgement(number=block.number, fence=block.fence)
            session.say(inspection_pb2.JoinPoolResponse(acknowledgement=acknowledgement))

        docket = self._bench.docket(block.inspection)
        speaker = (session.worker, block.inspection, block.fence)
        if docket is None or not (self._scheduler.accepts(*speaker) or self._is_last_word(*speaker)):
            _refused.labels("stale").inc()
            seat = self._scheduler.seat(block.inspection)
            if seat is None or seat.worker != session.worker:
                acknowledge()
            # Otherwise its new assignment is on the way, and under that it sends again what is not acknowledged.
            return
        try:
            verdicts = verdicts_from_proto(docket.order.camera, block)
            checkpoint = checkpoint_from_proto(docket.order.camera, block)
        except BadVerdicts:
            _refused.labels("malformed").inc()
            raise
        self._bench.hear(docket, block.detector[:100], verdicts, acknowledge, checkpoint)

    # Last words

    def wait_for_last_word(self, inspection: str) -> None:
        """It is about to be put down by whoever has it."""
        seat = self._scheduler.seat(inspection)
        if seat is not None:
            until_ns = self._clock.monotonic_ns() + LAST_WORDS_NS
            self._endings[inspection] = Ending(seat.worker, seat.fence, until_ns)

    def end(self, inspection: str) -> None:
        """The last word was said, or is not waited for any longer."""
        docket = self._bench.docket(inspection)
        if self._endings.pop(inspection, None) is not None and docket is not None:
            self._bench.end(docket)

    def end_late(self, now_ns: int) -> None:
        """Ends those that were waited for long enough."""
        for inspection in [name for name, ending in self._endings.items() if ending.until_ns <= now_ns]:
            self.end(inspection)

    def _is_last_word(self, worker: str, inspection: str, fence: int) -> bool:
        ending = self._endings.get(inspection)
        return ending is not None and (ending.worker, ending.fence) == (worker, fence)
