"""Detectors at work on takes, judged as in service; what they found, and when it was told."""

from __future__ import annotations

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
from detector_pool.detector import Detector, DetectorType, FoundBox, LoadedModel, Setup
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
    rules: tuple[str, ...] = ()
    """Names of the rules in the options: each is judged for itself."""

    @property
    def benches(self) -> tuple[str, ...]:
        """What is judged for itself: the detector, or each of its rules."""
        return tuple(f"{self.detector}: {rule}" for rule in self.rules) or (self.detector,)


class Desk:
    """One detector, and the judge over what it says; over `rules` a judge for each rule, so that none hides another."""

    def __init__(self, camera: str, order: Order) -> None:
        kind = detector_types()[order.detector]
        self.name = order.detector
        self.scores: list[float] = []
        self.times_ns: list[int] = []
        self._camera = camera
        self._regions = order.regions
        self._detector: Detector[Any] = kind.make(Setup(camera, order.options, order.model))
        self._memory = self._detector.start()
        rules = rules_of(kind).with_threshold(order.threshold)
        self._benches = {name: _Bench(name, rules) for name in order.benches}

    def look(self, shot: Shot) -> None:
        """Looks at the next picture."""
        seen, self._memory = self._detector.inspect(shot, self._memory, self._regions)
        if seen.reason is not None:
            return
        self.scores.append(seen.score)
        self.times_ns.append(shot.received_ns)
        true = {part.partition(": ")[0]: part for part in seen.said.split("; ")}
        for name, bench in self._benches.items():
            rule = name.partition(": ")[2]
            if not rule:
                bench.hear(f"{self._camera}.{name}", shot, seen.score, seen.said, seen.boxes)
                continue
            own = [box for box in seen.boxes if box.said.startswith(f"{rule}: ")]
            bench.hear(
                f"{self._camera}.{name}", shot, float(rule in true and seen.score == 1.0), true.get(rule, ""), own
            )

    def alarms(self) -> dict[str, list[Alarm]]:
        """All anomalies by detector, or by rule, as they stood when they were over; nothing more comes."""
        return {name: bench.alarms() for name, bench in self._benches.items()}


class _Bench:
    """A judge, and when it said what."""

    def __init__(self, name: str, rules: Rules) -> None:
        self._name = name
        self._rules = rules
        self._state = JudgeState()
        self._told: dict[str, int] = {}
        self._anomalies: dict[str, Anomaly] = {}
        self._words: dict[int, str] = {}

    def hear(self, stream: str, shot: Shot, score: float, said: str, boxes: Iterable[FoundBox]) -> None:
        if said:
            self._words[shot.id.seq] = said
        areas = tuple(Area(b.x, b.y, b.width, b.height, b.label, b.score) for b in boxes)
        verdict = Verdict(shot.id, shot.received_ns, float(np.float32(score)), areas)
        self._state, findings = judge(self._state, self._rules, stream, verdict)
        for finding in findings:
            self._anomalies[finding.anomaly.id] = finding.anomaly
            self._told.setdefault(finding.anomaly.id, shot.id.seq)

    def alarms(self) -> list[Alarm]:
        self._state, findings = end(self._state, self._state.scored_ns)
        for finding in findings:
            self._anomalies[finding.anomaly.id] = finding.anomaly
        return [
            Alarm(
                self._name, one.first.seq, one.last.seq, one.peak.seq, self._told.get(key, one.first.seq), one.score,
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


def trained(pictures: Callable[[], Iterable[Shot]], camera: str, fps: float, folder: Path) -> ModelFiles:
    """A normality model of pictures, written into a folder. Raises InvalidArgument: too few of them."""
    from detector_pool.training import train_normality

    folder.mkdir(parents=True, exist_ok=True)
    train_normality(pictures(), camera=camera, fps=fps).write(folder)
    return open_files(folder)
