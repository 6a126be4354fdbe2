"""Where verdicts are judged: one docket for each inspection, held in memory, and written behind.

A block is acknowledged once what the judge made of it is stored: within a second, or at once when there is something to
tell. Until then the worker keeps it; after a crash it sends it again, and the judge decides the same once more. Who may
send blocks does not belong here (`inspections.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from aggregate.archive import Archive
from aggregate.judge import Finding, JudgeState, Verdict, end, judge_all, state_document, state_from_document
from aggregate.orders import Order, touched
from aggregate.rules import RULES, SECOND, Rules
from aggregate.wire import anomaly_to_proto
from mesh.clocks import Clock
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("aggregate.bench")

SETTLE_EVERY_S = 1.0
# Verdicts may come late: from a worker that had lost its connection. Only then is a silent inspection given up.
PATIENCE_NS = 10 * SECOND

_verdicts = counter(
    "aggregate_verdicts", "Frames judged, by detector and whether they had a score.", ("detector", "scored")
)
_anomalies = counter("aggregate_anomalies", "Anomalies, by detector and phase.", ("detector", "phase"))


@dataclass(slots=True, eq=False)
class Docket:
    """One inspection before the judge."""

    order: Order
    state: JudgeState
    fence: int = 0
    worker: str = ""
    detector: str = ""
    """Name and version that spoke last."""
    camera_name: str = ""
    heard_ns: int = 0
    """Monotonic time of the last block, or of the beginning."""
    findings: list[Finding] = field(default_factory=list)
    acknowledgements: list[Callable[[], None]] = field(default_factory=list)
    is_dirty: bool = False
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def rules(self) -> Rules:
        """How its verdicts are judged."""
        return RULES[self.order.detector].with_threshold(self.order.threshold)


class Bench:
    """All dockets. `run` writes them."""

    def __init__(
        self,
        archive: Archive,
        clock: Clock,
        *,
        on_settled: Callable[[str, FrameId], None] = lambda _inspection, _last: None,
        on_published: Callable[[], None] = lambda: None,
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._on_settled = on_settled
        self._on_published = on_published
        self._dockets: dict[str, Docket] = {}
        self._urgent = asyncio.Event()

    def docket(self, inspection: str) -> Docket | None:
        """The docket of an inspection that was opened."""
        return self._dockets.get(inspection)

    async def open_docket(self, order: Order, camera_name: str) -> tuple[Docket, bool]:
        """The docket of the order, as it was stored; and whether it had to be read."""
        docket = self._dockets.get(order.id)
        if docket is not None:
            docket.order, docket.camera_name = order, camera_name
            return docket, False
        body = await self._archive.progress(order.id)
        docket = _docket(order, body, camera_name)
        docket.heard_ns = self._clock.monotonic_ns()
        self._dockets[order.id] = docket
        return docket, True

    def hear(self, docket: Docket, detector: str, verdicts: list[Verdict], acknowledge: Callable[[], None]) -> None:
        """Judges a block; `acknowledge` is called once the result is stored."""
        before = docket.state
        docket.state, findings = judge_all(before, docket.rules, docket.order.id, verdicts)
        docket.detector = detector
        docket.heard_ns = self._clock.monotonic_ns()
        docket.acknowledgements.append(acknowledge)
        name = docket.order.detector
        _verdicts.labels(name, True).inc(docket.state.scored - before.scored)
        _verdicts.labels(name, False).inc(docket.state.skipped - before.skipped)
        self._note(docket, findings)

    def end(self, docket: Docket) -> None:
        """The inspection applies no longer, or nobody speaks of it any more: closes what is open."""
        docket.state, findings = end(docket.state, self._clock.utc_ns())
        self._note(docket, findings)

    def end_silent(self) -> None:
        """Closes what is open where no verdict has come for long."""
        now_ns = self._clock.monotonic_ns()
        for docket in self._dockets.values():
            is_open = docket.state.current is not None
            if is_open and now_ns - docket.heard_ns > docket.rules.silence_ns + PATIENCE_NS:
                self.end(docket)

    async def settle(self, docket: Docket) -> None:
        """Writes what the judge decided, then acknowledges. Raises the store's errors, and loses nothing then."""
        async with docket.writing:
            findings, docket.findings = docket.findings, []
            acknowledgements, docket.acknowledgements = docket.acknowledgements, []
            docket.is_dirty = False
            last, body = docket.state.last, _body(docket)
            try:
                for finding in findings:
                    await self._publish(docket, finding)
                if findings:
                    self._on_published()
                await self._archive.put_progress(docket.order.id, body)
            except BaseException:
                docket.findings = findings + docket.findings
                docket.acknowledgements = acknowledgements + docket.acknowledgements
                docket.is_dirty = True
                raise
        if last is not None:
            self._on_settled(docket.order.id, last)
        for acknowledge in acknowledgements:
            acknowledge()

    async def run(self) -> None:
        """Writes dockets behind until cancelled; then once more."""
        next_s = asyncio.get_running_loop().time()
        try:
            while True:
                loop_s = asyncio.get_running_loop().time()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._urgent.wait(), max(next_s - loop_s, 0.0))
                self._urgent.clear()
                is_due = asyncio.get_running_loop().time() >= next_s
                if is_due:
                    next_s = asyncio.get_running_loop().time() + SETTLE_EVERY_S
                if not await self._settle_all(only_urgent=not is_due):
                    await asyncio.sleep(SETTLE_EVERY_S)
        finally:
            with contextlib.suppress(TrueframeError):
                await asyncio.shield(self._settle_all(only_urgent=False))

    async def _settle_all(self, *, only_urgent: bool) -> bool:
        due = [d for d in self._dockets.values() if d.findings or (d.is_dirty and not only_urgent)]
        results = await asyncio.gather(*(self.settle(docket) for docket in due), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            if not isinstance(failure, TrueframeError):
                raise failure
            if rate_limited("aggregate settle", 5.0):
                log.error("verdicts cannot be stored; they are kept", failed=len(failures), reason=str(failure))
        return not failures

    async def _publish(self, docket: Docket, finding: Finding) -> None:
        order, anomaly = docket.order, finding.anomaly
        regions = touched(order.regions, anomaly.boxes)
        message = anomaly_to_proto(
            anomaly, finding.phase, order, docket.detector, docket.camera_name, regions, self._clock.utc_ns()
        )
        if await self._archive.publish(message, finding.phase):
            _anomalies.labels(order.detector, finding.phase).inc()
            log.info(
                f"anomaly {finding.phase}", inspection=order.id, anomaly=anomaly.id, version=anomaly.version,
                first=str(anomaly.first), last=str(anomaly.last), score=round(anomaly.score, 3),
            )  # fmt: skip

    def _note(self, docket: Docket, findings: list[Finding]) -> None:
        docket.findings += findings
        docket.is_dirty = True
        if findings:
            self._urgent.set()


def _body(docket: Docket) -> dict[str, Any]:
    return {
        "camera": docket.order.camera,
        "fence": docket.fence,
        "worker": docket.worker,
        "detector": docket.detector,
        "judge": state_document(docket.state),
    }


def _docket(order: Order, body: dict[str, Any] | None, camera_name: str) -> Docket:
    if body is None:
        return Docket(order, JudgeState(), camera_name=camera_name, detector=order.detector)
    state = state_from_document(body["judge"])
    return Docket(order, replace(state), body["fence"], body["worker"], body["detector"], camera_name)
