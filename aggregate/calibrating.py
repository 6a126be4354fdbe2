"""Thresholds that follow what was seen: computed from the ledger's scores now and then, moved by operators' labels.

A threshold moves slowly, and every move stands in the history of its inspection with the reason. Scores are never
touched (law 6). How a threshold is computed is in `calibration.py`; here is from which scores, and how far it moves.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

import numpy as np

from aggregate.archive import Archive
from aggregate.bench import Bench, Docket
from aggregate.calibration import Calibrated, after_label, calibrate
from aggregate.errors import NeverInspected
from aggregate.inspections import BY_ITSELF, Inspections
from aggregate.orders import Order
from aggregate.pages import page_from_document
from mesh.clocks import Clock
from mesh.errors import InvalidArgument, NotFound, TrueframeError
from mesh.logs import get_logger
from mesh.store import Between, Body, Where
from mesh.store_port import MAX_ID_CHARACTERS

log = get_logger("aggregate.calibrating")

HOUR_NS = 3_600_000_000_000
BACK_NS = 24 * HOUR_NS
MAX_SCORES = 2_000_000
# In log odds: from 0.50 to 0.56 at a time.
LARGEST_MOVE = 0.25
SMALLEST_MOVE = 0.01
TICK_S = 1.0
SOON_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """What came of a label."""

    inspection: str
    threshold: float
    sentence: str


class Calibrator:
    """Keeps thresholds. `run` must run."""

    def __init__(
        self, archive: Archive, bench: Bench, inspections: Inspections, clock: Clock, every_s: float = 3600.0
    ) -> None:
        self._archive = archive
        self._bench = bench
        self._inspections = inspections
        self._clock = clock
        self._every_ns = int(every_s * 1e9)
        self._due_ns: dict[str, int] = {}

    async def run(self) -> None:
        """Calibrates what is due until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            for status in self._inspections.statuses():
                try:
                    await self.calibrate_if_due(status.order)
                except TrueframeError as error:
                    log.warning("threshold cannot be calibrated", inspection=status.order.id, reason=str(error))

    async def calibrate_if_due(self, order: Order) -> None:
        """Calibrates an inspection whose time has come."""
        docket = self._bench.docket(order.id)
        if not order.false_alarms_per_hour or order.shadow_of or docket is None:
            self._due_ns.pop(order.id, None)
            return
        now_ns = self._clock.monotonic_ns()
        # A new wish is followed soon, and then at its leisure.
        if now_ns < self._due_ns.get(order.id, 0):
            return
        found = await self.calibrate(order, docket)
        self._due_ns[order.id] = now_ns + min(self._every_ns, self._wait_ns(found))

    def _wait_ns(self, found: Calibrated | None) -> int:
        """Until it is worth while to compute again: sooner where little footage becomes more."""
        if found is None:
            return SOON_NS
        return max(SOON_NS, int(found.hours * HOUR_NS / 4)) if found.is_provisional else self._every_ns

    async def calibrate(self, order: Order, docket: Docket) -> Calibrated | None:
        """Computes a threshold anew and moves towards it; None if there are no scores to go by.

        With too little footage it is never below what would be in force without: a quiet minute is no reason to cry at
        the next passer-by.
        """
        found = await self._calibrated(order)
        if found is None:
            return None
        shift = _log_odds(docket.calibrated) - _log_odds(docket.home) if docket.home and docket.calibrated else 0.0
        home = found.threshold
        usual = docket.base.with_threshold(order.threshold).threshold
        is_raised = found.is_provisional and home < usual
        if is_raised:
            home = usual
        if docket.home and not found.is_provisional and not docket.is_provisional:
            here = _log_odds(docket.home)
            home = _from_log_odds(here + min(max(_log_odds(home) - here, -LARGEST_MOVE), LARGEST_MOVE))
        threshold = _from_log_odds(_log_odds(home) + shift)
        has_moved = abs(_log_odds(threshold) - _log_odds(docket.calibrated or 0.5)) >= SMALLEST_MOVE
        if docket.calibrated and not has_moved and docket.is_provisional == found.is_provisional:
            return found
        docket.home = home
        why = f"threshold {threshold:.3f}; wanted: {found.sentence}"
        if is_raised:
            why += f" Until there is more, the threshold is not below the usual one, {usual:.3f}."
        await self._inspections.calibrated(order, threshold, why, BY_ITSELF, is_provisional=found.is_provisional)
        return found

    async def label(self, anomaly_id: str, by: str, *, is_false: bool) -> Labelled:
        """What an operator calls an anomaly. Raises NotFound."""
        body = await self._anomaly(anomaly_id)
        order = next((o for o in self._inspections.orders_of(body["camera"]) if o.id == body["inspection"]), None)
        docket = self._bench.docket(body["inspection"])
        if order is None:
            raise NeverInspected(f"inspection {body['inspection']}", "does not exist any more")
        label = {"is_false": is_false, "by": by, "at_ns": self._clock.utc_ns()}
        await self._archive.put_label(anomaly_id, label)
        if docket is None or not order.false_alarms_per_hour or not docket.calibrated:
            threshold = docket.rules.threshold if docket is not None else order.threshold
            why = (
                "it is not calibrated" if not order.false_alarms_per_hour else "it is calibrated from the next hour on"
            )
            return Labelled(order.id, threshold, f"The label is kept. The threshold stays at {threshold:.3f}: {why}.")
        moved = after_label(docket.calibrated, docket.home, float(body.get("score", 0.0)), is_false=is_false)
        if moved.threshold != docket.calibrated:
            await self._inspections.calibrated(
                order, moved.threshold, moved.sentence, by, is_provisional=docket.is_provisional
            )
        return Labelled(order.id, moved.threshold, moved.sentence)

    async def camera_of(self, anomaly_id: str) -> str:
        """The camera of an anomaly. Raises NotFound."""
        return str((await self._anomaly(anomaly_id))["camera"])

    async def _anomaly(self, anomaly_id: str) -> Body:
        body = await self._archive.anomaly(anomaly_id) if 0 < len(anomaly_id) <= MAX_ID_CHARACTERS else None
        if body is None:
            raise NotFound(f"anomaly {anomaly_id[:60]}", "does not exist", "`trueframe events list` shows their ids.")
        return body

    async def _calibrated(self, order: Order) -> Calibrated | None:
        to_ns = self._clock.utc_ns()
        from_ns = to_ns - BACK_NS
        real = await self._real_alarms(order, from_ns)
        scores: list[float] = []
        times: list[int] = []
        async for body in self._archive.ledger.between(order.id, from_ns, to_ns):
            # Alarms are judged in the same loop: they go first.
            await asyncio.sleep(0)
            for verdict in page_from_document(body).verdicts():
                at_ns = verdict.received_ns
                if verdict.has_score and not any(begin <= at_ns <= end for begin, end in real):
                    scores.append(verdict.score)
                    times.append(at_ns)
        if not scores:
            return None
        rising = np.argsort(times[-MAX_SCORES:], kind="stable")
        values, at = np.array(scores[-MAX_SCORES:])[rising], np.array(times[-MAX_SCORES:], np.int64)[rising]
        try:
            return await asyncio.to_thread(calibrate, values, at, order.false_alarms_per_hour)
        except InvalidArgument as error:
            log.info("too little to calibrate from", inspection=order.id, reason=str(error))
            return None

    async def _real_alarms(self, order: Order, from_ns: int) -> list[tuple[int, int]]:
        """Times of anomalies that operators called true: they are no normal footage."""
        where: Where = {"camera": order.camera, "started_ns": Between(from_ns, None)}
        found = await self._archive.anomalies.query(where, order="started_ns", limit=1000)
        return [
            (document.body["started_ns"], document.body["ended_ns"] or self._clock.utc_ns())
            for document in found.documents
            if document.body["inspection"] == order.id and document.body.get("label", {}).get("is_false") is False
        ]


def _log_odds(score: float) -> float:
    cut = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(cut / (1 - cut))


def _from_log_odds(value: float) -> float:
    return 1 / (1 + math.exp(-value))
