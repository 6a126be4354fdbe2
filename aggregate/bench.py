"""Where verdicts are judged: one docket for each inspection, held in memory, and written behind.

A block is acknowledged once it is in the ledger and what the judge made of it is stored: within two seconds, or at once
when there is something to tell. Until then the worker keeps it; after a crash it sends it again. What the ledger holds
stands: the judge first catches up with it. Who may send blocks does not belong here (`inspections.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aggregate.archive import Archive
from aggregate.checkpoints import Checkpoint
from aggregate.judge import (
    Finding,
    JudgeState,
    Verdict,
    end,
    judge,
    state_document,
    state_from_document,
    unheard,
)
from aggregate.notebook import Notebook
from aggregate.orders import Order, touched
from aggregate.pages import End, Page
from aggregate.rules import RULES, SECOND, UNKNOWN, Rules
from aggregate.wire import anomaly_to_proto
from mesh.clocks import Clock
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter, histogram

log = get_logger("aggregate.bench")

SETTLE_EVERY_S = 2.0
# Verdicts may come late: from a worker that had lost its connection. Only then is a silent inspection given up.
PATIENCE_NS = 10 * SECOND

_verdicts = counter(
    "aggregate_verdicts", "Frames judged, by detector and whether they had a score.", ("detector", "scored")
)
_age = histogram(
    "aggregate_verdict_age_seconds", "Age of a block's newest frame when it is judged: since its arrival.",
    (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0), ("detector",),
)  # fmt: skip
_anomalies = counter("aggregate_anomalies", "Anomalies, by detector and phase.", ("detector", "phase"))


@dataclass(slots=True, eq=False)
class Docket:
    """One inspection before the judge."""

    order: Order
    state: JudgeState
    notebook: Notebook
    base: Rules
    """How verdicts of its detector are judged, whatever the order says."""
    fence: int = 0
    worker: str = ""
    detector: str = ""
    """Name and version that spoke last."""
    camera_name: str = ""
    since_ns: int = 0
    """Since when the order has been in force without a break, UTC."""
    heard_since_ns: int = 0
    """`since_ns` as it was when the last verdict was heard."""
    begins: bool = True
    """Whether the next verdict is the first of a detector that began from nothing."""
    began: FrameId | None = None
    """The frame with which the detector last began from nothing."""
    began_ns: int = 0
    """Arrival of that frame, UTC."""
    spoken_ns: int = 0
    """Arrival of the newest frame spoken of, UTC."""
    heard_ns: int = 0
    """Monotonic time of the last block, or of the beginning."""
    findings: list[Finding] = field(default_factory=list)
    acknowledgements: list[Callable[[], None]] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    """The newest one, if it is not stored yet."""
    calibrated: float = 0.0
    """Score at which an anomaly begins, as it was calibrated; 0 if it was not."""
    home: float = 0.0
    """What was calibrated from scores alone, before operators' labels moved it."""
    is_provisional: bool = False
    """There was too little footage to calibrate it well."""
    alignment: tuple[float, ...] = ()
    """Where the regions are now, as the last verdict that moved them said."""
    is_dirty: bool = False
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def resume_after(self) -> FrameId | None:
        """The frame behind which a worker goes on; None if none was spoken of since the inspection was started."""
        # Replayed frames are older than the order that has them looked at.
        has_spoken = self.heard_since_ns == self.since_ns or self.spoken_ns >= self.since_ns
        return self.state.last if has_spoken else None

    @property
    def rules(self) -> Rules:
        """How its verdicts are judged."""
        if self.order.false_alarms_per_hour and self.calibrated:
            return self.base.with_threshold(self.calibrated)
        return self.base.with_threshold(self.order.threshold)


def _usual_rules(detector: str) -> Rules:
    return RULES.get(detector, UNKNOWN)


