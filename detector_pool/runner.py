"""One inspection at work: pictures in, blocks of verdicts out. No threads, no I/O; time is handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from detector_pool.blocks import Block, BlockBuilder
from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, Observation
from detector_pool.picture import Hole, Shot
from detector_pool.reasons import NoScore
from detector_pool.sequence import FrameVerdict, Sequence
from mesh.errors import DataLoss
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("detector_pool.runner")

_failures = counter("detector_failures", "Frames on which a detector raised.", ("detector",))


@dataclass(frozen=True, slots=True)
class Task:
    """An inspection as a worker is told of it."""

    inspection: str
    camera: str
    detector: str
    threshold: float
    regions: tuple[RegionMask, ...]
    after: FrameId | None


class Runner:
    """Runs one detector over one camera."""

    def __init__(self, task: Task, make: Callable[[], Detector[Any]]) -> None:
        self._detector = make()
        self._state = self._detector.start()
        self._sequence = Sequence(task.after)
        self._builder = BlockBuilder(task.inspection, self._detector.name, task.threshold)
        self._task = task

    @property
    def task(self) -> Task:
        """What it does."""
        return self._task

    @property
    def after(self) -> FrameId | None:
        """The last frame it spoke of, or that somebody spoke of before it; None if there is none."""
        position = self._sequence.position
        if position is None or position[1] < 0:
            return self._task.after
        return FrameId(self._task.camera, *position)

    def change(self, task: Task) -> None:
        """Goes on with changed orders from the next frame on; what the detector has learnt stays."""
        self._task = task
        self._builder.threshold = task.threshold

    def look(self, item: Shot | Hole, now_ns: int) -> list[Block]:
        """Takes a picture or a hole; returns blocks that are due. `now_ns` is monotonic."""
        if isinstance(item, Hole):
            verdict = FrameVerdict(item.id, item.received_ns, Observation(reason=item.reason), item.count)
        else:
            verdict = FrameVerdict(item.id, item.received_ns, self._inspect(item))
        for ready in self._sequence.put(verdict):
            self._builder.add(ready, now_ns)
        return self.due(now_ns)

    def due(self, now_ns: int) -> list[Block]:
        """Blocks that are due though nothing has come."""
        if not self._builder.is_due(now_ns):
            return []
        block = self._builder.take()
        return [block] if block else []

    def finish(self) -> list[Block]:
        """All that is left to tell."""
        for ready in self._sequence.flush():
            self._builder.add(ready, 0)
        block = self._builder.take()
        return [block] if block else []

    def _inspect(self, shot: Shot) -> Observation:
        confirmations = shot.confirmations
        try:
            observation, self._state = self._detector.inspect(shot, self._state, self._task.regions)
        except DataLoss:
            # Overwritten under its eyes; it has learnt nothing from it.
            return Observation(reason=NoScore.OVERRUN)
        except Exception as error:
            # A detector's fault is one frame's reason, not the end of the inspection. What it remembered may be broken.
            _failures.labels(self._task.detector).inc()
            if rate_limited(f"detector {self._task.detector}", 5.0):
                log.exception("detector failed", frame=str(shot.id), detector=self._detector.name, error=str(error))
            self._state = self._detector.start()
            return Observation(reason=NoScore.DETECTOR_FAILED)
        if shot.confirmations == confirmations and not shot.still_valid():
            # A detector that did not ask, and may remember what was never to be seen.
            self._state = self._detector.start()
            return Observation(reason=NoScore.OVERRUN)
        return observation
