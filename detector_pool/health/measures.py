"""Measures of one picture: brightness, clipping, contrast, noise and sharpness. Pure: nothing is remembered here.

Noise and sharpness are measured on a grid of tiles in the picture's own pixels, since averaging hides both; the rest on
the canvas. Sharpness is the slope of fine detail over coarse edges: a change of light multiplies both alike, and noise,
which is everywhere, goes into the intercept. So night noise does not hide blur.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey
from detector_pool.health.structure import block_means
from detector_pool.picture import Luma

TILE_ROWS, TILE_COLUMNS, TILE = 6, 8, 40
BLACK, RANGE = 16.0, 219.0
"""Of limited-range luma; full range is brought to it."""
_SMALLEST = 24
"""Pictures with a shorter side have no measures."""
_FLOOR = 1e-4
_FINE_NOISE = 0.0837
"""Energy that white noise of variance 1 has in the fine detail."""
_TRIMMED = 0.2
"""Share of the tiles' say that is left out at either end when their sharpness is put together."""
_PIXELS_PER_SAMPLE = 3
"""Neighbouring pixels of softened pictures are no independent samples."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What one picture is like. All are positive, so that their logarithms can be compared."""

    brightness: float
    """Mean luma above black, in levels of limited range; at least 0.5."""
    contrast: float
    """Standard deviation of the means of 8x8 cells of the canvas, in levels; at least 0.25."""
    clipped: float
    """Share of the canvas that is black or white beyond what can be told apart."""
    noise: float
    """Standard deviation of the sensor's noise in grey levels (Immerkaer 1996), at least 0.05."""
    sharpness: float
    """Energy of fine detail over that of coarse edges at the same places, as much as noise lets it be: the estimate and
    three of its standard errors; at least 0.0001."""


def measure(luma: Luma, canvas: Grey, full_range: bool = False) -> Measures:
    """Measures of a picture and its canvas (`to_canvas`). Raises ValueError: smaller than 24 pixels on a side."""
    if min(luma.shape) < _SMALLEST:
        raise ValueError(f"picture of {luma.shape[1]}x{luma.shape[0]} is too small to be measured")
    cells = block_means(canvas, 8) if min(canvas.shape) >= 8 else canvas
    scale, black = (RANGE / 255.0, 0.0) if full_range else (1.0, BLACK)
    tiles = _tiles(luma)
    noise = _noise(tiles, full_range)
    slope, error = _sharpness(tiles, noise)
    return Measures(
        brightness=max(0.5, (float(canvas.mean()) - black) * scale),
        contrast=max(0.25, float(cells.std()) * scale),
        clipped=_clipped(canvas, full_range),
        noise=max(0.05, noise * scale),
        sharpness=max(_FLOOR, slope + 3.0 * error),
    )


def _clipped(canvas: Grey, full_range: bool) -> float:
    low, high = (4.0, 251.0) if full_range else (18.5, 232.5)
    return float(((canvas < low) | (canvas > high)).mean())


