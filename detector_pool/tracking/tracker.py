"""Boxes of one frame after the other to things with numbers that survive short occlusion.

After Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box" (ECCV 2022): sure boxes are
assigned to all tracks first, unsure ones then to tracks that were seen a moment ago, so that something half hidden
keeps its number. The distance is 1 - IoU with where the motion model expects the thing, and that of the centres in
the model's own uncertainty, which grows while it is hidden. Time is the camera's, not a count of frames. Equal boxes at
equal times give equal numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.detector import FoundBox
from detector_pool.tracking import motion_model as model
from detector_pool.tracking.assignment import assigned
from detector_pool.tracking.motion_model import Floats

SECOND = 1_000_000_000
MAX_BOXES = 256
_LIMIT = 1.6
_GATE = 13.8
"""Chi-square of two degrees: one in a thousand lies beyond."""
_NEAR = 0.4
_ARRAYS = ("ids", "sightings", "seen_ns", "means", "covariances")


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """What can be tuned."""

    sure_score: float = 0.35
    """Boxes of this score begin tracks and are assigned first."""
    unsure_score: float = 0.1
    """Boxes below are not looked at."""
    max_lost_s: float = 2.0
    """How long something may be hidden and keep its number."""
    sightings: int = 2
    """How often in a row something is seen before it gets a number."""
    forget_after_s: float = 10.0
    """A pause after which nothing is known any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """All that is remembered of one camera: arrays over tracks."""

    next_id: int = 1
    last_ns: int = 0
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """0 while it was not seen often enough."""
    sightings: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    seen_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    means: Floats = field(default_factory=lambda: np.zeros((0, model.SHAPE, 2)))
    covariances: Floats = field(default_factory=lambda: np.zeros((0, model.SHAPE, 3)))
    labels: tuple[str, ...] = ()

    def packable(self, prefix: str = "tracks_") -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
        """Numbers and arrays for `detector_pool.packing.pack`, with the prefix before their names."""
        numbers = {"next_id": self.next_id, "last_ns": self.last_ns}
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _ARRAYS}
        arrays["labels"] = np.frombuffer(json.dumps(self.labels).encode(), np.uint8)
        return {prefix + k: v for k, v in numbers.items()}, {prefix + k: v for k, v in arrays.items()}

    @classmethod
    def unpacked(cls, numbers: dict[str, Any], arrays: dict[str, NDArray[Any]], prefix: str = "tracks_") -> Tracks:
        """The inverse; takes its own out of both. Raises ValueError."""
        try:
            labels = json.loads(arrays.pop(prefix + "labels").tobytes())
            next_id, last_ns = int(numbers.pop(prefix + "next_id")), int(numbers.pop(prefix + "last_ns"))
            kept = {name: arrays.pop(prefix + name) for name in _ARRAYS}
            tracks = cls(next_id, last_ns, labels=tuple(str(label) for label in labels), **kept)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"is no state of a tracker ({type(error).__name__})") from None
        count = len(tracks.labels)
        shapes = [(count,)] * 3 + [(count, model.SHAPE, 2), (count, model.SHAPE, 3)]
        kinds = [np.int64] * 3 + [np.float64] * 2
        if [kept[name].shape for name in _ARRAYS] != shapes or [kept[name].dtype for name in _ARRAYS] != kinds:
            raise ValueError("is no state of a tracker (sizes differ)")
        return tracks


