"""How an inspection fares at a worker: what a frame costs, how many come, and what is worth reporting when. Pure."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, replace

from detector_pool.picture import Hole, Shot

SECOND = 1_000_000_000
EVERY_NS = 10 * SECOND
WINDOW_NS = 60 * SECOND
MAX_COSTS = 600
FEWEST_COSTS = 20


@dataclass(frozen=True, slots=True)
class ModelFare:
    """A model, and what its golden frames gave here."""

    digest: str
    golden: str
    golden_differs: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What the pool is told of an inspection."""

    inspection: str
    problem: str
    """Why it cannot be carried out; empty if it can."""
    running: str
    provider: str
    model: str
    golden: str
    golden_differs: bool
    lost: str
    """Why regions cannot follow the camera; empty while they can."""
    alignment: tuple[float, ...]
    bumped: str = ""
    """What happened to the camera lately, where regions were moved after it."""
    further: tuple[ModelFare, ...] = ()
    """Models that the detector runs with beside its own."""
    cost_us: float = 0.0
    looked_fps: float = 0.0
    came_fps: float = 0.0


class Fare:
    """Counts, and says when to report."""

    def __init__(self) -> None:
        self._costs: deque[float] = deque(maxlen=MAX_COSTS)
        self._came: deque[int] = deque(maxlen=4096)
        self._looked = 0
        self._said: Report | None = None
        self._said_ns = 0

    def came(self, item: Shot | Hole, now_ns: int) -> None:
        """A frame came; holes are frames that nobody could look at."""
        if isinstance(item, Shot):
            self._came.append(now_ns)
        while self._came and self._came[0] < now_ns - WINDOW_NS:
            self._came.popleft()

    def cost(self, own_us: object, measured_us: float) -> None:
        """A frame was looked at: what the detector says that it cost, or else what its thread took."""
        self._looked += 1
        self._costs.append(float(own_us) if isinstance(own_us, float | int) and own_us > 0 else measured_us)

    def report(self, now: Report, now_ns: int) -> Report | None:
        """The report, if it is due."""
        is_news = self._said is None or _standing(self._said) != _standing(now)
        if not is_news and now_ns - self._said_ns < EVERY_NS:
            return None
        passed_s = (now_ns - self._said_ns) / 1e9
        looked_fps = self._looked / passed_s if self._said is not None and passed_s >= 1.0 else 0.0
        cost_us = statistics.median(self._costs) if len(self._costs) >= FEWEST_COSTS else 0.0
        self._said = replace(now, cost_us=cost_us, looked_fps=looked_fps, came_fps=self._came_fps())
        self._said_ns, self._looked = now_ns, 0
        return self._said

    def _came_fps(self) -> float:
        if len(self._came) < FEWEST_COSTS:
            return 0.0
        passed_s = (self._came[-1] - self._came[0]) / 1e9
        return (len(self._came) - 1) / passed_s if passed_s > 0.5 else 0.0


def _standing(report: Report) -> tuple[object, ...]:
    """What is told at once when it changes."""
    view = bool(report.lost), report.bumped
    return report.problem, report.running, report.provider, report.model, report.golden, report.further, *view
