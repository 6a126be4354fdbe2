"""Thresholds follow what was seen and what operators say, slowly, and tell so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.calibrating import LARGEST_MOVE, Calibrator
from aggregate.inspections import Inspections
from aggregate.judge import Verdict
from aggregate.orders import Order
from aggregate.scheduler import Scheduler
from aggregate.sessions import Session
from mesh.clocks import ManualClock
from mesh.errors import NotFound
from mesh.ids import FrameId
from mesh.store import SqliteStore
from trueframe.v1 import inspection_pb2

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
ORDER = Order("gate.motion", "gate", "motion", false_alarms_per_hour=2.0)


class Desk:
    """An aggregate without a network, one worker, and a calibrator."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.clock = ManualClock(NOW)
        self.bench = Bench(archive, self.clock)
        self.inspections = Inspections(archive, self.bench, self.clock, Scheduler())
        self.calibrator = Calibrator(archive, self.bench, self.inspections, self.clock)
        self.session = Session("w1")

    @property
    def docket(self):  # type: ignore[no-untyped-def]
        found = self.bench.docket(ORDER.id)
        assert found is not None
        return found

    async def see(self, level: float, hours: float, seed: int = 1) -> None:
        """Normal footage, a frame every two seconds, up to now."""
        dice = np.random.default_rng(seed)
        count = int(hours * 1800)
        scores = np.clip(dice.normal(level, 0.03, count), 0, 1).astype(np.float32)
        first = (self.docket.state.last.seq if self.docket.state.last else 0) + 1
        self.clock.advance(hours * 3600)
        begin_ns = self.clock.utc_ns() - count * 2 * SECOND
        said = [
            Verdict(FrameId("gate", 1, first + n), begin_ns + n * 2 * SECOND, float(score))
            for n, score in enumerate(scores)
        ]
        self.bench.hear(self.docket, "motion@1", said, lambda: None)
        await self.bench.settle(self.docket)

    def told(self) -> list[float]:
        """Thresholds that the worker was told."""
        found = []
        while not self.session._waiting.empty():
            response = self.session._waiting.get_nowait()
            assert response is not None
            found.append(response.assignment.threshold_now)
        return found


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with SqliteStore(tmp_path / "aggregate.sqlite") as store:
        desk = Desk(await Archive.open(store))
        await desk.inspections.load([ORDER])
        await desk.inspections.camera_came("gate", "")
        hello = inspection_pb2.WorkerHello(worker="w1", detectors=["motion@1", "signal@1"], capacity=9)
        await desk.inspections.worker_joined(desk.session, hello)
        desk.told()
        yield desk


def log_odds(value: float) -> float:
    return float(np.log(value / (1 - value)))


async def test_a_threshold_is_computed_from_the_ledger_told_to_the_worker_and_written_down(desk: Desk) -> None:
    assert not await desk.calibrator.calibrate(ORDER, desk.docket), "there is nothing to go by"
    await desk.see(0.2, 1.0)
    assert await desk.calibrator.calibrate(ORDER, desk.docket)
    threshold = desk.docket.calibrated
    assert 0.25 < threshold < 0.45
    assert desk.docket.rules.threshold == threshold
    assert [round(one, 5) for one in desk.told()] == [round(threshold, 5)]
    change = await desk.archive.history.newest(ORDER.id)
    assert change is not None
    assert (change.what, change.by, change.threshold) == ("calibrated", "trueframe", threshold)
    assert "false alarms an hour" in change.why


async def test_a_calibrated_threshold_moves_slowly_and_outlives_the_process(desk: Desk) -> None:
    await desk.see(0.2, 1.0)
    await desk.calibrator.calibrate(ORDER, desk.docket)
    before = desk.docket.calibrated
    await desk.see(0.6, 2.0, seed=2)
    await desk.calibrator.calibrate(ORDER, desk.docket)
    assert log_odds(desk.docket.calibrated) - log_odds(before) == pytest.approx(LARGEST_MOVE)
    await desk.bench.settle(desk.docket)
    again, _ = await Bench(desk.archive, desk.clock).open_docket(ORDER, "")
    assert again.rules.threshold == desk.docket.calibrated
    assert again.home == desk.docket.home


