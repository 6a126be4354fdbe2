"""Materials: what a surface looks like at a place, in metres. Pure functions, so that perspective is right.

Colours are RGB, 0 to 1, arrays of shape (n, 3), float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Texture = Callable[[Floats, Floats], Floats]
Colour = tuple[float, float, float]

_LATTICE = np.random.default_rng(20261120).random((256, 256), dtype=np.float32)


def noise(a: Floats, b: Floats, period_m: float, shift: int = 0) -> Floats:
    """Smooth random values, 0 to 1, that vary over about `period_m`."""
    a, b = a / period_m + shift * 17.3, b / period_m + shift * 5.7
    i, j = np.floor(a).astype(np.int64), np.floor(b).astype(np.int64)
    s, t = (a - i).astype(np.float32), (b - j).astype(np.float32)
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    i, j, right, below = i & 255, j & 255, i + 1 & 255, j + 1 & 255
    top = _LATTICE[i, j] * (1 - s) + _LATTICE[right, j] * s
    bottom = _LATTICE[i, below] * (1 - s) + _LATTICE[right, below] * s
    mixed: Floats = top * (1 - t) + bottom * t
    return mixed


def rough(a: Floats, b: Floats, period_m: float, shift: int = 0) -> Floats:
    """Noise of four octaves, around 0, about -0.5 to 0.5."""
    total = sum(noise(a, b, period_m / 2**n, shift + n) / 2**n for n in range(4))
    return np.asarray(total, np.float32) / 1.875 - 0.5


def tinted(colour: Colour, value: Floats) -> Floats:
    """The colour, brighter or darker by 1 + value."""
    return np.asarray(colour, np.float32) * (1 + value)[:, None]


def _joint(a: Floats, size_m: float, width_m: float) -> npt.NDArray[np.bool_]:
    return np.asarray(np.mod(a, size_m) < width_m)


def plain(colour: Colour, grain: float = 0.12, period_m: float = 1.0) -> Texture:
    """Plaster, concrete, metal: one colour with stains and grain."""
    return lambda a, b: tinted(colour, grain * (2 * rough(a, b, period_m * 3) + rough(a, b, period_m / 8, 9)))


def asphalt(colour: Colour = (0.33, 0.33, 0.34)) -> Texture:
    """Road surface with patches and wear."""

    def at(a: Floats, b: Floats) -> Floats:
        patch = (noise(a, b, 6.0, 3) > 0.66) * -0.10
        return tinted(colour, 0.22 * rough(a, b, 4.0) + 0.22 * rough(a, b, 0.18, 5) + patch.astype(np.float32))

    return at


def slabs(size_m: float, colour: Colour, joint: float = -0.3, grain: float = 0.2) -> Texture:
    """Paving or tiles, every slab a little different."""

    def at(a: Floats, b: Floats) -> Floats:
        column, row = np.floor(a / size_m).astype(np.int64), np.floor(b / size_m).astype(np.int64)
        own = _LATTICE[column & 255, (row * 7) & 255] - 0.5
        value = 0.16 * own + grain * rough(a, b, 1.5) + 0.5 * grain * rough(a, b, 0.1, 4)
        value[_joint(a, size_m, 0.02 + 0.02 * size_m) | _joint(b, size_m, 0.02 + 0.02 * size_m)] += joint
        return tinted(colour, value)

    return at


def bricks(colour: Colour = (0.45, 0.27, 0.21)) -> Texture:
    """A brick wall."""

    def at(a: Floats, b: Floats) -> Floats:
        row = np.floor(b / 0.16)
        shifted = a + (row % 2) * 0.16
        own = _LATTICE[np.floor(shifted / 0.32).astype(np.int64) & 255, row.astype(np.int64) & 255] - 0.5
        value = 0.35 * own + 0.25 * rough(a, b, 3.0)
        value[_joint(shifted, 0.32, 0.03) | _joint(b, 0.16, 0.03)] += 0.25
        return tinted(colour, value)

    return at


def ribbed(colour: Colour, pitch_m: float = 0.3) -> Texture:
    """Sheet metal: containers, halls, roller doors (turn the axes for horizontal ribs)."""

    def at(a: Floats, b: Floats) -> Floats:
        wave = 0.14 * np.sin(2 * np.pi * a / pitch_m) + 0.16 * rough(a, b, 2.0)
        streak = 0.1 * (noise(a, b * 0.1, 0.5, 2) - 0.5)
        return tinted(colour, wave + streak)

    return at


def grass(colour: Colour = (0.25, 0.33, 0.17)) -> Texture:
    """Lawn."""
    return lambda a, b: tinted(colour, 0.5 * rough(a, b, 2.5) + 0.6 * rough(a, b, 0.25, 6))


def windows(wall: Texture, columns_m: float, rows_m: float, lit_share: float = 0.0) -> Texture:
    """A facade: windows in a wall, some of them lit."""

    def at(a: Floats, b: Floats) -> Floats:
        out = wall(a, b)
        x, y = np.mod(a, columns_m) / columns_m, np.mod(b, rows_m) / rows_m
        frame = (np.abs(x - 0.5) < 0.27) & (np.abs(y - 0.55) < 0.28)
        pane = (np.abs(x - 0.5) < 0.23) & (np.abs(y - 0.55) < 0.24) & (np.abs(x - 0.5) > 0.015)
        own = _LATTICE[np.floor(a / columns_m).astype(np.int64) & 255, np.floor(b / rows_m).astype(np.int64) * 3 & 255]
        out[frame] = (0.62, 0.62, 0.6)
        glass = np.stack([0.16 + 0.25 * own * y, 0.19 + 0.28 * own * y, 0.24 + 0.3 * own * y], 1).astype(np.float32)
        glass[own < lit_share] = (1.6, 1.35, 0.85)
        out[pane] = glass[pane]
        return out

    return at
