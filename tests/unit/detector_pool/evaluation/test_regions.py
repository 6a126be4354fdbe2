"""RBDC and TBDC on cases worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector_pool.evaluation.regions import BoxedClip, SaidBox, TrueBox, region_scores

HERE, THERE = (0.0, 0.0, 0.2, 0.2), (0.7, 0.7, 0.2, 0.2)


def test_boxes_on_every_region_and_nowhere_else_score_one() -> None:
    true = [TrueBox(frame, 1, HERE) for frame in range(10)]
    said = [SaidBox(frame, 0.5, HERE) for frame in range(10)]
    scores = region_scores([BoxedClip(20, true, said)])
    assert scores is not None
    assert (scores.rbdc, scores.tbdc) == (1.0, 1.0)


def test_a_track_is_found_by_a_tenth_of_its_regions() -> None:
    true = [TrueBox(frame, 1, HERE) for frame in range(10)]
    scores = region_scores([BoxedClip(10, true, [SaidBox(4, 0.5, HERE)])])
    assert scores is not None
    assert scores.rbdc == pytest.approx(0.1)
    assert scores.tbdc == 1.0


def test_a_track_of_twenty_regions_needs_two_of_them() -> None:
    true = [TrueBox(frame, 1, HERE) for frame in range(20)]
    scores = region_scores([BoxedClip(20, true, [SaidBox(4, 0.5, HERE)])])
    assert scores is not None
    assert scores.tbdc == 0.0


def test_false_boxes_that_score_higher_cost_area() -> None:
    # Two frames; a false box in one of them (0.5 per frame) before the region is found.
    true = [TrueBox(0, 1, HERE)]
    said = [SaidBox(1, 0.9, HERE), SaidBox(0, 0.4, HERE)]
    scores = region_scores([BoxedClip(2, true, said)])
    assert scores is not None
    # 0 up to 0.5 per frame, then straight up to 1 and on.
    assert scores.rbdc == pytest.approx(0.5)


def test_the_curve_is_cut_at_one_false_box_per_frame() -> None:
    # Two false boxes per frame at the threshold at which the region is found: half of the way at one per frame.
    true = [TrueBox(0, 1, HERE)]
    said = [SaidBox(0, 0.5, THERE), SaidBox(0, 0.5, (0.4, 0.4, 0.1, 0.1)), SaidBox(0, 0.5, HERE)]
    scores = region_scores([BoxedClip(1, true, said)])
    assert scores is not None
    assert scores.rbdc == pytest.approx(0.25)


def test_a_small_overlap_is_a_false_box_and_finds_nothing() -> None:
    # Intersection 0.01, union 0.07: more than a tenth; 0.0025 and 0.0775: less.
    found = region_scores([BoxedClip(1, [TrueBox(0, 1, HERE)], [SaidBox(0, 0.5, (0.1, 0.1, 0.2, 0.2))])])
    missed = region_scores([BoxedClip(1, [TrueBox(0, 1, HERE)], [SaidBox(0, 0.5, (0.15, 0.15, 0.2, 0.2))])])
    assert found is not None
    assert missed is not None
    assert found.rbdc == 1.0
    assert missed.rbdc == 0.0


def test_without_true_regions_there_is_no_score() -> None:
    assert region_scores([]) is None
    assert region_scores([BoxedClip(5, [], [SaidBox(0, 0.5, HERE)])]) is None


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1, width=16), st.sampled_from([HERE, THERE])), max_size=20),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from([HERE, THERE])), min_size=1, max_size=9),
)
def test_scores_lie_between_nothing_and_all_and_follow_only_the_order(
    said: list[tuple[int, float, tuple[float, float, float, float]]],
    true: list[tuple[int, int, tuple[float, float, float, float]]],
) -> None:
    regions = [TrueBox(*one) for one in true]
    scores = region_scores([BoxedClip(6, regions, [SaidBox(*one) for one in said])])
    squared = region_scores([BoxedClip(6, regions, [SaidBox(f, 2 * s + 1, b) for f, s, b in said])])
    assert scores is not None
    assert 0 <= scores.rbdc <= 1
    assert 0 <= scores.tbdc <= 1
    assert squared == scores