async def test_little_footage_gives_a_provisional_threshold(desk: Desk) -> None:
    await desk.see(0.2, 0.02)
    await desk.calibrator.calibrate(ORDER, desk.docket)
    (status,) = [one for one in desk.inspections.statuses() if one.order.id == ORDER.id]
    assert status.docket is not None
    assert status.docket.is_provisional
    assert status.docket.calibrated > 0.2


async def test_a_quiet_minute_does_not_make_a_threshold_below_the_usual_one(desk: Desk) -> None:
    usual = desk.docket.base.threshold
    await desk.see(0.1, 0.02)
    await desk.calibrator.calibrate(ORDER, desk.docket)
    assert desk.docket.rules.threshold == pytest.approx(usual)
    change = await desk.archive.history.newest(ORDER.id)
    assert change is not None
    assert f"not below the usual one, {usual:.3f}" in change.why
    await desk.see(0.1, 2.0, seed=2)
    await desk.calibrator.calibrate(ORDER, desk.docket)
    assert desk.docket.rules.threshold < usual, "enough footage may say so"


async def test_a_provisional_threshold_is_computed_again_as_footage_grows_and_not_after_an_hour(desk: Desk) -> None:
    await desk.see(0.1, 0.02)
    await desk.calibrator.calibrate_if_due(ORDER)
    first = desk.docket.calibrated
    await desk.see(0.8, 0.02, seed=2)
    await desk.calibrator.calibrate_if_due(ORDER)
    assert desk.docket.calibrated > first
    await desk.see(0.1, 2.0, seed=3)
    await desk.calibrator.calibrate_if_due(ORDER)
    assert not desk.docket.is_provisional
    known = desk.docket.calibrated
    await desk.see(0.95, 0.5, seed=4)
    await desk.calibrator.calibrate_if_due(ORDER)
    assert desk.docket.calibrated == known, "from then on once an hour"


async def anomaly(desk: Desk, score: float) -> str:
    first = desk.docket.state.last.seq + 1
    at_ns = desk.docket.spoken_ns + SECOND
    loud = [Verdict(FrameId("gate", 1, first + n), at_ns + n * SECOND // 10, score) for n in range(20)]
    quiet = [Verdict(FrameId("gate", 1, first + 20 + n), at_ns + (20 + n) * SECOND // 10, 0.1) for n in range(80)]
    desk.bench.hear(desk.docket, "motion@1", loud + quiet, lambda: None)
    await desk.bench.settle(desk.docket)
    found = await desk.archive.anomalies.query(order="-started_ns", limit=1)
    return found.documents[0].id


async def test_an_operators_label_moves_the_threshold_a_little_and_by_name(desk: Desk) -> None:
    await desk.see(0.2, 1.0)
    await desk.calibrator.calibrate(ORDER, desk.docket)
    before = desk.docket.calibrated
    false_alarm = await anomaly(desk, 0.6)
    labelled = await desk.calibrator.label(false_alarm, "ann", is_false=True)
    assert before < labelled.threshold == desk.docket.calibrated < 0.6
    change = await desk.archive.history.newest(ORDER.id)
    assert change is not None
    assert (change.what, change.by) == ("labelled", "ann")
    assert "false alarm" in change.why
    home = desk.docket.home
    await desk.calibrator.calibrate(ORDER, desk.docket)
    assert log_odds(desk.docket.calibrated) - log_odds(desk.docket.home) == pytest.approx(
        log_odds(labelled.threshold) - log_odds(home)
    ), "what operators said stays when it is calibrated anew"


async def test_scores_of_a_true_alarm_are_no_normal_footage(desk: Desk) -> None:
    await desk.see(0.2, 1.0)
    await desk.calibrator.calibrate(ORDER, desk.docket)
    real = await anomaly(desk, 0.95)
    before = desk.docket.home
    await desk.calibrator.label(real, "ann", is_false=False)
    await desk.calibrator.calibrate(ORDER, desk.docket)
    assert desk.docket.home == pytest.approx(before, abs=0.01)


async def test_a_label_of_nothing_is_refused_and_one_without_calibration_moves_nothing(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.calibrator.label("nothing", "ann", is_false=True)
    await desk.see(0.2, 0.1)
    found = await anomaly(desk, 0.9)
    labelled = await desk.calibrator.label(found, "ann", is_false=True)
    assert "calibrated from the next hour on" in labelled.sentence
    body = await desk.archive.anomaly(found)
    assert body is not None
    assert body["label"]["is_false"] is True
