"""A detector run over the test clips of a benchmark, and all measures of what it said.

The state begins anew with each clip; clips come in their order; nothing is normalised afterwards. A frame that got no
score keeps the last one of its clip, as a wall would show it. One before the clip's first score has that one: nothing
was claimed of it, and no camera's stream begins with each clip of a benchmark. Alarms know no future: there it has 0.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, Observation
from detector_pool.evaluation.alarms import AtRate, TimedClip, at_rates
from detector_pool.evaluation.dataset import Dataset, Labelled
from detector_pool.evaluation.metrics import LEAKAGE_WARNED, Scored, leakage, macro_auc, micro_auc, roc_auc
from detector_pool.evaluation.regions import BoxedClip, RegionScores, SaidBox, TrueBox, region_scores
from detector_pool.evaluation.shake import shaking
from detector_pool.picture import Shot
from detector_pool.reasons import NoScore
from mesh.errors import InvalidArgument
from mesh.logs import get_logger

log = get_logger("detector_pool.evaluation")

Progress = Callable[[int, int], None]
"""Called with the frames done and those there are."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipResult:
    """What a detector made of one clip."""

    timed: TimedClip
    """Before the first score with that one, for areas."""
    shown: TimedClip
    """Before the first score with 0, as it was at the time, for alarms and their delays."""
    boxed: BoxedClip | None
    """None where nobody says where the anomalies are."""
    unscored: Counter[str]
    """Frames without a score by reason."""

    @property
    def name(self) -> str:
        """Of the clip."""
        return self.timed.scored.clip

    @property
    def auc(self) -> float | None:
        """Its own ROC AUC; None if all its frames are of one class."""
        return roc_auc(self.timed.scored.scores, self.timed.scored.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All measures. Areas and rates are fractions."""

    detector: str
    clips: Sequence[ClipResult]
    micro_auc: float | None
    macro_auc: float | None
    macro_clips: int
    """Clips that the mean is of: those with frames of both classes."""
    regions: RegionScores | None
    rates: Sequence[AtRate]
    leakage: float | None
    frames_per_second: float
    """Of the detector alone, without reading pictures."""
    frames_per_cpu_second: float
    """The same by the CPU time of all threads: a busy machine changes it little."""
    unscored: Counter[str] = field(default_factory=Counter)

    @property
    def frames(self) -> int:
        """Test frames."""
        return sum(one.timed.scored.labels.size for one in self.clips)

    @property
    def abnormal(self) -> int:
        """Test frames that are labelled abnormal."""
        return sum(int(one.timed.scored.labels.sum()) for one in self.clips)

    @property
    def warnings(self) -> list[str]:
        """What makes the figures less than they seem."""
        found = []
        if self.leakage is not None and self.leakage > LEAKAGE_WARNED:
            why = "a detector that only drifts would score well"
            found.append(f"position in the clip alone predicts the label ({self.leakage:.2f}): {why}")
        if self.micro_auc is None:
            found.append("all frames are of one class: there is no ROC AUC")
        failed = self.unscored[NoScore.DETECTOR_FAILED.value]
        if failed:
            found.append(f"the detector failed on {failed} frames")
        return found


def evaluate(
    dataset: Dataset,
    detector: Detector[Any],
    *,
    regions: Sequence[RegionMask] = (),
    shake: float = 0.0,
    max_fps: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Runs the detector over the test clips.

    `shake`: standard deviation in pixels by which test frames are moved; `max_fps`: the detector is shown no more than
    so many frames a second, 0 for all. Raises InvalidArgument: a picture that cannot be read.
    """
    whole = sum(one.labels.size for one in dataset.test)
    meter = _Meter(progress, whole)
    clips = []
    for number, one in enumerate(dataset.test):
        shots: Iterable[Shot] = one.clip.pictures()
        if shake > 0:
            shots = shaking(shots, shake, seed * 1_000_003 + number)
        clips.append(_clip(one, detector, shots, regions, max_fps, meter))
    return measured(detector.name, clips, meter)


def measured(name: str, clips: Sequence[ClipResult], meter: _Meter) -> Evaluation:
    """All measures of what was said of the clips."""
    scored = [one.timed.scored for one in clips]
    macro, macro_clips = macro_auc(scored)
    return Evaluation(
        name,
        clips,
        micro_auc(scored),
        macro,
        macro_clips,
        region_scores([one.boxed for one in clips if one.boxed is not None]),
        at_rates([one.shown for one in clips]),
        leakage(scored),
        meter.shown / meter.seconds if meter.seconds > 0 else 0.0,
        meter.shown / meter.cpu_seconds if meter.cpu_seconds > 0 else 0.0,
        sum((one.unscored for one in clips), Counter()),
    )


def sampled(shots: Iterable[Shot], max_fps: float) -> Iterator[tuple[Shot, bool]]:
    """Pictures, and whether each is one to look at when no more than `max_fps` are; 0 for all."""
    period_ns = 1e9 / max_fps if max_fps > 0 else 0.0
    due_ns = 0.0
    for shot in shots:
        # A quarter of a period early is in time: rates that divide evenly do so in spite of rounding.
        is_due = shot.received_ns >= due_ns - period_ns / 4
        if is_due:
            is_in_step = shot.received_ns - due_ns < period_ns
            due_ns = (due_ns if is_in_step else shot.received_ns) + period_ns
        yield shot, is_due


class _Meter:
    """Counts frames and the detector's own time."""

    def __init__(self, progress: Progress | None, whole: int) -> None:
        self._progress = progress
        self._whole = whole
        self._done = 0
        self.shown = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """The detector looks at a frame."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        yield
        self.shown += 1
        self.seconds += time.perf_counter() - wall_s
        self.cpu_seconds += time.process_time() - cpu_s

    def count(self) -> None:
        """One more frame, looked at or not."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._whole)


def _clip(
    one: Labelled,
    detector: Detector[Any],
    shots: Iterable[Shot],
    regions: Sequence[RegionMask],
    max_fps: float,
    meter: _Meter,
) -> ClipResult:
    scores, times = np.zeros(one.labels.size), np.zeros(one.labels.size, dtype=np.int64)
    unscored: Counter[str] = Counter()
    said: list[SaidBox] = []
    state, last, frame, size = detector.start(), 0.0, 0, (1, 1)
    first: int | None = None
    for shot, is_due in sampled(shots, max_fps):
        if frame >= one.labels.size:
            raise InvalidArgument(f"clip {one.clip.path}", f"has more than the {one.labels.size} frames of before")
        size = shot.y.shape
        observation = Observation(reason=NoScore.NOT_SAMPLED)
        if is_due:
            try:
                with meter.looking():
                    observation, state = detector.inspect(shot, state, regions)
            except Exception as error:
                log.warning("detector fails on it", clip=one.clip.name, frame=frame, error=str(error))
                observation, state = Observation(reason=NoScore.DETECTOR_FAILED), detector.start()
        if observation.reason is None:
            last = float(observation.score)
            first = frame if first is None else first
        else:
            unscored[observation.reason.value] += 1
        scores[frame], times[frame] = last, shot.received_ns
        if one.boxes is not None or not one.labels.any():
            said += [SaidBox(frame, box.score, (box.x, box.y, box.width, box.height)) for box in observation.boxes]
        meter.count()
        frame += 1
    if frame < one.labels.size:
        raise InvalidArgument(f"clip {one.clip.path}", f"has {frame} frames, and had {one.labels.size} before")
    whole = scores.copy()
    whole[:first] = scores[first] if first is not None else 0.0
    timed, shown = (TimedClip(Scored(one.clip.name, values, one.labels), times) for values in (whole, scores))
    return ClipResult(timed, shown, _boxed(one, said, size), unscored)


def _boxed(one: Labelled, said: list[SaidBox], size: tuple[int, ...]) -> BoxedClip | None:
    """True and said boxes; a normal clip needs no file to say that it has none."""
    if one.boxes is None and one.labels.any():
        return None
    height, width = size
    true = [
        TrueBox(b.frame, b.track, (b.left / width, b.top / height, b.width / width, b.height / height))
        for b in one.boxes or ()
    ]
    return BoxedClip(one.labels.size, true, said)
