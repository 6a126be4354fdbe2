"""The counter burnt into every picture: the frame's index in its loop, as a block code a program can read.

What belongs here: how the block is laid out, drawn and read. 32 cells (8 columns x 4 rows) in the top left corner carry
20 bits of counter and 12 check bits; cells are large enough for heavy compression, and a picture damaged there is told
(`CounterError`), not misread.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

COLUMNS, ROWS = 8, 4
DATA_BITS, CHECK_BITS = 20, 12
LIMIT = 1 << DATA_BITS
DARK, LIGHT = 30, 220
_POLYNOMIAL = 0x180F  # CRC-12
_MASK = 0xA5C  # so that an all-dark or all-light corner is no valid code


class CounterError(ValueError):
    """No readable counter: the picture has none, or is damaged there."""


def cell_px(width: int, height: int) -> int:
    """Edge of a cell in pixels, for a picture of this size."""
    return max(4, min(width // 80, height // 45) // 4 * 4)


def box(width: int, height: int) -> tuple[float, float, float, float]:
    """Where the code stands, its margin included: left, top, right, bottom as fractions of the picture."""
    cell = cell_px(width, height)
    return 0.0, 0.0, (COLUMNS + 1) * cell / width, (ROWS + 1) * cell / height


def draw(y_plane: npt.NDArray[np.uint8], value: int) -> None:
    """Writes the counter into a luma plane, in place. Raises ValueError for a value outside 0 to LIMIT - 1."""
    if not 0 <= value < LIMIT:
        raise ValueError(f"counter {value} is outside 0 to {LIMIT - 1}")
    height, width = y_plane.shape
    cell = cell_px(width, height)
    code = value << CHECK_BITS | _check(value)
    bits = np.array([code >> i & 1 for i in reversed(range(DATA_BITS + CHECK_BITS))], np.uint8).reshape(ROWS, COLUMNS)
    levels = np.where(bits, LIGHT, DARK).astype(np.uint8)
    half = cell // 2
    y_plane[: (ROWS + 1) * cell, : (COLUMNS + 1) * cell] = (DARK + LIGHT) // 2
    y_plane[half : half + ROWS * cell, half : half + COLUMNS * cell] = levels.repeat(cell, 0).repeat(cell, 1)


def read(y_plane: npt.NDArray[np.uint8]) -> int:
    """The counter in a decoded luma plane (height x width, uint8). Raises CounterError when there is none."""
    height, width = y_plane.shape
    cell = cell_px(width, height)
    half, inset = cell // 2, cell // 4
    block = y_plane[half : half + ROWS * cell, half : half + COLUMNS * cell]
    if block.shape != (ROWS * cell, COLUMNS * cell):
        raise CounterError(f"a picture of {width}x{height} is too small for a counter")
    cells = block.reshape(ROWS, cell, COLUMNS, cell)[:, inset : cell - inset, :, inset : cell - inset]
    levels = cells.mean(axis=(1, 3))
    if levels.max() - levels.min() < 64:
        raise CounterError("no counter in this picture")
    code = 0
    for bit in (levels > (levels.max() + levels.min()) / 2).ravel():
        code = code << 1 | int(bit)
    value = code >> CHECK_BITS
    if _check(value) != code & (1 << CHECK_BITS) - 1:
        raise CounterError("the counter's check bits do not match: the picture is damaged there")
    return value


def _check(value: int) -> int:
    remainder = value << CHECK_BITS
    for shift in reversed(range(DATA_BITS)):
        if remainder >> shift + CHECK_BITS & 1:
            remainder ^= _POLYNOMIAL << shift
    return remainder & (1 << CHECK_BITS) - 1 ^ _MASK