def _tiles(luma: Luma) -> NDArray[np.float32]:
    """Tiles of a grid over the picture in its own pixels, (tiles, size, size)."""
    height, width = luma.shape
    # Of a small picture tiles overlap: the filters need some room.
    size = min(TILE, max(_SMALLEST, min(height // TILE_ROWS, width // TILE_COLUMNS)))
    rows = np.linspace(0, height - size, TILE_ROWS).astype(int)
    columns = np.linspace(0, width - size, TILE_COLUMNS).astype(int)
    tiles = np.empty((TILE_ROWS * TILE_COLUMNS, size, size), np.float32)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            tiles[i * TILE_COLUMNS + j] = luma[row : row + size, column : column + size]
    return tiles


def _noise(tiles: NDArray[np.float32], full_range: bool) -> float:
    """Standard deviation of noise.

    Method: J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64 (1996), 300-302;
    here the lower quartile of the tiles that are not clipped, so that texture does not count as noise.
    """
    across = tiles[:, :, 2:] + tiles[:, :, :-2] - 2.0 * tiles[:, :, 1:-1]
    mask = across[:, 2:] + across[:, :-2] - 2.0 * across[:, 1:-1]
    each = np.abs(mask).mean(axis=(1, 2)) * (math.sqrt(math.pi / 2.0) / 6.0)
    means = tiles.mean(axis=(1, 2))
    low, high = (8.0, 247.0) if full_range else (22.0, 229.0)
    usable = each[(means > low) & (means < high)]
    return float(np.percentile(usable if usable.size >= 4 else each, 25))


def _sharpness(tiles: NDArray[np.float32], noise: float) -> tuple[float, float]:
    """Slope of fine energy over coarse energy, and its standard error for such noise: a trimmed mean of the tiles'.

    Not all pixels together: a clock that the camera burns in stays sharp when the lens does not, and its edges are
    stronger than any other. A tile has as much say as it has edges, up to those of the upper quartile, and the lowest
    and highest fifths of all say are left out.
    """
    soft = _binomial(_binomial(tiles))
    fine = 4.0 * soft[:, 1:-1, 1:-1]
    fine -= soft[:, :-2, 1:-1]
    fine -= soft[:, 2:, 1:-1]
    fine -= soft[:, 1:-1, :-2]
    fine -= soft[:, 1:-1, 2:]
    np.square(fine, out=fine)
    coarse = _box(_box(tiles, 3), 3)
    down = coarse[:, 4:, 2:-2] - coarse[:, :-4, 2:-2]
    across = coarse[:, 2:-2, 4:] - coarse[:, 2:-2, :-4]
    edges = np.square(down, out=down)
    edges += np.square(across, out=across)
    # `edges` has lost 4 pixels on each side, `fine` 3.
    fine = fine[:, 1:-1, 1:-1]
    edges -= edges.mean(axis=(1, 2), keepdims=True)
    spreads = np.maximum(np.square(edges).mean(axis=(1, 2)), _FLOOR)
    slopes = (fine * edges).mean(axis=(1, 2)) / spreads
    weights = np.minimum(spreads, np.percentile(spreads, 75))
    weights /= weights.sum()
    order = np.argsort(slopes)
    upto = np.cumsum(weights[order])
    # What of each tile's say lies between the two fifths.
    kept = np.minimum(upto, 1.0 - _TRIMMED) - np.maximum(upto - weights[order], _TRIMMED)
    kept = np.maximum(kept, 0.0) / (1.0 - 2.0 * _TRIMMED)
    slope = float((slopes[order] * kept).sum())
    # The variance of squares of detail with noise of energy e upon it: 2 e^2 + 4 e times the detail's energy.
    energy = _FINE_NOISE * noise * noise
    scatter = 2.0 * energy * energy + 4.0 * energy * np.maximum(fine.mean(axis=(1, 2)) - energy, 0.0)
    errors = scatter / (spreads * (edges[0].size / _PIXELS_PER_SAMPLE))
    # A mean that is trimmed so errs about a tenth more than one that is not.
    error = 1.1 * math.sqrt(float((np.square(weights) * errors).sum()))
    return slope, error


def _binomial(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each pixel averaged with its neighbours by [1, 2, 1] both ways; one pixel is lost on each side."""
    down = tiles[:, :-2] + tiles[:, 2:]
    down += 2.0 * tiles[:, 1:-1]
    across = down[:, :, :-2] + down[:, :, 2:]
    across += 2.0 * down[:, :, 1:-1]
    across *= 1.0 / 16.0
    return across


def _box(tiles: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Means of size x size pixels."""
    down = tiles[:, : tiles.shape[1] - size + 1].copy()
    for offset in range(1, size):
        down += tiles[:, offset : tiles.shape[1] - size + 1 + offset]
    across = down[:, :, : tiles.shape[2] - size + 1].copy()
    for offset in range(1, size):
        across += down[:, :, offset : tiles.shape[2] - size + 1 + offset]
    across *= 1.0 / (size * size)
    return across
