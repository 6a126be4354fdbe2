"""One inspection at work: pictures in, blocks of verdicts out. No threads, no I/O; time is handed in."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from detector_pool.blocks import SECOND, Block, BlockBuilder, Checkpoint
from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, Observation
from detector_pool.fare import Fare, ModelFare, Report
from detector_pool.faults import Faults
from detector_pool.picture import Hole, Shot
from detector_pool.rate import ANOTHER_DAY_NS, Rate
from detector_pool.reasons import NoScore
from detector_pool.sequence import FrameVerdict, Sequence
from detector_pool.soundness import sound
from detector_pool.steering import Follows, Steering
from detector_pool.told import Told
from mesh.errors import DataLoss
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter, histogram

log = get_logger("detector_pool.runner")

CHECKPOINT_EVERY_NS = 10 * SECOND
# What a detector that cannot read its predecessor's state is shown before it speaks.
REBUILD_NS = 2 * SECOND
# Pictures come in the order in which they are shown: with B-frames a frame boundary is at the anchors.
LONGEST_UNEVEN = 64

_failures = counter("detector_failures", "Frames on which a detector raised.", ("detector",))
_seconds = histogram(
    "detector_seconds", "Time in which a detector looked at a frame.",
    (0.0005, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5), ("detector",),
)  # fmt: skip


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
    begin: FrameId | None = None
    """Without a checkpoint: the frame at or before `after` to begin from nothing with."""
    options: str = ""
    """Of the detector: a TOML document."""
    max_fps: float = 0.0
    """Frames a second that are looked at; 0 for all."""
    has_fixed_regions: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A detector that was made for an inspection, or why there is none."""

    detector: Detector[Any] | None
    name: str
    """Of the detector, with version and model."""
    model: str = ""
    """Digest of its model; empty for none."""
    problem: str = ""
    golden: str = ""
    """What the golden frames of its model gave; empty without a model."""
    golden_differs: bool = False
    further: tuple[ModelFare, ...] = ()
    """Models that it runs with beside its own."""


