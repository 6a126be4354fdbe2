"""Drift of scores: seen where there is one, and not where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregate.drift import drift
from mesh.errors import InvalidArgument


def beta(seed: int, a: float, b: float, size: int = 5000) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).beta(a, b, size)


@pytest.mark.parametrize("seed", range(10))
def test_scores_of_the_same_kind_have_not_drifted(seed: int) -> None:
    found = drift(beta(seed, 2, 8), beta(seed + 100, 2, 8))
    assert not found.has_drifted
    assert found.stability_index < 0.05
    assert "as they were" in found.sentence


@pytest.mark.parametrize("seed", range(10))
def test_scores_of_another_season_have(seed: int) -> None:
    found = drift(beta(seed, 2, 8), beta(seed + 100, 3, 7))
    assert found.has_drifted
    assert "have drifted" in found.sentence


def test_scores_that_are_mostly_nothing_are_compared_too() -> None:
    rare, often = np.zeros(2000), np.zeros(2000)
    rare[:20], often[:800] = 0.5, 0.5
    assert not drift(rare, rare[::-1]).has_drifted
    assert drift(rare, often).has_drifted
    assert drift(rare, often).distance == pytest.approx(0.39)


def test_a_tail_that_grows_a_little_is_no_other_population_however_large_the_index() -> None:
    rare, often = np.zeros(5000), np.zeros(5000)
    rare[:10], often[:500] = 0.5, 0.5
    found = drift(rare, often)
    assert found.stability_index > 0.25
    assert not found.has_drifted


def test_too_few_scores_say_nothing() -> None:
    found = drift(beta(1, 2, 8, 100), beta(1, 8, 2, 5000))
    assert not found.has_drifted
    assert "too few" in found.sentence
    assert not drift([], []).has_drifted


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="recent scores"):
        drift([0.1], [float("nan")])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_measures_are_never_negative_and_nothing_lies_far_from_itself(one: list[float], other: list[float]) -> None:
    assert drift(one, one).stability_index == 0
    assert drift(one, one).distance == 0
    found = drift(one, other)
    assert found.stability_index >= 0
    assert 0 <= found.distance <= 1
