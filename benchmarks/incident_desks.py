"""Detectors at work on takes, judged as in service; what they found, and when it was told."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aggregate.judge import Anomaly, JudgeState, Verdict, end, judge
from aggregate.orders import Area
from aggregate.rules import Rules
from benchmarks.incident_scenes import Box, Take
from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, DetectorType, LoadedModel, Setup
from detector_pool.models import ModelFiles, open_files
from detector_pool.picture import Shot
from detector_pool.registry import detector_types


@dataclass(frozen=True, slots=True)
class Alarm:
    """An anomaly, and when it was told."""

    detector: str
    first: int
    last: int
    peak: int
    told: int
    """Frame at which the judge opened it."""
    score: float
    said: str
    boxes: tuple[Box, ...]
    """Left, top, right, bottom at the peak."""


@dataclass(frozen=True, slots=True)
class Order:
    """A detector on a camera."""

    detector: str
    regions: Sequence[RegionMask] = ()
    options: dict[str, Any] = field(default_factory=dict)
    model: LoadedModel | None = None
    threshold: float = 0.0
    """0: the detector's own."""


class Desk:
    """One detector and the judge over it."""

    def __init__(self, camera: str, order: Order) -> None:
        kind = detector_types()[order.detector]
        self.name = order.detector
        self.scores: list[float] = []
        self.times_ns: list[int] = []
        self._camera = camera
        self._regions = order.regions
        self._detector: Detector[Any] = kind.make(Setup(camera, order.options, order.model))
        self._memory = self._detector.start()
        self._rules = rules_of(kind).with_threshold(order.threshold)
        self._state = JudgeState()
        self._told: dict[str, int] = {}
        self._anomalies: dict[str, Anomaly] = {}
        self._words: dict[int, str] = {}

    def look(self, shot: Shot) -> None:
        """Looks at the next picture."""
        seen, self._memory = self._detector.inspect(shot, self._memory, self._regions)
        if seen.reason is not None:
            return
        self.scores.append(seen.score)
        self.times_ns.append(shot.received_ns)
        if seen.said:
            self._words[shot.id.seq] = seen.said
        areas = tuple(Area(b.x, b.y, b.width, b.height, b.label, b.score) for b in seen.boxes)
        verdict = Verdict(shot.id, shot.received_ns, float(np.float32(seen.score)), areas)
        self._state, findings = judge(self._state, self._rules, f"{self._camera}.{self.name}", verdict)
        for finding in findings:
            self._anomalies[finding.anomaly.id] = finding.anomaly
            self._told.setdefault(finding.anomaly.id, shot.id.seq)

    def alarms(self) -> list[Alarm]:
        """All anomalies, as they stood when they were over; nothing more comes."""
        self._state, findings = end(self._state, self._state.scored_ns)
        for finding in findings:
            self._anomalies[finding.anomaly.id] = finding.anomaly
        return [
            Alarm(
                self.name, one.first.seq, one.last.seq, one.peak.seq, self._told.get(key, one.first.seq), one.score,
                self._words.get(one.peak.seq, ""),
                tuple((b.x, b.y, b.x + b.width, b.y + b.height) for b in one.boxes),
            )
            for key, one in self._anomalies.items()
        ]  # fmt: skip


def rules_of(kind: DetectorType) -> Rules:
    """How the judge takes a detector that nobody calibrated."""
    judging = kind.judging
    return Rules(judging.threshold, judging.closing_share, judging.min_duration_ns, judging.merge_gap_ns)


def watch(take: Take, orders: Iterable[Order]) -> list[Desk]:
    """Shows a take to detectors. Pictures are drawn once for all of them."""
    desks = [Desk(take.camera, order) for order in orders]
    for shot in take.pictures():
        for desk in desks:
            desk.look(shot)
    return desks


def trained(pictures: Callable[[], Iterable[Shot]], camera: str, fps: float) -> ModelFiles:
    """A normality model of pictures. Raises InvalidArgument: too few of them."""
    from detector_pool.training import train_normality

    model = train_normality(pictures(), camera=camera, fps=fps)
    with tempfile.TemporaryDirectory(prefix="incidents-") as folder:
        model.write(Path(folder))
        return open_files(Path(folder))
