"""Mixtures of Gaussians with full covariance, fitted by expectation and maximisation. Pure numpy, seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SEEDING_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Mixture:
    """Density over vectors of D numbers, from K Gaussians."""

    shares: Floats
    """(K,), their sum is 1."""
    means: Floats
    """(K, D)."""
    whitening: Floats
    """(K, D, D): `whitening[k] @ (x - means[k])` has unit covariance."""

    def log_density(self, vectors: Floats) -> Floats:
        """Natural logarithm of the density, (N,), of vectors (N, D)."""
        parts = np.stack(
            [
                constant - 0.5 * (((vectors - mean) @ whitening.T) ** 2).sum(axis=1)
                for constant, mean, whitening in zip(self.constants(), self.means, self.whitening, strict=True)
            ]
        )
        highest = parts.max(axis=0)
        summed: Floats = highest + np.log(np.exp(parts - highest).sum(axis=0))
        return summed

    def constants(self) -> Floats:
        """Logarithm of each one's density at its mean, its share included, (K,)."""
        size = self.means.shape[1]
        determinants = np.log(np.abs(np.diagonal(self.whitening, axis1=1, axis2=2))).sum(axis=1)
        found: Floats = np.log(self.shares) + determinants - 0.5 * size * np.log(2 * np.pi)
        return found


def fit(vectors: Floats, count: int, steps: int, regularisation: float, rng: np.random.Generator) -> Mixture:
    """Fits `count` Gaussians to vectors (N, D), of which there are more than `count`.

    `regularisation` is added to every variance. Dempster, Laird and Rubin's algorithm (1977), from centres drawn as by
    Arthur and Vassilvitskii (2007).
    """
    size, width = vectors.shape
    middle = vectors.mean(axis=0)
    spread = vectors.std(axis=0) + 1e-9
    scaled = (vectors - middle) / spread
    floor = regularisation / spread**2
    pairs = np.triu_indices(width)
    # Densities and moments are linear in these, so that each step is two products of matrices.
    monomials = np.concatenate([np.ones((1, size)), scaled.T, scaled.T[pairs[0]] * scaled.T[pairs[1]]])
    shares, means, covariances = _moments(_seeded(scaled, count, rng).T, monomials, width, pairs, floor)
    for _ in range(steps):
        logs = _coefficients(shares, means, covariances, pairs) @ monomials
        logs -= logs.max(axis=0)
        weights = np.exp(logs, out=logs)
        weights /= weights.sum(axis=0)
        shares, means, covariances = _moments(weights, monomials, width, pairs, floor)
    whitening = np.linalg.inv(np.linalg.cholesky(covariances)) / spread
    return Mixture(shares, means * spread + middle, whitening)


def _seeded(scaled: Floats, count: int, rng: np.random.Generator) -> Floats:
    """First memberships (N, K): of the nearest of centres that lie apart."""
    centres = scaled[[int(rng.integers(len(scaled)))]]
    nearest = ((scaled - centres[0]) ** 2).sum(axis=1)
    while len(centres) < count:
        total = float(nearest.sum())
        chosen = int(rng.choice(len(scaled), p=nearest / total)) if total > 0 else int(rng.integers(len(scaled)))
        centres = np.concatenate([centres, scaled[[chosen]]])
        nearest = np.minimum(nearest, ((scaled - centres[-1]) ** 2).sum(axis=1))
    members = np.zeros((len(scaled), count))
    for _ in range(_SEEDING_ROUNDS):
        distance = (centres**2).sum(axis=1) - 2 * scaled @ centres.T
        members = np.zeros((len(scaled), count))
        members[np.arange(len(scaled)), distance.argmin(axis=1)] = 1.0
        totals = members.sum(axis=0)
        has_any = totals > 0
        centres[has_any] = (members.T @ scaled)[has_any] / totals[has_any, None]
    return members


def _moments(
    weights: Floats, monomials: Floats, width: int, pairs: tuple[NDArray[np.intp], NDArray[np.intp]], floor: Floats
) -> tuple[Floats, Floats, Floats]:
    sums = weights @ monomials.T
    totals = sums[:, 0] + 10 * np.finfo(np.float64).eps
    means = sums[:, 1 : 1 + width] / totals[:, None]
    second = np.empty((len(totals), width, width))
    second[:, pairs[0], pairs[1]] = sums[:, 1 + width :] / totals[:, None]
    second[:, pairs[1], pairs[0]] = second[:, pairs[0], pairs[1]]
    covariances = second - means[:, :, None] * means[:, None, :]
    covariances[:, np.arange(width), np.arange(width)] += floor + 1e-9
    return totals / totals.sum(), means, covariances


def _coefficients(
    shares: Floats, means: Floats, covariances: Floats, pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> Floats:
    """Each Gaussian's log density with its share as coefficients of the monomials, (K, 1 + D + D (D + 1) / 2)."""
    precisions = np.linalg.inv(covariances)
    _, determinants = np.linalg.slogdet(covariances)
    linear = np.einsum("kij,kj->ki", precisions, means)
    constant = np.log(shares) - 0.5 * (determinants + (linear * means).sum(axis=1) + means.shape[1] * np.log(2 * np.pi))
    twice = np.where(pairs[0] == pairs[1], 0.5, 1.0)
    return np.concatenate([constant[:, None], linear, -precisions[:, pairs[0], pairs[1]] * twice], axis=1)