class Tracker:
    """Assigns boxes to tracks. Holds settings, no memory of any camera."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()

    def start(self) -> Tracks:
        """Nothing seen yet."""
        return Tracks()

    def step(self, boxes: Sequence[FoundBox], time_ns: int, state: Tracks) -> tuple[tuple[FoundBox, ...], Tracks]:
        """The same boxes in the same order with their tracks' numbers, 0 for what is not (yet) followed.

        `time_ns`: UTC nanoseconds of the frame. Only boxes of the same label are one thing. At most MAX_BOXES of the
        highest scores are looked at.
        """
        settings = self._settings
        if state.last_ns and time_ns - state.last_ns > settings.forget_after_s * SECOND:
            state = Tracks(next_id=state.next_id)
        # Times may stand still or go back by a little at the seam of two epochs.
        elapsed_s = max(time_ns - state.last_ns, 0) / SECOND if state.last_ns else 0.0
        scores = np.array([box.score for box in boxes], np.float64)
        shapes = np.array([(box.x, box.y, box.width, box.height) for box in boxes], np.float64).reshape(-1, 4)
        shapes = model.shapes(shapes)
        labels = [box.label for box in boxes]
        means, covariances = model.predicted(state.means, state.covariances, elapsed_s)
        state = replace(state, means=means, covariances=covariances)

        usable = np.argsort(-scores, kind="stable")[:MAX_BOXES]
        is_sure = scores >= settings.sure_score
        sure = [int(box) for box in usable if is_sure[box]]
        unsure = [int(box) for box in usable if not is_sure[box] and scores[box] >= settings.unsure_score]
        costs = _costs(state, shapes, labels)
        is_numbered = state.ids > 0
        is_recent = state.seen_ns >= state.last_ns
        track_of: dict[int, int] = {}
        for tracks, candidates, most in (
            (is_numbered, sure, _LIMIT),
            (is_numbered & is_recent, unsure, 0.7),
            (~is_numbered, sure, _LIMIT),
        ):
            rows = [int(row) for row in np.flatnonzero(tracks) if int(row) not in track_of.values()]
            columns = [box for box in candidates if box not in track_of]
            for row, column in assigned(costs[np.ix_(rows, columns)], most) if rows and columns else ():
                track_of[columns[column]] = rows[row]
        new = [box for box in sorted(sure) if box not in track_of]
        state, number_of = self._updated(state, track_of, new, shapes, labels, time_ns)
        return tuple(replace(box, track=number_of.get(index, 0)) for index, box in enumerate(boxes)), state

    def _updated(
        self,
        state: Tracks,
        track_of: dict[int, int],
        new: list[int],
        shapes: Floats,
        labels: list[str],
        time_ns: int,
    ) -> tuple[Tracks, dict[int, int]]:
        """The state with what was seen, what is new, and without what is gone; and the boxes' numbers."""
        settings = self._settings
        box_of = {track: box for box, track in track_of.items()}
        rows = sorted(box_of)
        seen = shapes[[box_of[row] for row in rows]].reshape(-1, model.SHAPE)
        means, covariances = state.means.copy(), state.covariances.copy()
        means[rows], covariances[rows] = model.corrected(means[rows], covariances[rows], seen)
        # What is hidden goes on, and neither grows nor shrinks meanwhile.
        hidden = np.ones(len(state.ids), bool)
        hidden[rows] = False
        means[hidden, 2:, 1] = 0.0
        sightings, seen_ns, ids = state.sightings.copy(), state.seen_ns.copy(), state.ids.copy()
        sightings[rows] += 1
        seen_ns[rows] = max(time_ns, state.last_ns)
        next_id = state.next_id
        for row in rows:
            if ids[row] == 0 and sightings[row] >= settings.sightings:
                ids[row], next_id = next_id, next_id + 1
        first_ids = np.zeros(len(new), np.int64)
        if settings.sightings <= 1:
            first_ids += np.arange(next_id, next_id + len(new))
            next_id += len(new)
        number_of = {box: int(ids[row]) for box, row in track_of.items()}
        number_of |= {box: int(number) for box, number in zip(new, first_ids, strict=True)}

        lost_ns = max(time_ns, state.last_ns) - seen_ns
        middle = means[:, :2, 0]
        is_in_sight = ((middle > -0.1) & (middle < 1.1)).all(axis=1)
        kept = np.flatnonzero(~hidden | ((ids > 0) & (lost_ns <= settings.max_lost_s * SECOND) & is_in_sight))
        new_means, new_covariances = model.first(shapes[new].reshape(-1, model.SHAPE))
        now = np.full(len(new), max(time_ns, state.last_ns), np.int64)
        return Tracks(
            next_id,
            max(time_ns, state.last_ns),
            np.concatenate([ids[kept], first_ids]),
            np.concatenate([sightings[kept], np.ones(len(new), np.int64)]),
            np.concatenate([seen_ns[kept], now]),
            np.concatenate([means[kept], new_means]),
            np.concatenate([covariances[kept], new_covariances]),
            tuple([state.labels[row] for row in kept] + [labels[box] for box in new]),
        ), number_of


def _costs(state: Tracks, shapes: Floats, labels: list[str]) -> Floats:
    """(tracks, boxes): from 0 (just where it was expected) to 2; infinite for what cannot be it."""
    overlap = model.overlaps(model.corners(state.means[:, :, 0]), model.corners(shapes))
    strange = model.strangeness(state.means, state.covariances, shapes)
    size = np.maximum(state.means[:, None, 2:, 0], 1e-6), np.maximum(shapes[None, :, 2:], 1e-6)
    grown = np.abs(np.log(size[0] / size[1])).max(axis=2)
    apart = np.abs(shapes[None, :, :2] - state.means[:, None, :2, 0]) / model.scale(shapes)[None, :, :2]
    is_other = np.array(state.labels)[:, None] != np.array(labels)[None, :]
    costs: Floats = 1.0 - overlap + 0.5 * np.minimum(strange / _GATE, 1.0)
    # Who turns round at once is elsewhere than expected, and yet near.
    costs[(strange > _GATE) & (overlap < 0.3) & (apart.max(axis=2) > _NEAR)] = np.inf
    # However unsure of the place: not four sizes off, nor three times as large.
    costs[(apart.max(axis=2) > 4.0) | (grown > 1.1) | is_other] = np.inf
    return costs
