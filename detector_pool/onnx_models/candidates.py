"""What a decoder reads out of a graph's outputs, and which of it stays where several boxes show one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CANDIDATES = 512
_FAR = 1e6
"""Pixels."""
Floats = NDArray[np.float32]
Wanted = NDArray[np.bool_] | None
"""Which classes are wanted; None: all."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes of one picture in pixels of the graph's input."""

    corners: Floats
    """(n, 4): left, top, right, bottom."""
    scores: Floats
    """(n,), 0 to 1."""
    classes: NDArray[np.int64]
    """(n,)."""
    points: Floats | None = None
    """(n, points, 3): x, y, score of key points."""

    def __len__(self) -> int:
        return len(self.scores)

    def chosen(self, which: NDArray[Any]) -> Candidates:
        """Those at these places."""
        points = None if self.points is None else self.points[which]
        return Candidates(self.corners[which], self.scores[which], self.classes[which], points)


def best_classes(
    scores: Floats, threshold: float, wanted: Wanted
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Rows of (n, classes) whose best class is wanted and reaches the threshold: places, scores, classes.

    What is a dog before it is a person is a dog, though only persons are wanted.
    """
    if scores.shape[1] == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64)
    rows = np.flatnonzero(scores.max(axis=1) >= threshold)
    classes = scores[rows].argmax(axis=1)
    if wanted is not None:
        kept = wanted[classes]
        rows, classes = rows[kept], classes[kept]
    return rows, scores[rows, classes], classes


def suppressed(candidates: Candidates, overlap: float) -> Candidates:
    """Of boxes of one class that overlap by more than `overlap` (intersection over union) the best; best first.

    At most MAX_CANDIDATES of the highest scores are looked at; of equal scores the earlier one comes first.
    """
    # A graph may put out anything: what is nowhere is nothing.
    somewhere = np.flatnonzero((np.abs(candidates.corners) < _FAR).all(axis=1))
    order = somewhere[np.argsort(-candidates.scores[somewhere], kind="stable")[:MAX_CANDIDATES]]
    sorted_ = candidates.chosen(order)
    count = len(sorted_)
    if count < 2:
        return sorted_
    corners = sorted_.corners
    areas = np.maximum(corners[:, 2:] - corners[:, :2], 0).prod(axis=1)
    kept = np.ones(count, bool)
    for best in range(count - 1):
        if not kept[best]:
            continue
        rest = best + 1 + np.flatnonzero(kept[best + 1 :])
        rest = rest[sorted_.classes[rest] == sorted_.classes[best]]
        low = np.maximum(corners[rest, :2], corners[best, :2])
        high = np.minimum(corners[rest, 2:], corners[best, 2:])
        inside = np.maximum(high - low, 0).prod(axis=1)
        clashes = inside > np.float32(overlap) * (areas[rest] + areas[best] - inside)
        kept[rest[clashes]] = False
    return sorted_.chosen(np.flatnonzero(kept))


def from_centres(boxes: Floats) -> Floats:
    """(n, 4) centre x, centre y, width, height as corners."""
    half = boxes[:, 2:] * np.float32(0.5)
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def sigmoid(values: NDArray[Any]) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    values = np.clip(np.asarray(values, np.float32), -60.0, 60.0)
    result: Floats = np.float32(1.0) / (np.float32(1.0) + np.exp(-values))
    return result
