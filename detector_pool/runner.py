"""One inspection at work: pictures in, blocks of verdicts out. No threads, no I/O; time is handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from detector_pool.blocks import SECOND, Block, BlockBuilder, Checkpoint
from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, Observation
from detector_pool.picture import Hole, Shot
from detector_pool.reasons import NoScore
from detector_pool.sequence import FrameVerdict, Sequence
from detector_pool.told import Told
from mesh.errors import DataLoss
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("detector_pool.runner")

CHECKPOINT_EVERY_NS = 10 * SECOND

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
    checkpoint: Checkpoint | None = None
    """State behind a frame at or before `after`, to begin from."""
    unseen: tuple[tuple[FrameId, int], ...] = ()
    """Between the two: frames, and how many from there on, that the state must not be shown."""


class Runner:
    """Runs one detector over one camera.

    It may be offered frames again, and earlier ones: what it looked at once it does not look at again. Frames between
    checkpoint and `after` are shown to the detector and not spoken of.
    """

    def __init__(self, task: Task, make: Callable[[], Detector[Any]]) -> None:
        self._detector = make()
        self._state, self._told = self._begin(task)
        self._sequence = Sequence(task.after)
        self._builder = BlockBuilder(task.inspection, self._detector.name, task.threshold)
        self._task = task
        self._packed_ns: int | None = None
        self._received_ns = task.checkpoint.received_ns if task.checkpoint else 0

    @property
    def task(self) -> Task:
        """What it does."""
        return self._task

    @property
    def after(self) -> FrameId | None:
        """The frame behind which it has to be offered frames; None if it begins with whatever comes."""
        return self._told.position

    def change(self, task: Task) -> None:
        """Goes on with changed orders from the next frame on; what the detector has learnt stays."""
        self._task = task
        self._builder.threshold = task.threshold

    def look(self, item: Shot | Hole, now_ns: int) -> list[Block]:
        """Takes a picture or a hole; returns blocks that are due. `now_ns` is monotonic."""
        if self._is_silent(item):
            return self.due(now_ns)
        self._received_ns = max(self._received_ns, item.received_ns)
        if isinstance(item, Hole):
            self._told.add(item.id, item.count)
            verdict = FrameVerdict(item.id, item.received_ns, Observation(reason=item.reason), item.count)
        else:
            self._told.add(item.id)
            verdict = FrameVerdict(item.id, item.received_ns, self._inspect(item))
        for ready in self._sequence.put(verdict):
            self._builder.add(ready, now_ns)
        if self._packed_ns is None:
            self._packed_ns = now_ns
        if now_ns - self._packed_ns >= CHECKPOINT_EVERY_NS:
            block = self._with_checkpoint()
            if block is not None:
                self._packed_ns = now_ns
                return [block]
        return self.due(now_ns)

    def due(self, now_ns: int) -> list[Block]:
        """Blocks that are due though nothing has come."""
        if not self._builder.is_due(now_ns):
            return []
        block = self._builder.take()
        return [block] if block else []

    def finish(self) -> list[Block]:
        """All that is left to tell."""
        block = self._with_checkpoint()
        if block is None:
            for ready in self._sequence.flush():
                self._builder.add(ready, 0)
            block = self._builder.take()
        return [block] if block else []

    def _begin(self, task: Task) -> tuple[Any, Told]:
        """State and position to begin from."""
        checkpoint = task.checkpoint
        if checkpoint is None or task.after is None or checkpoint.after > task.after:
            return self._detector.start(), Told(task.after)
        try:
            return self._detector.unpack(checkpoint.state), Told(checkpoint.after)
        except ValueError as error:
            log.warning("checkpoint is of no use", inspection=task.inspection, reason=str(error))
            return self._detector.start(), Told(task.after)

    def _is_silent(self, item: Shot | Hole) -> bool:
        """Whether there is nothing to say of a frame: looked at before, or spoken of by a predecessor."""
        after = self._task.after
        count = item.count if isinstance(item, Hole) else 1
        last = replace(item.id, seq=item.id.seq + count - 1)
        if self._told.has(item.id) and self._told.has(last):
            return True
        if after is None or last > after:
            return False
        self._told.add(item.id, count)
        if isinstance(item, Shot) and not self._has_spoken and not self._was_unseen(item.id):
            self._inspect(item)
        return True

    @property
    def _has_spoken(self) -> bool:
        position, after = self._sequence.position, self._task.after
        return after is not None and position != (after.epoch, after.seq)

    def _was_unseen(self, frame: FrameId) -> bool:
        return any(
            first.epoch == frame.epoch and 0 <= frame.seq - first.seq < count for first, count in self._task.unseen
        )

    def _with_checkpoint(self) -> Block | None:
        """What was collected with the state behind it; None while the state knows more, or less, than was said."""
        position = self._told.position
        is_same = position is not None and self._sequence.position == (position.epoch, position.seq)
        if position is None or not is_same or not self._told.is_even or not self._sequence.is_even:
            return None
        if self._builder.is_empty:
            return None
        try:
            state = self._detector.pack(self._state)
        except Exception as error:
            if rate_limited(f"checkpoint {self._task.detector}", 60.0):
                log.exception("state cannot be packed", detector=self._detector.name, error=str(error))
            return None
        return self._builder.take(Checkpoint(position, self._detector.name, state, self._received_ns))

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
