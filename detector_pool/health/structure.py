"""Whether a picture still shows the scene that it is compared with: block by block, by the direction of its edges.

Correlation of gradients does not mind brightness and contrast. Noise lowers it everywhere, so what noise explains is
taken out of the present picture's energy; a block that could not be told from noise is not asked. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey

BLOCK = 16
"""Sides of a block in pixels of the canvas."""
_LEAST_ENERGY = 0.5
"""Mean squared gradient, in grey levels, below which a block of the scene has no edges."""
_LOW = 0.4
WHITE = 0.47
"""Energy of the gradients, as taken here, of white noise of variance 1."""
_FEW = 0.04
"""A scene in which fewer blocks have edges cannot be recognised."""


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Gradients of a canvas, both (height - 4, width - 4) float32, and their mean square by block."""

    across: Grey
    down: Grey
    energy: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Resemblance:
    """How a picture compares with a scene, by block of 16 x 16 pixels of the canvas."""

    asked: NDArray[np.bool_]
    """Blocks of the scene that have edges which would be seen through the present noise."""
    likeness: NDArray[np.float32]
    """Correlation of gradients, -1 to 1, less what noise explains; 0 where not asked."""
    kept: NDArray[np.float32]
    """Energy of the present edges over the scene's."""

    @property
    def is_known(self) -> bool:
        """Whether enough blocks could be asked."""
        return float(self.asked.mean()) >= _FEW

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Blocks that do not show what the scene shows there."""
        low: NDArray[np.bool_] = self.asked & (self.likeness < _LOW)
        return low

    @property
    def lost_share(self) -> float:
        """Share of the blocks asked that are lost; 0 if too few were asked."""
        return float(self.lost.sum()) / float(self.asked.sum()) if self.is_known else 0.0

    @property
    def middle(self) -> float:
        """Median likeness of the blocks asked; 1 if too few were asked."""
        return float(np.median(self.likeness[self.asked])) if self.is_known else 1.0


def block_means(grey: Grey, size: int = BLOCK) -> Grey:
    """Means of blocks; rests at the right and bottom are cut. Rows first, which is twice as fast as columns first."""
    rows, columns = grey.shape[0] // size, grey.shape[1] // size
    down = grey[: rows * size, : columns * size].reshape(rows, size, columns * size).sum(axis=1)
    means: Grey = down.reshape(rows, columns, size).sum(axis=2)
    means *= np.float32(1.0 / (size * size))
    return means


def edges(canvas: Grey) -> Edges:
    """Gradients of the softened canvas; needs at least 20 x 20 pixels."""
    down = canvas[:-2] + canvas[2:]
    down += canvas[1:-1]
    down += canvas[1:-1]
    soft = down[:, :-2] + down[:, 2:]
    soft += down[:, 1:-1]
    soft += down[:, 1:-1]
    soft *= np.float32(1.0 / 16.0)
    across = soft[1:-1, 2:] - soft[1:-1, :-2]
    upright = soft[2:, 1:-1] - soft[:-2, 1:-1]
    return Edges(across, upright, block_means(across * across + upright * upright))


def noise_energy(one: Edges, other: Edges) -> float:
    """Mean squared gradient that noise alone makes in a picture, from two of them; what moves is in few blocks."""
    across, down = one.across - other.across, one.down - other.down
    blocks = block_means(across * across + down * down)
    return float(np.median(blocks)) / 2.0


def white_noise_energy(canvas: Grey) -> float:
    """As `noise_energy`, of one picture alone: right for white noise, too low for what codecs leave of it.

    Method: Immerkaer 1996 (see `measures`), on the lower quartile of blocks.
    """
    across = canvas[:, 2:] + canvas[:, :-2] - 2.0 * canvas[:, 1:-1]
    mask = np.abs(across[2:] + across[:-2] - 2.0 * across[1:-1])
    deviation = float(np.percentile(block_means(mask), 25)) * math.sqrt(math.pi / 2.0) / 6.0
    return WHITE * deviation * deviation


def compare(scene: Edges, present: Edges, noise: float, gain: float = 1.0) -> Resemblance:
    """Likeness by block.

    `noise` is `noise_energy` of present pictures, `gain` their contrast over that of the scene's picture, as far as
    known: edges of the scene that would drown in the noise at that contrast are not asked for.
    """
    product = block_means(scene.across * present.across + scene.down * present.down)
    expected = scene.energy * np.float32(gain * gain)
    asked = (scene.energy > _LEAST_ENERGY) & (expected > np.float32(max(0.1 * _LEAST_ENERGY, 0.5 * noise)))
    clean = np.maximum(present.energy - np.float32(noise), np.float32(0.05) * expected + np.float32(1e-3))
    likeness = product / np.sqrt(scene.energy * clean + np.float32(1e-6))
    kept = np.maximum(present.energy - np.float32(noise), 0.0) / np.maximum(scene.energy, np.float32(1e-3))
    return Resemblance(asked, np.where(asked, np.clip(likeness, -1.0, 1.0), np.float32(0.0)), kept)
