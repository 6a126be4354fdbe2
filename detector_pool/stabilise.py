"""How far a picture is shifted against another, and pictures shifted back.

Translation only, found by phase correlation of edges. Turned and zoomed pictures are the affair of `following`; a
camera's pictures one after the other that of `steady.py`. Pure and deterministic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey, cell_means

Spectrum = NDArray[np.complex64]

SEARCH_PX = 16
_BLUR_PX = 0.9
"""Width of the correlation's peak: wide enough for a parabola through its logarithm, narrow enough to stand alone."""
_LEAST = 1e-6
_BY_CHANCE = 15.0
"""A peak lower than this, over the square root of the count of pixels, may be chance: pictures of other scenes had up
to 14."""
_RIVAL_SHARE = 0.1
"""A second peak of this height beside the first is looked into: which one is the camera, and which a passer-by?"""
_APART_PX = 2
_BLOCK_PX = 8


@dataclass(frozen=True, slots=True)
class Shift:
    """How far what is seen has moved, in pixels to the right and down, and how sure that is."""

    dx: float = 0.0
    dy: float = 0.0
    peak: float = 1.0
    """1 for the same picture moved, near 0 for another picture."""


def shift_between(reference: Grey, present: Grey, search: int = SEARCH_PX) -> Shift:
    """How far `present` is moved against `reference`: what was at (x, y) is at (x + dx, y + dy).

    Both are float32 (height, width) of one shape, at least 32 by 32, in any unit. Found within `search` pixels to each
    side, to a fraction of a pixel. Phase correlation (Kuglin and Hines, 1975) of the square root of the gradient's
    magnitude, which strong edges do not dominate, under a Hann window. Raises ValueError: shapes differ or are too
    small.
    """
    if reference.shape != present.shape:
        raise ValueError(f"pictures of {reference.shape} and {present.shape} cannot be compared")
    return _located(edge_spectrum(reference), edge_spectrum(present), search)


def shift_of_spectra(reference: Spectrum, present: Spectrum, search: int = SEARCH_PX) -> Shift:
    """As `shift_between`, of two edge spectra: what is compared with often is transformed once."""
    return _located(reference, present, search)


def edge_spectrum(grey: Grey) -> Spectrum:
    """Spectrum of the picture's windowed edges, which shifts are found from: complex64, half of the plane."""
    soft = _softened(grey)
    rows, columns = _transform_shape(soft.shape)
    top, left = (soft.shape[0] - rows) // 2, (soft.shape[1] - columns) // 2
    cut = soft[top - 1 : top + rows + 1, left - 1 : left + columns + 1]
    across = cut[1:-1, 2:] - cut[1:-1, :-2]
    down = cut[2:, 1:-1] - cut[:-2, 1:-1]
    across *= across
    down *= down
    across += down
    np.sqrt(across, out=across)
    # Most of a picture is flat: its median gradient is noise, which the root would lift above faint edges.
    across -= np.median(across[::3, ::3])
    np.maximum(across, 0.0, out=across)
    np.sqrt(across, out=across)
    across -= across.mean()
    across *= _window(rows, columns)
    return np.fft.rfft2(across).astype(np.complex64, copy=False)


def moved(grey: Grey, dx: float, dy: float) -> Grey:
    """The picture seen from (dx, dy): what is at (x + dx, y + dy) comes to (x, y). Cubic; edges are repeated."""
    return _moved_along(_moved_along(grey, dy, 0), dx, 1)


