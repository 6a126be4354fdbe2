"""A model trained from what is recorded of a camera: which pictures, regions and rate. Fitting is `training`'s affair.

Of more than an hour, stretches that lie evenly over it are taken, an hour in all: so a day or a week fits into memory,
and each of its hours has a say. Frames that were damaged, and those that rest on something damaged, are left out: what
they show is a decoder's guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from aggregate.client import Inspection
from detector_pool.canvas import RegionMask
from detector_pool.models import ModelFiles
from detector_pool.picture import Shot
from detector_pool.reinspect import recorded_pictures
from detector_pool.wire import task_from_proto
from media_center.client import SyncFootageClient
from mesh.errors import InvalidArgument, NotFound
from mesh.ids import FrameId
from trueframe.v1.inspection_pb2 import Assignment

SECOND_NS = 1_000_000_000
MOST_S = 3600.0
"""Footage that is looked at, at most."""
STRETCHES = 24
# The camera's rate is that of its first pictures; pauses between recordings are none of it.
_RATE_FROM = 100
_PAUSE_NS = 2 * SECOND_NS

TrainProgress = Callable[[str, float], None]
"""Called with the stage ("reading", "fitting") and the share of it that is done."""


class Odd(Protocol):
    """A stretch of footage that was not learnt from; `str` tells it to people."""

    @property
    def from_ns(self) -> int:
        """Its beginning, UTC nanoseconds."""
        ...

    @property
    def to_ns(self) -> int:
        """Its end."""
        ...

    @property
    def why(self) -> str:
        """Why, in words."""
        ...


class Trained(Protocol):
    """What `detector_pool.training` makes; imported there only when something is trained."""

    @property
    def odd(self) -> Sequence[Odd]:
        """Stretches that were not learnt from."""
        ...

    def write(self, folder: Path) -> None:
        """Writes the model's folder."""
        ...


@dataclass(frozen=True, slots=True)
class FootageModel:
    """A model, and the footage it is made of."""

    trained: Trained
    pictures: int
    left_out: int
    """Damaged frames, and those that rest on something damaged."""

    def write(self, folder: Path) -> None:
        """Writes the model's folder."""
        self.trained.write(folder)


def train_from_footage(
    footage: SyncFootageClient,
    camera: str,
    from_ns: int,
    to_ns: int,
    *,
    like: Inspection | None = None,
    pose: ModelFiles | None = None,
    seed: int = 0,
    progress: TrainProgress | None = None,
) -> FootageModel:
    """Trains normality on the frames received in a range, or posture on the key points that the model `pose` finds.

    `like`: the inspection whose regions count. Raises NotFound (nothing is recorded there), InvalidArgument (too
    little, too still, pictures of several sizes), FailedPrecondition (posture, and torch is not installed).
    """
    trained: Trained
    regions: Sequence[RegionMask] = ()
    if like is not None:
        regions = task_from_proto(Assignment(inspection=like)).regions
    reading = _Reading(footage, camera, from_ns, to_ns, progress)
    if pose is not None:
        from detector_pool.training.posture import train_posture

        trained = train_posture(reading, camera=camera, pose=pose, regions=regions, progress=progress, seed=seed)
        return FootageModel(trained, reading.pictures, reading.left_out)
    from detector_pool.training import train_normality

    fps = reading.rate()
    trained = train_normality(reading, camera=camera, regions=regions, fps=fps, progress=progress, seed=seed)
    return FootageModel(trained, reading.pictures, reading.left_out)


def require_torch() -> None:
    """Raises FailedPrecondition: torch, which posture is trained with, is not installed."""
    from detector_pool.training.posture_network import torch_there

    torch_there()


def stretches(from_ns: int, to_ns: int) -> list[tuple[int, int]]:
    """What of a range is looked at: all of it up to an hour, else stretches from its beginning to its end."""
    if to_ns - from_ns <= MOST_S * SECOND_NS:
        return [(from_ns, to_ns)]
    length_ns = round(MOST_S * SECOND_NS / STRETCHES)
    step = (to_ns - from_ns - length_ns) / (STRETCHES - 1)
    starts = [from_ns + round(number * step) for number in range(STRETCHES)]
    return [(start, start + length_ns) for start in starts]


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
        self._begin_ns, self._end_ns = max(from_ns, spans[0].first_ns), min(to_ns, spans[-1].last_ns)
        self._progress = progress
        self.pictures = 0
        self.left_out = 0

    def __iter__(self) -> Iterator[Shot]:
        self.pictures = self.left_out = 0
        wanted = stretches(self._begin_ns, self._end_ns)
        for number, (from_ns, to_ns) in enumerate(wanted):
            for shot, is_inexact in self._stretch(from_ns, to_ns):
                if self._progress is not None:
                    share = min(max((shot.received_ns - from_ns) / max(to_ns - from_ns, 1), 0.0), 1.0)
                    self._progress("reading", (number + share) / len(wanted))
                if is_inexact:
                    self.left_out += 1
                    continue
                self.pictures += 1
                yield shot

    def _stretch(self, from_ns: int, to_ns: int) -> Iterator[tuple[Shot, bool]]:
        first, last = self._nearest(from_ns), self._nearest(to_ns)
        behind = replace(first, seq=first.seq - 1)
        for shot, is_inexact in recorded_pictures(self._footage, self._camera, behind, last, None):
            # The nearest frame to a time in which nothing was recorded lies elsewhere.
            if first <= shot.id <= last and from_ns <= shot.received_ns <= to_ns:
                yield shot, is_inexact

    def _nearest(self, received_ns: int) -> FrameId:
        return FrameId.from_proto(self._footage.locate(self._camera, received_ns).id)

    def rate(self) -> float:
        """Frames per second of the camera. Raises InvalidArgument: too few to say."""
        steps: list[int] = []
        before = 0
        for row in self._footage.frames(self._camera, self._nearest(self._begin_ns), self._nearest(self._end_ns)):
            received_ns = getattr(row, "received_ns", 0)
            if before and 0 < received_ns - before < _PAUSE_NS:
                steps.append(received_ns - before)
            # A gap has no time of arrival.
            before = received_ns or before
            if len(steps) >= _RATE_FROM:
                break
        if len(steps) < 2:
            raise InvalidArgument(f"footage of {self._camera}", "has too few frames in this time", "Take a longer one.")
        # The mean: arrival times jitter, and their median is not the rate.
        return SECOND_NS / (sum(steps) / len(steps))
