"""The detector that is to be evaluated: as it is, from a published model, or trained on the benchmark's own clips."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector_pool.detector import Detector, Setup
from detector_pool.evaluation.clips import CAMERA, Clip
from detector_pool.evaluation.dataset import Dataset
from detector_pool.evaluation.run import Progress, sampled
from detector_pool.models import open_model
from detector_pool.options import checked
from detector_pool.picture import Shot
from detector_pool.registry import detector_types
from mesh.errors import InvalidArgument

if TYPE_CHECKING:
    from detector_pool.training import Odd

TRAINED = "normality"
"""The detector that learns one camera's normal motion from its footage."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A detector, and what it was trained on."""

    detector: Detector[Any]
    trained_on: int = 0
    """Frames of train/ that its model was fitted to."""
    odd: tuple[str, ...] = ()
    """Stretches of these that were dropped, in words."""


def choose(
    name: str,
    dataset: Dataset,
    *,
    model: Path | None = None,
    options: Mapping[str, Any] | None = None,
    max_fps: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Chosen:
    """A detector of that type for a benchmark.

    `model`: a model folder or zip; without one, normality is trained on train/. `options`: of the detector's type;
    `max_fps`: it is shown no more frames a second, in training as in the test. Raises InvalidArgument.
    """
    kind = detector_types().get(name)
    if kind is None:
        raise InvalidArgument(f"detector {name!r:.60}", "is not known", f"There are: {', '.join(detector_types())}.")
    values = checked(name, kind.options, options or {})
    if model is not None:
        loaded = open_model(model)
        if loaded.manifest["detector"] != name:
            raise InvalidArgument(
                f"model {model}", f"is for detector {loaded.manifest['detector']}", "Give that with --detector."
            )
        return Chosen(kind.make(Setup(CAMERA, values, loaded)))
    if not kind.needs_model:
        return Chosen(kind.make(Setup(CAMERA, values)))
    if name != TRAINED:
        raise InvalidArgument(f"detector {name}", "needs a model", "Give its folder or zip with --model.")
    return _trained(dataset, values, max_fps, seed, progress)


def _trained(
    dataset: Dataset, values: Mapping[str, Any], max_fps: float, seed: int, progress: Progress | None
) -> Chosen:
    from detector_pool.training import train_normality

    if not dataset.train:
        remedy = "Put normal clips there, or give a model with --model."
        raise InvalidArgument(f"folder {dataset.folder}", "has no clips in train to learn from", remedy)
    fps = min(clip.fps for clip in dataset.train)
    shots = _Counted(dataset, max_fps, progress)
    shown = min(fps, max_fps) if max_fps > 0 else fps
    trained = train_normality(shots, camera=CAMERA, fps=shown, progress=shots.fitting, seed=seed)
    with tempfile.TemporaryDirectory(prefix="trueframe-evaluate-") as folder:
        trained.write(Path(folder))
        loaded = open_model(Path(folder))
    detector = detector_types()[TRAINED].make(Setup(CAMERA, values, loaded))
    return Chosen(detector, shots.count, tuple(_place(dataset.train, one) for one in trained.odd))


def _place(clips: Sequence[Clip], odd: Odd) -> str:
    """A stretch that was dropped, in the terms of the benchmark: clips have no dates."""
    clip = max((one for one in clips if one.time_ns(0) <= odd.to_ns), key=lambda one: one.number, default=clips[0])
    first_s, last_s = (max(time_ns - clip.time_ns(0), 0) / 1e9 for time_ns in (odd.from_ns, odd.to_ns))
    return f"{clip.name} from {first_s:.1f} to {last_s:.1f} s: {odd.why}"


class _Counted:
    """Pictures of all training clips, one behind the other. Reading is half of the work, fitting the rest."""

    def __init__(self, dataset: Dataset, max_fps: float, progress: Progress | None) -> None:
        self._dataset = dataset
        self._max_fps = max_fps
        self._progress = progress
        self._whole = sum(clip.count() for clip in dataset.train)
        self.count = 0

    def fitting(self, stage: str, share: float) -> None:
        """The trainer has come so far."""
        if self._progress is not None:
            self._progress(self._whole + round(share * self._whole), 2 * self._whole)

    def __iter__(self) -> Iterator[Shot]:
        self.count = 0
        read = 0
        for clip in self._dataset.train:
            for shot, is_due in sampled(clip.pictures(), self._max_fps):
                read += 1
                if self._progress is not None:
                    self._progress(read, 2 * self._whole)
                if is_due:
                    self.count += 1
                    yield shot