def _located(reference: Spectrum, present: Spectrum, search: int) -> Shift:
    """The highest point of the phase correlation of two spectra within reach."""
    cross = np.conj(reference)
    cross *= present
    strength = np.abs(cross)
    np.maximum(strength, _LEAST, out=strength)
    rows, columns = _sides(cross)
    low_pass, total = _low_pass(rows, columns)
    np.divide(low_pass, strength, out=strength)
    cross *= strength
    surface = np.fft.irfft2(cross, s=(rows, columns))
    reach = min(search, rows // 2 - 2, columns // 2 - 2) + 1
    near_rows = np.concatenate((surface[-reach:], surface[: reach + 1]))
    near = np.concatenate((near_rows[:, -reach:], near_rows[:, : reach + 1]), axis=1)
    inner = near[1:-1, 1:-1]
    y, x = divmod(int(inner.argmax()), inner.shape[1])
    others = inner.copy()
    others[max(0, y - _APART_PX) : y + _APART_PX + 1, max(0, x - _APART_PX) : x + _APART_PX + 1] = 0.0
    other_y, other_x = divmod(int(others.argmax()), inner.shape[1])
    chance = _BY_CHANCE * total / math.sqrt(rows * columns)
    if others[other_y, other_x] > max(_RIVAL_SHARE * inner[y, x], chance):
        # Something large and rich in edges moves by itself, or everything else does.
        here, there = (x + 1 - reach, y + 1 - reach), (other_x + 1 - reach, other_y + 1 - reach)
        if _vote(reference, present, here, there) < 0:
            y, x = other_y, other_x
    around = np.log(np.maximum(near[y : y + 3, x : x + 3], _LEAST)).astype(np.float64).tolist()
    dx, dy = _summit(*around[1]), _summit(*(row[1] for row in around))
    return Shift(x + 1 - reach + dx, y + 1 - reach + dy, float(inner[y, x]) / total)


def _vote(reference: Spectrum, present: Spectrum, one: tuple[int, int], other: tuple[int, int]) -> float:
    """Which of two shifts more of the picture's area goes along with: greater than 0 if the first.

    Each block has one voice, however strong its edges are.
    """
    sides = _sides(reference)
    before, now = np.fft.irfft2(reference, s=sides), np.fft.irfft2(present, s=sides)
    costs = []
    for dx, dy in (one, other):
        difference = np.abs(np.roll(now, (-dy, -dx), (0, 1)) - before)
        costs.append(cell_means(difference[SEARCH_PX:-SEARCH_PX, SEARCH_PX:-SEARCH_PX], _BLOCK_PX))
    return float(((costs[1] - costs[0]) / (costs[0] + costs[1] + _LEAST)).sum())


def _sides(spectrum: Spectrum) -> tuple[int, int]:
    """Rows and columns of the picture that it is the spectrum of."""
    return spectrum.shape[0], (spectrum.shape[1] - 1) * 2


def _summit(before: float, at: float, behind: float) -> float:
    """Where a parabola through three neighbouring values is highest, from the middle one."""
    bend = before - 2 * at + behind
    return 0.0 if bend >= 0 else min(max(0.5 * (before - behind) / bend, -0.5), 0.5)


def _softened(grey: Grey) -> Grey:
    """Binomial means of 3x3 pixels, smaller by one pixel at each side."""
    rows = grey[:-2] + grey[2:]
    rows += 2 * grey[1:-1]
    soft = rows[:, :-2] + rows[:, 2:]
    soft += 2 * rows[:, 1:-1]
    soft *= np.float32(1 / 16)
    return soft


def _moved_along(grey: Grey, by: float, axis: int) -> Grey:
    whole = int(np.floor(by))
    part = by - whole
    if whole == 0 and part == 0.0:
        return grey
    # Catmull and Rom's cubic: keeps edges sharper than a straight line between neighbours would.
    weights = (
        ((-0.5 * part + 1.0) * part - 0.5) * part,
        (1.5 * part - 2.5) * part * part + 1.0,
        ((-1.5 * part + 2.0) * part + 0.5) * part,
        (0.5 * part - 0.5) * part * part,
    )
    size = grey.shape[axis]
    first = max(0, 1 - whole)
    last = max(0, whole + 2)
    wide = np.pad(grey, [(first, last) if axis == one else (0, 0) for one in (0, 1)], mode="edge")
    start = whole - 1 + first
    out: Grey | None = None
    for number, weight in enumerate(weights):
        window = slice(start + number, start + number + size)
        part_of = wide[window] if axis == 0 else wide[:, window]
        out = part_of * np.float32(weight) if out is None else out + part_of * np.float32(weight)
    assert out is not None
    return out


@lru_cache(maxsize=64)
def _transform_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The largest part of a picture, without its margin of one pixel, whose sides transform fast."""
    if min(shape) < 32:
        raise ValueError(f"a picture of {shape[1]}x{shape[0]} is too small to be compared; it needs 32x32")
    return _smooth(shape[0] - 2), _smooth(shape[1] - 2)


def _smooth(most: int) -> int:
    """The greatest even number up to `most` that has no prime factor above 5."""
    for size in range(most - most % 2, 1, -2):
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
    return 2


@lru_cache(maxsize=16)
def _window(rows: int, columns: int) -> Grey:
    hann: Grey = np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1]).astype(np.float32)
    hann.flags.writeable = False
    return hann


@lru_cache(maxsize=16)
def _low_pass(rows: int, columns: int) -> tuple[Grey, float]:
    """Weights of the frequencies, and the height that their peak would have for equal pictures."""
    squared = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(columns)[None] ** 2
    weights: Grey = np.exp(-2 * np.pi**2 * _BLUR_PX**2 * squared).astype(np.float32)
    weights.flags.writeable = False
    return weights, float(np.fft.irfft2(weights.astype(np.complex64), s=(rows, columns))[0, 0])
