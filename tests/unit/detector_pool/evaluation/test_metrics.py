"""Measures against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector_pool.evaluation.metrics import Scored, leakage, macro_auc, micro_auc, roc_auc

FRAMES = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 1.0]), st.booleans()), max_size=40)


def clip(scores: list[float], labels: list[int], name: str = "c") -> Scored:
    return Scored(name, np.array(scores, dtype=np.float64), np.array(labels, dtype=bool))


def brute(scores: list[float], labels: list[bool]) -> float | None:
    wins = [
        (a > b) + 0.5 * (a == b)
        for a, is_a in zip(scores, labels, strict=True) if is_a
        for b, is_b in zip(scores, labels, strict=True) if not is_b
    ]  # fmt: skip
    return sum(wins) / len(wins) if wins else None


@given(FRAMES)
def test_the_area_equals_that_of_all_pairs_ties_counting_half(frames: list[tuple[float, bool]]) -> None:
    scores, labels = [one for one, _ in frames], [one for _, one in frames]
    assert roc_auc(np.array(scores), np.array(labels, dtype=bool)) == brute(scores, labels)


def test_a_class_that_is_missing_gives_no_area() -> None:
    assert roc_auc(np.array([0.1, 0.2]), np.array([True, True])) is None
    assert micro_auc([]) is None
    assert macro_auc([clip([0.1, 0.2], [0, 0])]) == (None, 0)


def test_micro_compares_frames_of_different_clips_and_macro_does_not() -> None:
    # Within each clip the order is right; the second clip lies higher as a whole.
    clips = [clip([0.1, 0.2], [0, 1], "a"), clip([0.8, 0.9], [0, 1], "b")]
    assert macro_auc(clips) == (1.0, 2)
    assert micro_auc(clips) == 0.75


def test_macro_leaves_out_clips_of_one_class() -> None:
    clips = [clip([0.1, 0.2], [0, 1]), clip([0.9, 0.9], [1, 1]), clip([0.5, 0.4], [0, 1])]
    assert macro_auc(clips) == (0.5, 2)


def test_labels_that_lie_late_are_seen_as_leakage_and_so_are_early_ones() -> None:
    late, early = clip([0] * 10, [0] * 5 + [1] * 5), clip([0] * 10, [1] * 5 + [0] * 5)
    assert leakage([late]) == 1.0
    assert leakage([early]) == 1.0
    assert leakage([late, early]) == pytest.approx(0.5)
    assert leakage([clip([0, 0], [1, 1])]) is None
    assert leakage([]) is None


def test_scores_and_labels_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="clip c"):
        clip([0.1], [0, 1])
