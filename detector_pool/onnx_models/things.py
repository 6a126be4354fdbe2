"""Things found in single pictures and followed: the detector behind `objects` and `pose`.

The score is that of the best thing of a wanted class where the inspection looks. Boxes are shown from `score_threshold`
on; weaker ones only go on with what was seen before (`detector_pool.tracking`). All that is found is followed, so that
who walks into a region keeps the number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from detector_pool.canvas import RegionMask
from detector_pool.detector import FoundBox, NoScore, Observation
from detector_pool.onnx_models.of_model import OfModel
from detector_pool.onnx_models.places import counts
from detector_pool.onnx_models.reading import PictureModel
from detector_pool.onnx_models.sampling import is_due
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture
from detector_pool.tracking import Tracker, TrackerSettings, Tracks

UNSURE_SCORE = 0.1
MAX_BOXES = 64
MAX_SERIES = 32


@dataclass(frozen=True, slots=True)
class ThingSettings:
    """What an inspection may choose."""

    classes: tuple[str, ...]
    score_threshold: float
    nms: float
    min_size: float
    """Of the picture's height."""
    fps: float
    max_lost_s: float


@dataclass(frozen=True, slots=True, eq=False)
class ThingState:
    """What is remembered of one camera."""

    tracks: Tracks = field(default_factory=Tracks)
    due_ns: int = 0
    """When the next frame is looked at, if not all are."""


class Things(OfModel[ThingState]):
    """The detector. Holds a model and settings, no memory of any camera."""

    def __init__(self, name: str, model: PictureModel, settings: ThingSettings) -> None:
        super().__init__(name, model.runs, ThingState)
        self._model = model
        self._settings = settings
        self._unsure = min(UNSURE_SCORE, settings.score_threshold)
        self._wanted = np.array([label in settings.classes for label in model.labels], bool)
        self._tracker = Tracker(TrackerSettings(settings.score_threshold, self._unsure, max_lost_s=settings.max_lost_s))

    def inspect(
        self, picture: Picture, state: ThingState, regions: Sequence[RegionMask]
    ) -> tuple[Observation, ThingState]:
        """Things in one picture with their numbers; NOT_SAMPLED for frames between those that are looked at."""
        settings = self._settings
        is_looked_at, due_ns = is_due(picture.received_ns, state.due_ns, settings.fps)
        if not is_looked_at:
            return Observation(reason=NoScore.NOT_SAMPLED), state
        found = [
            box
            for box in self._model.read(picture, self._unsure, self._wanted, settings.nms)
            if box.height >= settings.min_size
        ]
        followed, tracks = self._tracker.step(found, picture.received_ns, state.tracks)
        there = [box for box in followed if counts(box.x, box.y, box.width, box.height, regions)]
        shown = tuple(box for box in there if box.track or box.score >= settings.score_threshold)[:MAX_BOXES]
        score = max((box.score for box in there), default=0.0)
        return self._told(score, shown), ThingState(tracks, due_ns)

    def _told(self, score: float, shown: tuple[FoundBox, ...]) -> Observation:
        number = Counter(box.label for box in shown)
        said = ", ".join(label if count == 1 else f"{count} x {label}" for label, count in number.most_common(5))
        series = tuple((f"count.{label}", float(number[label])) for label in self._settings.classes[:MAX_SERIES])
        return Observation(score, shown, said=said, series=series)

    def pack(self, state: ThingState) -> bytes:
        """The state as bytes."""
        numbers, arrays = state.tracks.packable()
        return pack(self.name, {**numbers, "due_ns": state.due_ns}, arrays)

    def unpack(self, data: bytes) -> ThingState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        due_ns = numbers.pop("due_ns", None)
        tracks = Tracks.unpacked(numbers, arrays)
        if type(due_ns) is not int or numbers or arrays:
            raise ValueError(f"is no state of {self.name}")
        return ThingState(tracks, due_ns)
