"""Thresholds for a rate of false alarms: met on footage that they were not calibrated on, bounded, moved by labels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aggregate.calibration import (
    FURTHEST_BY_LABELS,
    Calibrated,
    after_label,
    calibrate,
    decluster,
    joined,
)
from mesh.errors import InvalidArgument

FPS = 5
STEP_NS = 1_000_000_000 // FPS
Values = NDArray[np.float64]


def times(count: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64) * STEP_NS


def smooth(seed: int, hours: float) -> Values:
    """Unit normal noise that hangs together for about a second."""
    count = int(hours * 3600 * FPS)
    noise = np.random.default_rng(seed).standard_normal(count + 4)
    kernel = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    return np.convolve(noise, kernel / np.linalg.norm(kernel), "valid")


def bursts(seed: int, hours: float) -> Values:
    """Nothing at all, and about once a minute something that rises and fades: what an object detector gives."""
    random = np.random.default_rng(seed)
    count = int(hours * 3600 * FPS)
    values = np.zeros(count)
    for start in np.flatnonzero(random.random(count) < 1 / (60 * FPS)).tolist():
        fading = random.exponential() * np.exp(-np.arange(min(25, count - start)) / 8)
        values[start : start + 25] = np.maximum(values[start : start + 25], fading)
    return values / (values + 1)


def scores(kind: str, seed: int, hours: float) -> Values:
    noise = smooth(seed, hours)
    squashed: Values = 1 / (1 + np.exp(2 - noise))
    heavy: Values = 1 - np.exp(-np.exp(0.5 * noise) / 4)
    return {"logistic": squashed, "heavy": heavy}[kind] if kind != "bursts" else bursts(seed, hours)


def odds(score: float) -> float:
    return score / (1 - score)


def met(kind: str, rate: float, train_hours: float, seeds: range) -> float:
    """How often alarms came on other footage, over the wanted rate: the geometric mean over seeds."""
    shares = []
    for seed in seeds:
        train = scores(kind, seed, train_hours)
        threshold = calibrate(train, times(train.size), rate).threshold
        test = scores(kind, seed + 1000, 20)
        shares.append(max(decluster(test, times(test.size), threshold).size / 20 / rate, 0.05))
    return float(np.exp(np.mean(np.log(shares))))


@pytest.mark.parametrize("kind", ["logistic", "heavy", "bursts"])
def test_a_rate_that_the_footage_shows_often_is_met_within_a_half(kind: str) -> None:
    assert 1 / 1.5 < met(kind, 6.0, 2.0, range(5)) < 1.5


def test_where_mostly_nothing_happens_a_rare_rate_is_met_and_not_all_alarms_are_lost() -> None:
    # In log odds the tail ran away from such scores: a tenth of the alarms that were asked for.
    assert 1 / 4 < met("bursts", 0.5, 2.0, range(8)) < 4


@pytest.mark.parametrize("kind", ["logistic", "heavy"])
def test_a_rate_beyond_the_footage_is_met_within_a_factor_of_two(kind: str) -> None:
    # Half an hour of footage; once an hour is extrapolated.
    assert 1 / 2 < met(kind, 1.0, 0.5, range(8)) < 2


def test_nothing_is_extrapolated_below_one_per_five_times_the_footage() -> None:
    values = scores("logistic", 1, 1.01)
    found = calibrate(values, times(values.size), 1.0)
    assert found.hours == pytest.approx(1.01, rel=1e-3)
    assert not found.is_provisional
    beyond = calibrate(values, times(values.size), 0.19)
    assert beyond.is_provisional
    assert odds(beyond.threshold) >= 1.1 * odds(values.max()) - 1e-9
    assert "provisional" in beyond.sentence
    assert [point.is_provisional for point in found.curve[:4]] == [True, True, False, False]


@pytest.mark.parametrize("highest", [0.1, 0.3, 0.8, 0.95, 0.99])
def test_a_provisional_threshold_is_passed_by_what_is_a_tenth_more_wherever_scores_lie(highest: float) -> None:
    found = calibrate([0.05, highest, 0.02], times(3), 1.0)
    assert found.is_provisional
    assert odds(found.threshold) == pytest.approx(1.1 * odds(highest))
    assert f"{highest:.3f}, the highest score seen" in found.sentence


def test_a_threshold_is_a_score_even_if_normal_footage_has_the_highest_score_there_is() -> None:
    found = calibrate([0.1, 1.0, 0.2], times(3), 1.0)
    assert 0.999 < found.threshold < 1.0


def test_footage_in_which_nothing_ever_scored_leaves_a_threshold_above_zero() -> None:
    found = calibrate(np.zeros(10_000), times(10_000), 6.0)
    assert found.threshold > 0
    assert found.is_provisional
    assert "fewer than" in found.sentence


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 1.0), st.sampled_from([0.2, 1.0, 5.0]))
def test_thresholds_are_scores_and_never_rise_with_the_rate(seed: int, hours: float, spread: float) -> None:
    values = 1 / (1 + np.exp(1 - spread * smooth(seed, hours)))
    found = calibrate(values, times(values.size), 1.0)
    thresholds = [point.threshold for point in found.curve]
    assert all(0 < one <= 1 for one in thresholds)
    assert all(rarer >= oftener - 1e-12 for rarer, oftener in pairwise(thresholds))


def test_time_in_which_nobody_looked_is_no_footage() -> None:
    values, when = joined([(np.full(50, 0.1), times(50)), (np.full(50, 0.1), times(50) + 10**18)])
    assert calibrate(values, when, 1.0).hours == pytest.approx(98 / FPS / 3600)


def test_crossings_close_together_are_one_peak() -> None:
    values = np.array([0.0, 0.9, 0.0, 0.8, 0.0] + [0.0] * 30 + [0.7])
    assert decluster(values, times(values.size), 0.5).tolist() == [0.9, 0.7]
    assert decluster(values, times(values.size), 0.95).size == 0


@pytest.mark.parametrize(
    ("values", "when", "rate", "word"),
    [
        ([], [], 1.0, "no scores"),
        ([0.1], [1, 2], 1.0, "shape"),
        ([0.1, 0.2], [2, 1], 1.0, "back"),
        ([0.1, float("nan")], [1, 2], 1.0, "between 0 and 1"),
        ([1.5], [1], 1.0, "between 0 and 1"),
        ([0.1], [1], 0.0, "no rate"),
        ([0.1], [1], float("inf"), "no rate"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_by_name(
    values: list[float], when: list[int], rate: float, word: str
) -> None:
    with pytest.raises(InvalidArgument, match=word):
        calibrate(values, when, rate)


# Labels


def test_a_false_alarm_raises_the_threshold_a_little_and_a_true_one_lowers_it_less() -> None:
    up = after_label(0.5, 0.5, 0.9, is_false=True)
    down = after_label(0.5, 0.5, 0.6, is_false=False)
    assert up.threshold == pytest.approx(0.525, abs=1e-3)
    assert down.threshold == pytest.approx(0.4875, abs=1e-3)
    assert "from 0.500 to 0.525" in up.sentence


def test_a_false_alarm_raises_the_threshold_no_further_than_its_own_score() -> None:
    assert after_label(0.5, 0.5, 0.505, is_false=True).threshold == pytest.approx(0.505)
    assert after_label(0.5, 0.5, 0.4, is_false=True).threshold == 0.5


def test_a_clear_true_alarm_moves_nothing() -> None:
    moved = after_label(0.5, 0.5, 0.95, is_false=False)
    assert moved.threshold == 0.5
    assert "stays" in moved.sentence


def test_a_hundred_labels_move_it_no_further_than_the_bound_and_it_says_so() -> None:
    threshold, last = 0.5, None
    for _ in range(100):
        last = after_label(threshold, 0.5, 0.999, is_false=True)
        threshold = last.threshold
    assert threshold == pytest.approx(1 / (1 + np.exp(-FURTHEST_BY_LABELS)))
    assert last is not None
    assert "no further" in last.sentence


@given(st.floats(0.02, 0.98), st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60))
def test_labels_never_move_a_threshold_out_of_its_bounds(home: float, labels: list[tuple[float, bool]]) -> None:
    threshold = home
    for score, is_false in labels:
        threshold = after_label(threshold, home, score, is_false=is_false).threshold
    odds = np.log(threshold / (1 - threshold)) - np.log(home / (1 - home))
    assert abs(odds) <= FURTHEST_BY_LABELS + 1e-6


def test_what_calibration_gives_can_be_compared() -> None:
    values = scores("logistic", 1, 0.1)
    again: Calibrated = calibrate(values, times(values.size), 6.0)
    assert again == calibrate(values, times(values.size), 6.0)
