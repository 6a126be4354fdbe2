"""Into which batches waiting pictures go. Pure.

A graph with an open batch side runs in a few sizes only: each size is planned, warmed and proven once. On a GPU a batch
is filled up to the next size, since an empty row costs next to nothing there; on a CPU every row costs alike, so that
pictures are split into sizes that fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CPU_SIZES = (1, 2, 4)
GPU_SIZES = (1, 2, 4, 8, 16, 32)


def next_batch(waiting: int, sizes: Sequence[int], *, fills: bool) -> tuple[int, int]:
    """How many of `waiting` pictures go next, and the size of their batch.

    `sizes`: ascending. With `fills` rows may stay empty. A graph of one fixed size always fills.
    """
    if waiting <= 0:
        return 0, 0
    fitting = [size for size in sizes if size <= waiting]
    if fitting and not (fills and waiting < sizes[-1] and waiting > fitting[-1]):
        return fitting[-1], fitting[-1]
    size = next(size for size in sizes if size >= waiting)
    return waiting, size


def stacked(rows: Sequence[NDArray[np.generic]], size: int) -> NDArray[np.generic]:
    """Rows (1, ...) as one array (size, ...); what stays empty repeats the last one."""
    if len(rows) == size == 1:
        return rows[0]
    return np.concatenate([*rows, *[rows[-1]] * (size - len(rows))])
