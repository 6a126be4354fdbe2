from __future__ import annotations

import numpy as np
import pytest

from detector_pool.normality.mixture import Mixture, fit


def two_clouds() -> np.ndarray:
    rng = np.random.default_rng(1)
    one = rng.multivariate_normal([0, 0, 5], [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 0.1]], 3000)
    other = rng.multivariate_normal([8, -6, 0], [[0.5, 0, 0], [0, 2, 0], [0, 0, 1]], 1000)
    return np.concatenate([one, other])


def test_two_clouds_are_found_with_their_shares_and_slants() -> None:
    found = fit(two_clouds(), 2, 40, 1e-3, np.random.default_rng(0))
    order = np.argsort(-found.shares)
    assert found.shares[order] == pytest.approx([0.75, 0.25], abs=0.01)
    assert found.means[order[0]] == pytest.approx([0, 0, 5], abs=0.1)
    covariance = np.linalg.inv(found.whitening[order[0]].T @ found.whitening[order[0]])
    assert covariance[0, 1] == pytest.approx(0.8, abs=0.1)


def test_density_is_that_of_a_single_gaussian_where_there_is_one() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(2.0, 3.0, (5000, 1))
    found = fit(vectors, 1, 5, 0.0, rng)
    at = np.array([[2.0], [5.0]])
    expected = -0.5 * ((at[:, 0] - vectors.mean()) / vectors.std()) ** 2 - np.log(vectors.std() * np.sqrt(2 * np.pi))
    assert found.log_density(at) == pytest.approx(expected, abs=1e-6)


def test_each_step_makes_the_footage_likelier() -> None:
    vectors = two_clouds()
    likelihoods = [
        fit(vectors, 5, steps, 1e-3, np.random.default_rng(3)).log_density(vectors).mean() for steps in (1, 4, 16)
    ]
    assert likelihoods == sorted(likelihoods)


def test_vectors_that_do_not_differ_at_all_are_fitted_nevertheless() -> None:
    found = fit(np.ones((50, 4)), 8, 20, 1e-3, np.random.default_rng(0))
    assert np.isfinite(found.log_density(np.ones((1, 4)))).all()
    assert found.log_density(np.ones((1, 4)))[0] > found.log_density(np.full((1, 4), 1.5))[0] + 10
    assert isinstance(found, Mixture)


def test_equal_seeds_give_equal_mixtures() -> None:
    one, other = (fit(two_clouds(), 4, 10, 1e-3, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one.whitening, other.whitening)
