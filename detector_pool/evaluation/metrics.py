"""Measures of scores against labels, frame by frame. Pure numpy; nothing here reads a file or runs a detector.

Scores of all clips are used as they are: a normalisation by clip would use the future of the clip, which no camera has.
What boxes are measured by is in `regions.py`, alarms and their delays in `alarms.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]

# Above this, the position of a frame in its clip says so much of its label that a clock would look like a detector.
LEAKAGE_WARNED = 0.65


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores and labels of one clip."""

    clip: str
    scores: Scores
    """float64, (frames,). Frames that got none have 0: nothing was claimed of them."""
    labels: Labels
    """bool, (frames,): whether the frame is abnormal."""

    def __post_init__(self) -> None:
        if self.scores.shape != self.labels.shape or self.scores.ndim != 1:
            raise ValueError(f"clip {self.clip}: {self.scores.shape} scores and {self.labels.shape} labels")


def roc_auc(scores: Scores, labels: Labels) -> float | None:
    """Area under the ROC curve: how often an abnormal frame scores higher than a normal one, ties counting half.

    Exact with ties, by the rank sum (Mann and Whitney 1947; Hanley and McNeil 1982). None if one class is missing.
    """
    positives = int(np.count_nonzero(labels))
    negatives = labels.size - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # Twice the mean rank of each group of equal scores is a whole number: sums of these are exact.
    last = np.cumsum(counts, dtype=np.int64)
    doubled_ranks = 2 * last - counts + 1
    rank_sum = int(doubled_ranks[inverse[labels]].sum())
    doubled_wins = rank_sum - positives * (positives + 1)
    return doubled_wins / (2 * positives * negatives)


def micro_auc(clips: Sequence[Scored]) -> float | None:
    """ROC AUC over the frames of all clips together. None if one class is missing."""
    if not clips:
        return None
    return roc_auc(np.concatenate([one.scores for one in clips]), np.concatenate([one.labels for one in clips]))


def macro_auc(clips: Sequence[Scored]) -> tuple[float | None, int]:
    """The mean of the clips' own ROC AUCs, and how many clips it is the mean of.

    A clip whose frames are all normal, or all abnormal, has no AUC and is left out.
    """
    found = [auc for one in clips if (auc := roc_auc(one.scores, one.labels)) is not None]
    return (float(np.mean(found)), len(found)) if found else (None, 0)


def leakage(clips: Sequence[Scored]) -> float | None:
    """How well the position in the clip alone predicts the label: 0.5 not at all, 1 entirely. None if not defined.

    The larger AUC of the frame's number and of its share of the clip, in whichever direction predicts: a benchmark
    whose anomalies all lie late rewards a detector that only drifts.
    """
    numbers, shares, labels = [], [], []
    for one in clips:
        number = np.arange(one.labels.size, dtype=np.float64)
        numbers.append(number)
        shares.append(number / max(one.labels.size - 1, 1))
        labels.append(one.labels)
    if not labels:
        return None
    whole = np.concatenate(labels)
    aucs = [roc_auc(np.concatenate(positions), whole) for positions in (numbers, shares)]
    return max(max(auc, 1 - auc) for auc in aucs if auc is not None) if None not in aucs else None
