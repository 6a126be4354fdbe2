"""RBDC and TBDC: how many abnormal regions, and how many abnormal tracks, boxes find at a rate of false ones.

After B. Ramachandra and M. Jones, "Street Scene: A new dataset and evaluation protocol for video anomaly detection",
WACV 2020. Written from the paper; pure numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

# A region is found when a box overlaps it by this share of their union, a track when this share of its regions is.
MIN_OVERLAP = 0.1
MIN_TRACK_SHARE = 0.1

Box = tuple[float, float, float, float]
"""Left, top, width, height, in fractions of the picture."""


@dataclass(frozen=True, slots=True)
class TrueBox:
    """An abnormal region of a frame. Regions of one thing have one track."""

    frame: int
    track: int
    box: Box


@dataclass(frozen=True, slots=True)
class SaidBox:
    """A box of a detector."""

    frame: int
    score: float
    box: Box


T = TypeVar("T", TrueBox, SaidBox)


@dataclass(frozen=True, slots=True)
class BoxedClip:
    """True and said boxes of a clip of so many frames."""

    frames: int
    true: Sequence[TrueBox]
    said: Sequence[SaidBox]


@dataclass(frozen=True, slots=True)
class RegionScores:
    """Areas under the curves of detection rate over false boxes per frame, from 0 to 1 of these. Fractions."""

    rbdc: float
    tbdc: float


def region_scores(clips: Sequence[BoxedClip]) -> RegionScores | None:
    """RBDC and TBDC over all clips. None if no clip has a true region, or no frame.

    A said box that overlaps no region of its frame by `MIN_OVERLAP` is false. Where even the lowest threshold makes
    fewer false boxes than one per frame, the rate of detection there is taken for the rest of the curve.
    """
    frames = sum(clip.frames for clip in clips)
    region_best: list[float] = []
    track_members: dict[tuple[int, int], list[int]] = {}
    false: list[float] = []
    for number, clip in enumerate(clips):
        true_by_frame = _by_frame(clip.true)
        said_by_frame = _by_frame(clip.said)
        for frame, said in said_by_frame.items():
            true = true_by_frame.get(frame, [])
            overlaps = _overlaps([one.box for one in said], [one.box for one in true])
            is_hit = overlaps >= MIN_OVERLAP
            false += [one.score for one, hits in zip(said, is_hit, strict=True) if not hits.any()]
        for frame, true in true_by_frame.items():
            said = said_by_frame.get(frame, [])
            is_hit = _overlaps([one.box for one in said], [one.box for one in true]) >= MIN_OVERLAP
            scores = np.array([one.score for one in said])
            for column, one in enumerate(true):
                track_members.setdefault((number, one.track), []).append(len(region_best))
                found = scores[is_hit[:, column]]
                region_best.append(float(found.max()) if found.size else -np.inf)
    if not region_best or not frames:
        return None
    best = np.array(region_best)
    # A track is found down to the threshold at which enough of its regions are.
    track_best = np.array([_needed(np.sort(best[members])[::-1]) for members in track_members.values()])
    wrong = np.sort(np.array(false))[::-1]
    return RegionScores(_area(best, wrong, frames), _area(track_best, wrong, frames))


def _needed(falling: NDArray[np.float64]) -> float:
    count = max(int(np.ceil(MIN_TRACK_SHARE * falling.size - 1e-9)), 1)
    return float(falling[count - 1])


def _area(best: NDArray[np.float64], wrong: NDArray[np.float64], frames: int) -> float:
    """Area under detection rate over false boxes per frame up to one, by straight lines between thresholds."""
    thresholds = np.unique(np.concatenate([best[np.isfinite(best)], wrong]))[::-1]
    found = np.searchsorted(np.sort(-best), -thresholds, side="right") / best.size
    rate = np.searchsorted(-wrong, -thresholds, side="right") / frames
    rate = np.concatenate([[0.0], rate, [max(1.0, rate[-1] if rate.size else 0.0)]])
    found = np.concatenate([[0.0], found, [found[-1] if found.size else 0.0]])
    is_inside = rate <= 1.0
    xs, ys = rate[is_inside], found[is_inside]
    if xs[-1] < 1.0:
        first = int(np.argmax(~is_inside))
        share = (1.0 - rate[first - 1]) / (rate[first] - rate[first - 1])
        xs = np.append(xs, 1.0)
        ys = np.append(ys, found[first - 1] + share * (found[first] - found[first - 1]))
    return float(np.sum(np.diff(xs) * (ys[1:] + ys[:-1]) / 2))


def _by_frame(boxes: Sequence[T]) -> Mapping[int, list[T]]:
    found: dict[int, list[T]] = {}
    for one in boxes:
        found.setdefault(one.frame, []).append(one)
    return found


def _overlaps(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union of each of `a` with each of `b`, (len(a), len(b))."""
    if not a or not b:
        return np.zeros((len(a), len(b)))
    one, other = np.array(a, dtype=np.float64)[:, None], np.array(b, dtype=np.float64)[None]
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    union = np.prod(one[..., 2:], axis=-1) + np.prod(other[..., 2:], axis=-1) - shared
    result: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result
