"""Whether scores of today are still those of the time for which a model was trained and calibrated. Pure numpy.

The population stability index over tenths of the reference (N. Siddiqi, "Credit Risk Scorecards", 2006, whose rule of
thumb is used: below 0.1 the same, from 0.25 on another population), and the greatest distance of the two distribution
functions (Kolmogorov and Smirnov), which does not depend on tenths. Scores of neighbouring frames hang together, so
that tests for significance would cry at anything: the size of the difference decides, and both must be large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mesh.errors import InvalidArgument

SHIFTED = 0.25
"""Stability index from which scores are another population's."""
SHIFTED_DISTANCE = 0.15
"""Distance of the distribution functions from which they are."""
FEWEST = 500
_TENTHS = 10
_LEAST_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class Drift:
    """How far scores are from those of the reference."""

    stability_index: float
    distance: float
    """Greatest distance of the distribution functions, 0 to 1."""
    reference: int
    """Scores that the reference has."""
    recent: int

    @property
    def is_known(self) -> bool:
        """Whether there are enough scores on both sides to say."""
        return min(self.reference, self.recent) >= FEWEST

    @property
    def has_drifted(self) -> bool:
        """Whether they are those of another population."""
        return self.is_known and self.stability_index >= SHIFTED and self.distance >= SHIFTED_DISTANCE

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.is_known:
            return f"too few scores to say ({self.reference} then, {self.recent} lately; {FEWEST} are needed)"
        word = "have drifted" if self.has_drifted else "are as they were"
        return f"scores {word}: stability index {self.stability_index:.2f}, distance {self.distance:.2f}"


def drift(reference: ArrayLike, recent: ArrayLike) -> Drift:
    """Compares scores, (n,) and (m,). Raises InvalidArgument: some are no numbers."""
    one, other = _checked("reference", reference), _checked("recent", recent)
    if not one.size or not other.size:
        return Drift(0.0, 0.0, one.size, other.size)
    # Tenths between values that occur: scores that are mostly 0 give fewer, and equal ones are never split.
    edges = np.unique(np.quantile(one, np.arange(1, _TENTHS) / _TENTHS))
    was, now = _shares(one, edges), _shares(other, edges)
    index = float(np.sum((now - was) * np.log(now / was)))
    at = np.concatenate([one, other])
    below_one = np.searchsorted(np.sort(one), at, side="right") / one.size
    below_other = np.searchsorted(np.sort(other), at, side="right") / other.size
    return Drift(index, float(np.abs(below_one - below_other).max()), one.size, other.size)


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=edges.size + 1)
    shares: NDArray[np.float64] = np.maximum(counts / values.size, _LEAST_SHARE)
    return shares


def _checked(name: str, scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise InvalidArgument(f"{name} scores", "are not all numbers")
    return values
