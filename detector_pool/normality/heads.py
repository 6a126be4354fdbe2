"""What is looked at: one head for each kind of abnormality, with its attributes, and what it has learnt.

A head sees every cell of the canvas as a short vector of attributes. What is normal in a row of cells is a mixture of
Gaussians; how unlikely a cell is, against what the row is used to, is its value. Graphs are built in `graph.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector_pool.normality.mixture import Floats, Mixture

CEILING = 20.0
"""A log density above this is as normal as can be."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One number of a cell, and what is said where it is far off."""

    name: str
    above: str
    below: str
    weight: float = 1.0
    """Of its deviation when the most telling attribute is chosen."""


@dataclass(frozen=True, slots=True)
class Head:
    """A kind of abnormality."""

    name: str
    attributes: tuple[Attribute, ...]
    budget: float
    """Its share of the false alarms."""
    power: int = 1
    """Its normalised value is raised to this before it is squashed: a head that is blind to most of what happens stays
    out of the others' way until it is sure."""
    allowed: tuple[tuple[float, float], ...] = ()
    """Lowest and highest value of each attribute that are normal everywhere, for what footage rarely shows."""

    def squashed(self, value: float) -> float:
        """A score from 0 to 1 of a normalised value, 0.5 for 1."""
        raised = max(value, 0.0) ** self.power
        return raised / (1.0 + raised)


@dataclass(frozen=True, slots=True)
class Level:
    """What a head exceeds in its share of normal frames: the mean of the highest cells, now and accumulated."""

    now: float
    event: float

    def normalised(self, now: float, event: float) -> float:
        """1 where a head is at its level."""
        return 0.5 * (now / self.now + event / self.event)


MOTION = Head(
    "motion",
    (
        Attribute("area", "larger than anything seen here", "smaller than anything seen here"),
        Attribute("speed", "faster than anything seen here", "slower than anything seen here"),
        Attribute("upright edges", "of a shape not seen here: more upright edges",
                  "of a shape not seen here: fewer upright edges"),
        Attribute("level edges", "of a shape not seen here: more level edges",
                  "of a shape not seen here: fewer level edges"),
        Attribute("change", "changes more than anything seen here", "changes less than anything seen here", 0.6),
    ),
    0.3,
)  # fmt: skip
_SPEEDS = (
    Attribute("area", "larger than anything seen here", "smaller than anything seen here", 0.8),
    Attribute("displacement", "faster than anything seen here", "slower than anything seen here"),
    Attribute("normal flow", "faster than anything seen here", "slower than anything seen here"),
)
FLOW = Head("flow", _SPEEDS, 0.25)
SPEED = Head("speed", _SPEEDS, 0.25)
"""As flow, of pictures of a quarter of the size: it still tells speeds apart at which flow no longer does."""
_WAY = ("moves a way that nobody moves here",) * 2
DIRECTION = Head(
    "direction",
    (Attribute("place", *_WAY), Attribute("rightwards", *_WAY), Attribute("downwards", *_WAY)),
    0.1,
    4,
)  # fmt: skip
DWELL = Head(
    "dwell",
    (
        Attribute("difference", "something stands where nothing stood", "something is gone from where it stood"),
        Attribute("duration", "stands longer than anything seen here", "something stands where nothing stood"),
    ),
    0.1,
    4,
    # Something of 7 to 30 grey levels may stand anywhere for three to eight seconds, seen before or not.
    ((2.7, 5.5), (3.4, 4.4)),
)  # fmt: skip
HEADS = (MOTION, FLOW, SPEED, DIRECTION, DWELL)
_AGREEING = tuple(HEADS.index(one) for one in (MOTION, FLOW, SPEED))
"""They see the same things by different means: each is surer where the others agree."""


@dataclass(frozen=True, slots=True)
class HeadModel:
    """What a head has learnt of a camera, by row of cells. R rows, K Gaussians, D attributes."""

    head: Head
    shares: Floats
    """(R, K)."""
    means: Floats
    """(R, K, D)."""
    whitening: Floats
    """(R, K, D, D)."""
    median: Floats
    """(R,) of the values of vectors that the model was not fitted to."""
    spread: Floats
    """(R,), from the median to the 98th percentile."""
    centre: Floats
    """(R, D), for explanations: medians of the attributes."""
    scale: Floats
    """(R, D), their spread."""

    def row(self, number: int) -> Mixture:
        """The mixture of a row."""
        return Mixture(self.shares[number], self.means[number], self.whitening[number])


def score_of(values: Sequence[float]) -> float:
    """The score of a frame from the normalised values of HEADS: that of the head that stands out most.

    Motion, flow and speed count together, with their mean.
    """
    together = sum(max(values[number], 0.0) for number in _AGREEING) / len(_AGREEING)
    alone = (HEADS[number].squashed(value) for number, value in enumerate(values) if number not in _AGREEING)
    return max(MOTION.squashed(together), *alone)


def unlikeliness(mixture: Mixture, vectors: Vectors) -> Floats:
    """Square root of what the log density lacks to the ceiling, (N,): 0 for the most normal ones."""
    if not len(vectors):
        return np.zeros(0)
    found: Floats = np.sqrt(np.maximum(CEILING - mixture.log_density(vectors.astype(np.float64)), 0.0))
    return found