class Runner:
    """Runs one detector over one camera.

    It may be offered frames again, and earlier ones: what it looked at once it does not look at again. Frames between
    checkpoint and `after` are shown to the detector and not spoken of. `earlier`: the detector whose state the
    checkpoint is, where that is another one than the task's: it is shown those frames, and `made` takes over behind.
    """

    def __init__(self, task: Task, made: Made, *, earlier: Made | None = None, follower: Follows | None = None) -> None:
        self._steering = Steering(follower)
        begins = earlier if earlier is not None and earlier.detector is not None else made
        self._made = begins
        self._next: Made | None = made if begins is not made and made.detector is not None else None
        self._problem = made.problem
        self._faults = Faults()
        self._state, self._told = self._begin(task, follower)
        self._sequence = Sequence(task.after)
        self._builder = BlockBuilder(task.inspection, self._made.name, task.threshold)
        self._task = task
        self._fare = Fare()
        self._packed_ns: int | None = None
        self._received_ns = task.checkpoint.received_ns if task.checkpoint else 0
        self._rate = Rate(task.max_fps)
        self._rebuilt: Any = None
        self._rebuilt_from_ns: int | None = None
        self._uneven = 0

    @property
    def task(self) -> Task:
        """What it does."""
        return self._task

    @property
    def after(self) -> FrameId | None:
        """The frame behind which it has to be offered frames; None if it begins with whatever comes."""
        return self._told.position

    @property
    def running(self) -> str:
        """The detector that speaks: name, version, model."""
        return self._made.name

    def change(self, task: Task, made: Made, follower: Follows | None = None) -> None:
        """Goes on with changed orders, and another detector perhaps, from a frame boundary on.

        `follower`: whoever moves regions that were drawn anew; they stand where they were drawn in the next picture.

        What the detector has learnt stays, if the next one can read it; otherwise the next one is shown two seconds of
        pictures while this one goes on speaking. A detector that could not be made leaves this one in its place.
        """
        drawn = (self._task.regions, self._task.has_fixed_regions)
        if drawn != (task.regions, task.has_fixed_regions):
            self._steering = self._steering.anew(follower)
            # Perhaps it failed for want of a region: it is tried again at once.
            self._faults = Faults()
        if task.max_fps != self._rate.max_fps:
            self._rate = Rate(task.max_fps)
        self._task = task
        self._builder.threshold = task.threshold
        self._problem = made.problem
        self._rebuilt, self._rebuilt_from_ns = None, None
        if made is self._made or made.detector is None:
            self._next = None
        elif self._made.detector is None:
            self._made, self._next = made, None
            self._state = made.detector.start()
            self._faults = Faults()
        else:
            self._next = made
        if made.problem and self._made.detector is not None and self._made is not made:
            self._problem = f"{made.problem} {self._made.name} goes on instead."

    def look(self, item: Shot | Hole, now_ns: int) -> list[Block]:
        """Takes a picture or a hole; returns blocks that are due. `now_ns` is monotonic."""
        self._fare.came(item, now_ns)
        if self._is_silent(item):
            return self.due(now_ns)
        self._received_ns = max(self._received_ns, item.received_ns)
        if isinstance(item, Hole):
            self._told.add(item.id, item.count)
            verdict = FrameVerdict(item.id, item.received_ns, Observation(reason=item.reason), item.count)
        else:
            self._told.add(item.id)
            observation = self._inspect(item)
            verdict = FrameVerdict(item.id, item.received_ns, observation, alignment=self._steering.news())
        for ready in self._sequence.put(verdict):
            self._builder.add(ready, now_ns)
        if self._packed_ns is None:
            self._packed_ns = now_ns
        if self._next is not None:
            block = self._hand_over(item.received_ns)
            if block is not None:
                self._packed_ns = now_ns
                return [block]
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

    def report(self, now_ns: int) -> Report | None:
        """How it fares, when that is due: at the beginning, when it changes, and each ten seconds."""
        made = self._made
        return self._fare.report(
            Report(
                self._task.inspection, self._problem or self._faults.problem, made.name if made.detector else "",
                str(getattr(made.detector, "provider", "")), made.model, made.golden, made.golden_differs,
                self._steering.lost, self._steering.alignment, self._steering.bumped, made.further,
            ),
            now_ns,
        )  # fmt: skip

    def _begin(self, task: Task, follower: Follows | None) -> tuple[Any, Told]:
        """State and position to begin from."""
        detector, checkpoint = self._made.detector, task.checkpoint
        if detector is None:
            return None, Told(task.after)
        if checkpoint is None and task.begin is not None:
            return detector.start(), Told(replace(task.begin, seq=task.begin.seq - 1))
        if checkpoint is None or task.after is None or checkpoint.after > task.after:
            return detector.start(), Told(task.after)
        try:
            state = detector.unpack(checkpoint.state)
            self._steering = Steering(follower, checkpoint.following)
            return state, Told(checkpoint.after)
        except ValueError as error:
            log.warning("checkpoint is of no use", inspection=task.inspection, reason=str(error))
            return detector.start(), Told(task.after)

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
            self._inspect(item, was_shown=True)
        return True

    @property
    def _has_spoken(self) -> bool:
        position, after = self._sequence.position, self._task.after
        return after is not None and position != (after.epoch, after.seq)

    def _was_unseen(self, frame: FrameId) -> bool:
        return any(
            first.epoch == frame.epoch and 0 <= frame.seq - first.seq < count for first, count in self._task.unseen
        )

    # Frame boundaries

    @property
    def _boundary(self) -> FrameId | None:
        """The frame up to which all was shown and told, if nothing behind it was; None elsewhere."""
        position = self._told.position
        is_same = position is not None and self._sequence.position == (position.epoch, position.seq)
        return position if is_same and self._told.is_even and self._sequence.is_even else None

    def _hand_over(self, received_ns: int) -> Block | None:
        """The next detector takes over, if this is a frame boundary and it knows what it must; the block before it."""
        made, boundary = self._next, self._boundary
        assert made is not None
        assert made.detector is not None
        self._uneven = 0 if boundary is not None else self._uneven + 1
        if boundary is None and self._uneven <= LONGEST_UNEVEN:
            return None
        if self._rebuilt_from_ns is None:
            try:
                assert self._made.detector is not None
                state = made.detector.unpack(self._made.detector.pack(self._state))
            except Exception as error:
                log.info("state is built anew", inspection=self._task.inspection, reason=str(error)[:200])
                self._rebuilt, self._rebuilt_from_ns = made.detector.start(), received_ns
                return None
        elif received_ns < self._rebuilt_from_ns - ANOTHER_DAY_NS:
            # The clock was set back: it is waited from now on, not until then.
            self._rebuilt_from_ns = received_ns
            return None
        elif received_ns - self._rebuilt_from_ns < REBUILD_NS:
            return None
        else:
            state = self._rebuilt
        self._made, self._next, self._state = made, None, state
        self._rebuilt, self._rebuilt_from_ns = None, None
        self._faults = Faults()
        log.info("detector takes over", inspection=self._task.inspection, detector=made.name, after=str(boundary))
        block = self._with_checkpoint() or self._builder.take()
        self._builder.detector = made.name
        return block

    def _with_checkpoint(self) -> Block | None:
        """What was collected with the state behind it; None while the state knows more, or less, than was said."""
        position, detector = self._boundary, self._made.detector
        if position is None or detector is None or self._builder.is_empty:
            return None
        try:
            state = detector.pack(self._state)
            following = self._steering.pack()
        except Exception as error:
            if rate_limited(f"checkpoint {self._task.detector}", 60.0):
                log.exception("state cannot be packed", detector=self._made.name, error=str(error))
            return None
        return self._builder.take(Checkpoint(position, self._made.name, state, self._received_ns, following))

    # One picture

    def _inspect(self, shot: Shot, *, was_shown: bool = False) -> Observation:
        if not self._rate.is_due(shot.received_ns) and not was_shown:
            return Observation(reason=NoScore.NOT_SAMPLED)
        detector = self._made.detector
        if detector is None or self._faults.is_disabled(shot.received_ns):
            return Observation(reason=NoScore.DETECTOR_FAILED)
        confirmations, began_ns, began_s = shot.confirmations, time.thread_time_ns(), time.perf_counter()
        try:
            regions = self._steering.regions(shot, self._task.regions)
            observation, self._state = detector.inspect(shot, self._state, regions)
            observation = sound(observation)
        except DataLoss:
            # Overwritten under its eyes; it has learnt nothing from it.
            return Observation(reason=NoScore.OVERRUN)
        except Exception as error:
            # A detector's fault is one frame's reason, not the end of the inspection. What it remembered may be broken.
            _failures.labels(self._task.detector).inc()
            self._faults.failed(shot.received_ns, self._made.name, f"{type(error).__name__}: {error}")
            if rate_limited(f"detector {self._task.detector}", 5.0):
                log.exception("detector failed", frame=str(shot.id), detector=self._made.name, error=str(error))
            self._state = detector.start()
            return Observation(reason=NoScore.DETECTOR_FAILED)
        if shot.confirmations == confirmations and not shot.still_valid():
            # A detector that did not ask, and may remember what was never to be seen.
            self._state = detector.start()
            return Observation(reason=NoScore.OVERRUN)
        self._faults.went_well(shot.received_ns)
        _seconds.labels(self._task.detector).observe(time.perf_counter() - began_s)
        self._fare.cost(getattr(detector, "cost_us", None), (time.thread_time_ns() - began_ns) / 1000)
        if self._rebuilt_from_ns is not None:
            self._show_next(shot, regions)
        return observation

    def _show_next(self, shot: Shot, regions: tuple[RegionMask, ...]) -> None:
        """The next detector looks on until it knows enough."""
        assert self._next is not None
        assert self._next.detector is not None
        try:
            _, self._rebuilt = self._next.detector.inspect(shot, self._rebuilt, regions)
        except Exception as error:
            self._rebuilt = self._next.detector.start()
            if rate_limited(f"next detector {self._task.detector}", 5.0):
                log.warning("next detector fails", detector=self._next.name, reason=str(error)[:200])