class Bench:
    """All dockets. `run` writes them. `rules_of`: how the verdicts of a detector are judged, by its name."""

    def __init__(
        self,
        archive: Archive,
        clock: Clock,
        *,
        on_settled: Callable[[str, FrameId], None] = lambda _inspection, _last: None,
        on_published: Callable[[], None] = lambda: None,
        rules_of: Callable[[str], Rules] = _usual_rules,
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._on_settled = on_settled
        self._on_published = on_published
        self._rules_of = rules_of
        self._dockets: dict[str, Docket] = {}
        self._urgent = asyncio.Event()

    def docket(self, inspection: str) -> Docket | None:
        """The docket of an inspection that was opened."""
        return self._dockets.get(inspection)

    async def open_docket(self, order: Order, camera_name: str) -> tuple[Docket, bool]:
        """The docket of the order, as it was stored; and whether it had to be read."""
        docket = self._dockets.get(order.id)
        if docket is not None:
            docket.order, docket.camera_name, docket.base = order, camera_name, self._rules_of(order.detector)
            return docket, False
        body = await self._archive.progress(order.id)
        docket = _docket(order, body, camera_name, self._rules_of(order.detector))
        await self._catch_up(docket)
        docket.heard_ns = self._clock.monotonic_ns()
        self._dockets[order.id] = docket
        return docket, True

    def hear(
        self,
        docket: Docket,
        detector: str,
        verdicts: list[Verdict],
        acknowledge: Callable[[], None],
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Writes down and judges a block; `acknowledge` is called once all of it is stored."""
        before, rules = docket.state, docket.rules
        findings: list[Finding] = []
        for verdict in verdicts:
            fresh = unheard(docket.state, verdict)
            if fresh is None:
                continue
            docket.notebook.write(fresh, docket.order, docket.fence, detector, rules.threshold, began=docket.begins)
            if docket.begins:
                docket.began, docket.began_ns = fresh.id, fresh.received_ns
            docket.begins = False
            docket.state, said = judge(docket.state, rules, docket.order.id, fresh)
            docket.spoken_ns = max(docket.spoken_ns, fresh.received_ns)
            docket.alignment = fresh.alignment or docket.alignment
            docket.heard_since_ns = docket.since_ns
            findings += said
        docket.detector = detector
        docket.checkpoint = checkpoint or docket.checkpoint
        docket.heard_ns = self._clock.monotonic_ns()
        docket.acknowledgements.append(acknowledge)
        name = docket.order.detector
        _verdicts.labels(name, True).inc(docket.state.scored - before.scored)
        _verdicts.labels(name, False).inc(docket.state.skipped - before.skipped)
        if docket.spoken_ns:
            _age.labels(name).observe(max(self._clock.utc_ns() - docket.spoken_ns, 0) / 1e9)
        self._note(docket, findings)

    def calibrate(self, docket: Docket, threshold: float, *, is_provisional: bool) -> None:
        """Anomalies begin at another score from the next verdict on."""
        docket.calibrated, docket.is_provisional = threshold, is_provisional
        self._note(docket, [])

    def offers_changed(self) -> None:
        """Detectors may be judged by other rules now."""
        for docket in self._dockets.values():
            docket.base = self._rules_of(docket.order.detector)

    def end(self, docket: Docket) -> None:
        """The inspection applies no longer, or nobody speaks of it any more: closes what is open."""
        if docket.state.current is None:
            return
        now_ns = self._clock.utc_ns()
        docket.notebook.write_end(now_ns, docket.order, docket.fence, docket.detector, docket.rules.threshold)
        docket.state, findings = end(docket.state, now_ns)
        self._note(docket, findings)

    async def _catch_up(self, docket: Docket) -> None:
        """Judges what is in the ledger and was not judged, or not noted as judged, before a crash."""
        notebook, inspection = docket.notebook, docket.order.id
        number, step = notebook.position
        while (page := await self._archive.ledger.page(inspection, number)) is not None:
            docket.state, findings = judge_page(docket.state, docket.rules, page, step)
            if page.steps > step:
                self._note(docket, findings)
            docket.detector = page.key.detector
            docket.spoken_ns = max(docket.spoken_ns, page.to_ns)
            number, step = number + 1, 0
            notebook.continue_at(number)

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
            checkpoint, docket.checkpoint = docket.checkpoint, None
            last, body = docket.state.last, _body(docket)
            pages = docket.notebook.take()
            try:
                for page in pages:
                    await self._archive.ledger.put(page)
                for finding in findings:
                    await self._publish(docket, finding)
                if findings:
                    self._on_published()
                await self._archive.put_progress(docket.order.id, body)
                if checkpoint is not None:
                    await self._archive.checkpoints.put(docket.order.id, checkpoint)
            except BaseException:
                docket.notebook.put_back(pages)
                docket.checkpoint = docket.checkpoint or checkpoint
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
        docket.is_dirty = True
        if docket.order.shadow_of:
            # What a version on trial finds is in the ledger and troubles nobody.
            return
        docket.findings += findings
        if findings:
            self._urgent.set()


def judge_page(state: JudgeState, rules: Rules, page: Page, first_step: int = 0) -> tuple[JudgeState, list[Finding]]:
    """Takes the steps of a page of the ledger from `first_step` on, under the threshold of its time."""
    rules = rules.with_threshold(page.key.threshold)
    findings: list[Finding] = []
    for number, step in enumerate(page.read()):
        if number < first_step:
            continue
        if isinstance(step, End):
            state, said = end(state, step.at_ns)
        else:
            state, said = judge(state, rules, page.key.inspection, step)
        findings += said
    return state, findings


def _body(docket: Docket) -> dict[str, Any]:
    return {
        "camera": docket.order.camera,
        "fence": docket.fence,
        "worker": docket.worker,
        "detector": docket.detector,
        "judge": state_document(docket.state),
        "ledger": list(docket.notebook.position),
        "spoken_ns": docket.spoken_ns,
        "heard_since_ns": docket.heard_since_ns,
        "begins": docket.begins,
        "began": str(docket.began) if docket.began is not None else None,
        "began_ns": docket.began_ns,
        "calibrated": docket.calibrated,
        "home": docket.home,
        "is_provisional": docket.is_provisional,
        "alignment": list(docket.alignment),
    }


def _docket(order: Order, body: dict[str, Any] | None, camera_name: str, base: Rules) -> Docket:
    if body is None:
        return Docket(order, JudgeState(), Notebook(), base, camera_name=camera_name, detector=order.detector)
    state, notebook = state_from_document(body["judge"]), Notebook(*body.get("ledger", (0, 0)))
    spoken_ns = body.get("spoken_ns", state.scored_ns)
    docket = Docket(order, state, notebook, base, body["fence"], body["worker"], body["detector"], camera_name)
    docket.spoken_ns, docket.begins = spoken_ns, body.get("begins", False)
    docket.calibrated, docket.is_provisional = body.get("calibrated", 0.0), body.get("is_provisional", False)
    docket.home = body.get("home", 0.0)
    docket.began = FrameId.parse(body["began"]) if body.get("began") else None
    docket.began_ns = body.get("began_ns", 0)
    docket.heard_since_ns = body.get("heard_since_ns", -1)
    docket.alignment = tuple(body.get("alignment", ()))
    return docket
