"""Which boxes belong to which tracks: the cheapest assignment in which a pair may also be left out.

The pairs that are allowed fall into small groups that share no row and no column; each is solved exactly by shortest
augmenting paths with potentials (Kuhn 1955 and Munkres 1957, in the form of Jonker and Volgenant, "A shortest
augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987). Deterministic: of
equal costs the lower row and column win.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float64]


def assigned(costs: Costs, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost, in the order of rows; leaving a row out costs `limit`.

    `costs`: (rows, columns), infinite where a pair is not allowed; pairs of `limit` and more are never chosen.
    """
    pairs: list[tuple[int, int]] = []
    for rows, columns in _groups(costs < limit):
        if len(rows) == 1 or len(columns) == 1:
            part = costs[np.ix_(rows, columns)]
            best = int(part.argmin())
            pairs.append((rows[best // len(columns)], columns[best % len(columns)]))
        else:
            pairs += [(rows[i], columns[j]) for i, j in _solved(costs[np.ix_(rows, columns)].tolist(), limit)]
    return sorted(pairs)


def _groups(allowed: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that hang together by allowed pairs."""
    row_of, column_of = (each.tolist() for each in np.nonzero(allowed))
    by_row: dict[int, list[int]] = {}
    by_column: dict[int, list[int]] = {}
    for row, column in zip(row_of, column_of, strict=True):
        by_row.setdefault(row, []).append(column)
        by_column.setdefault(column, []).append(row)
    groups = []
    left = set(by_row)
    for first in by_row:
        if first not in left:
            continue
        left.discard(first)
        rows, columns, waiting = {first}, set[int](), [first]
        while waiting:
            for column in by_row[waiting.pop()]:
                if column not in columns:
                    columns.add(column)
                    more = left.intersection(by_column[column])
                    left -= more
                    rows |= more
                    waiting += more
        groups.append((sorted(rows), sorted(columns)))
    return groups


def _solved(costs: Sequence[Sequence[float]], limit: float) -> list[tuple[int, int]]:
    """The same for one group, as plain lists: groups are small, and arrays of five numbers are slow."""
    rows, columns = len(costs), len(costs[0])
    # A column of its own for each row stands for leaving it out. What is not allowed costs more than all of that.
    never = 4.0 * limit * (rows + 1)
    width = columns + rows
    matrix = [
        [cost if cost < limit else never for cost in line]
        + [limit if column == row else never for column in range(rows)]
        for row, line in enumerate(costs)
    ]
    row_potential, column_potential = [0.0] * (rows + 1), [0.0] * (width + 1)
    # Counted from 1; 0 is the row that is being placed.
    owner, back = [0] * (width + 1), [0] * (width + 1)
    for row in range(1, rows + 1):
        owner[0], here = row, 0
        least, is_done = [float("inf")] * (width + 1), [False] * (width + 1)
        while owner[here]:
            is_done[here] = True
            at, step, best = owner[here], float("inf"), 0
            for column in range(1, width + 1):
                if is_done[column]:
                    continue
                cost = matrix[at - 1][column - 1] - row_potential[at] - column_potential[column]
                if cost < least[column]:
                    least[column], back[column] = cost, here
                if least[column] < step:
                    step, best = least[column], column
            for column in range(width + 1):
                if is_done[column]:
                    row_potential[owner[column]] += step
                    column_potential[column] -= step
                else:
                    least[column] -= step
            here = best
        while here:
            owner[here] = owner[back[here]]
            here = back[here]
    return [(owner[column] - 1, column - 1) for column in range(1, columns + 1) if owner[column]]
