"""Connected groups of cells. Small grids only: a few thousand cells, of which few are set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Mask

# Flat indices of cells, sorted.
Cells = NDArray[np.intp]


def dilated(mask: Mask) -> Mask:
    """The mask grown by one cell in all eight directions."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    grown: Mask = rows.copy()
    grown[:, 1:] |= rows[:, :-1]
    grown[:, :-1] |= rows[:, 1:]
    return grown


def groups(mask: Mask, reach: int = 2) -> list[Cells]:
    """Flat indices of the set cells, grouped: two cells are together if at most `reach` apart along both axes.

    Groups come in the order of their first cell; each is sorted.
    """
    columns = mask.shape[1]
    flat = np.flatnonzero(mask)
    waiting: set[int] = set(flat.tolist())
    offsets = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1) if (dy, dx) != (0, 0)]
    found: list[Cells] = []
    for seed in flat.tolist():
        if seed not in waiting:
            continue
        waiting.discard(seed)
        members, front = [seed], [seed]
        while front:
            cell = front.pop()
            column = cell % columns
            for dy, dx in offsets:
                if 0 <= column + dx < columns:
                    neighbour = cell + dy * columns + dx
                    if neighbour in waiting:
                        waiting.discard(neighbour)
                        members.append(neighbour)
                        front.append(neighbour)
        found.append(np.array(sorted(members), dtype=np.intp))
    return found
