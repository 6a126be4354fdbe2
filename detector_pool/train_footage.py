"""A model trained from what is recorded of a camera: which pictures, regions and rate. Fitting is `training`'s affair.

Frames that were damaged, and those that rest on something damaged, are left out: what they show is a decoder's guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aggregate.client import Inspection
from detector_pool.canvas import RegionMask
from detector_pool.detector import LoadedModel
from detector_pool.models import open_model
from detector_pool.picture import Shot
from detector_pool.reinspect import recorded_pictures
from detector_pool.wire import task_from_proto
from media_center.client import SyncFootageClient
from mesh.errors import InvalidArgument, NotFound
from mesh.ids import FrameId
from trueframe.v1.inspection_pb2 import Assignment

if TYPE_CHECKING:
    from detector_pool.training import TrainedModel

SECOND_NS = 1_000_000_000
# The camera's rate is that of its first pictures; pauses between recordings are none of it.
_RATE_FROM = 100
_PAUSE_NS = 2 * SECOND_NS

TrainProgress = Callable[[str, float], None]
"""Called with the stage ("reading", "fitting") and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class FootageModel:
    """A model, and the footage it is made of."""

    trained: TrainedModel
    pictures: int
    left_out: int
    """Damaged frames, and those that rest on something damaged."""

    def write(self, folder: Path) -> LoadedModel:
        """Writes the model's folder and opens it again. Raises InvalidArgument."""
        self.trained.write(folder)
        return open_model(folder)


def train_from_footage(
    footage: SyncFootageClient,
    camera: str,
    from_ns: int,
    to_ns: int,
    *,
    like: Inspection | None = None,
    seed: int = 0,
    progress: TrainProgress | None = None,
) -> FootageModel:
    """Trains normality on the frames received in a range. `like`: the inspection whose regions count.

    Raises NotFound (nothing is recorded there), InvalidArgument (too little, too still, pictures of several sizes).
    """
    from detector_pool.training import train_normality

    regions: Sequence[RegionMask] = ()
    if like is not None:
        regions = task_from_proto(Assignment(inspection=like)).regions
    reading = _Reading(footage, camera, from_ns, to_ns, progress)
    fps = reading.rate()
    trained = train_normality(reading, camera=camera, regions=regions, fps=fps, progress=progress, seed=seed)
    return FootageModel(trained, reading.pictures, reading.left_out)


class _Reading:
    """Pictures of a range. Each iteration reads them anew."""

    def __init__(
        self, footage: SyncFootageClient, camera: str, from_ns: int, to_ns: int, progress: TrainProgress | None
    ) -> None:
        spans = footage.recordings([camera], from_ns, to_ns).recordings
        if not spans:
            remedy = f"`trueframe frames {camera}` shows what there is."
            raise NotFound(f"footage of {camera}", "has nothing in this time", remedy)
        self._footage = footage
        self._camera = camera
        self._from_ns, self._to_ns = from_ns, to_ns
        self._first = FrameId.from_proto(footage.locate(camera, max(from_ns, spans[0].first_ns)).id)
        self._last = FrameId.from_proto(footage.locate(camera, min(to_ns, spans[-1].last_ns)).id)
        self._progress = progress
        self.pictures = 0
        self.left_out = 0

    def __iter__(self) -> Iterator[Shot]:
        self.pictures = self.left_out = 0
        behind = replace(self._first, seq=self._first.seq - 1)
        length_ns = max(self._to_ns - self._from_ns, 1)
        for shot, is_inexact in recorded_pictures(self._footage, self._camera, behind, self._last, None):
            if not (self._first <= shot.id <= self._last):
                continue
            if self._progress is not None:
                share = (shot.received_ns - self._from_ns) / length_ns
                self._progress("reading", min(max(share, 0.0), 1.0))
            if is_inexact:
                self.left_out += 1
                continue
            self.pictures += 1
            yield shot

    def rate(self) -> float:
        """Frames per second of the camera. Raises InvalidArgument: too few to say."""
        steps: list[int] = []
        before = 0
        for row in self._footage.frames(self._camera, self._first, self._last):
            received_ns = getattr(row, "received_ns", 0)
            if before and 0 < received_ns - before < _PAUSE_NS:
                steps.append(received_ns - before)
            before = received_ns or before
            if len(steps) >= _RATE_FROM:
                break
        if len(steps) < 2:
            raise InvalidArgument(f"footage of {self._camera}", "has too few frames in this time", "Take a longer one.")
        # The mean: arrival times jitter, and their median is not the rate.
        return SECOND_NS / (sum(steps) / len(steps))
