"""Fitting a head: mixtures by row of cells, and what their values are where they were not fitted. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector_pool.normality.grid import Canvas
from detector_pool.normality.heads import Head, HeadModel, Vectors, unlikeliness
from detector_pool.normality.mixture import Floats, Mixture, fit
from detector_pool.training.gathering import Cell
from mesh.errors import InvalidArgument

COMPONENTS = 8
STEPS = 60
REGULARISATION = 1e-3
REACH_ROWS = 3
FEWEST_VECTORS = 3000
MOST_VECTORS = 8000
FEWEST_VALUES = 1000
HIGH = 0.98
LEAST_SPREAD = 0.1
ALLOWED_IN_ROW = 80
MOST_IN_ROW = 40_000
"""Vectors of a row that are kept to draw from."""

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """What values of a row of cells are measured by, (R,) each."""

    median: Floats
    spread: Floats

    def of(self, canvas: Canvas, frames: Sequence[Cell], values: Sequence[Floats]) -> list[Floats]:
        """Values as the graph gives them: 0 at the row's median, 1 at its high percentile."""
        rows = [one.places // canvas.columns for one in frames]
        return [(value - self.median[row]) / self.spread[row] for value, row in zip(values, rows, strict=True)]


def allowed_cells(head: Head, canvas: Canvas, folds: int, rng: np.random.Generator) -> list[Cell]:
    """A made-up frame for each fold, with what is normal everywhere, if there is such a thing for the head."""
    if not head.allowed:
        return []
    low, high = np.array(head.allowed).T
    places = np.repeat(np.arange(canvas.rows) * canvas.columns, ALLOWED_IN_ROW).astype(np.int32)
    return [Cell(places, rng.uniform(low, high, (len(places), len(low))).astype(np.float32)) for _ in range(folds)]


def unseen_values(
    canvas: Canvas, frames: Sequence[Cell], folds: Sequence[int], rng: np.random.Generator, tick: Tick
) -> list[Floats]:
    """How unlikely the cells of each frame are, by mixtures that were fitted to the other folds.

    `tick` is called after each row of each fold. Raises InvalidArgument: too little happens in the footage.
    """
    numbers = sorted(set(folds))
    by_fold = {}
    for number in numbers:
        # Footage that makes but one fold has to be judged by what was fitted to it.
        others = [cell for cell, fold in zip(frames, folds, strict=True) if fold != number or len(numbers) == 1]
        by_fold[number] = _fit_rows(_rows(canvas, others, rng), rng, tick)
    return _values(canvas, frames, folds, by_fold)


def scale_of(canvas: Canvas, frames: Sequence[Cell], values: Sequence[Floats]) -> Scale:
    """What the values of these frames make a row used to."""
    rows = np.concatenate([one.places for one in frames]) // canvas.columns
    pooled = np.concatenate(list(values))
    order = np.argsort(rows, kind="stable")
    by_row = np.split(pooled[order], np.searchsorted(rows[order], np.arange(1, canvas.rows)))
    near = [_around(by_row, row, FEWEST_VALUES) for row in range(canvas.rows)]
    median = np.array([np.median(one) for one in near])
    return Scale(median, np.maximum([np.quantile(one, HIGH) for one in near] - median, LEAST_SPREAD))


def fitted(
    head: Head, canvas: Canvas, frames: Sequence[Cell], scale: Scale, rng: np.random.Generator, tick: Tick
) -> HeadModel:
    """The head's model, of all these frames. Raises InvalidArgument as `unseen_values`."""
    rows = _rows(canvas, frames, rng)
    mixtures = _fit_rows(rows, rng, tick)
    quantiles = np.stack(
        [np.quantile(_around(rows, row, FEWEST_VALUES), (0.1, 0.5, 0.9), axis=0) for row in range(canvas.rows)]
    )
    return HeadModel(
        head,
        np.stack([one.shares for one in mixtures]),
        np.stack([one.means for one in mixtures]),
        np.stack([one.whitening for one in mixtures]),
        scale.median,
        scale.spread,
        quantiles[:, 1],
        # A normal deviate's tenth and ninetieth percentiles are 2.56 standard deviations apart.
        np.maximum((quantiles[:, 2] - quantiles[:, 0]) / 2.56, 1e-3),
    )


def _rows(canvas: Canvas, frames: Sequence[Cell], rng: np.random.Generator) -> list[Vectors]:
    """Vectors by row of cells, of the most frequented ones a draw."""
    places = np.concatenate([one.places for one in frames] or [np.zeros(0, np.int32)]) // canvas.columns
    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.arange(canvas.rows + 1))
    if not len(places):
        raise InvalidArgument("training", "nothing moves in the footage", "Give footage in which there is traffic.")
    vectors = np.concatenate([one.vectors for one in frames])
    rows = []
    for row in range(canvas.rows):
        chosen = order[ends[row] : ends[row + 1]]
        if len(chosen) > MOST_IN_ROW:
            chosen = np.sort(rng.choice(chosen, MOST_IN_ROW, replace=False))
        rows.append(vectors[chosen])
    return rows


def _fit_rows(rows: list[Vectors], rng: np.random.Generator, tick: Tick) -> list[Mixture]:
    found = []
    for number in range(len(rows)):
        vectors = _around(rows, number, FEWEST_VECTORS)
        if len(vectors) < 20 * COMPONENTS:
            raise InvalidArgument(
                "training", f"only {len(vectors)} cells of the footage show motion",
                "Give longer footage, with ordinary traffic in it.",
            )  # fmt: skip
        if len(vectors) > MOST_VECTORS:
            vectors = vectors[rng.choice(len(vectors), MOST_VECTORS, replace=False)]
        found.append(fit(vectors.astype(np.float64), COMPONENTS, STEPS, REGULARISATION, rng))
        tick()
    return found


def _values(
    canvas: Canvas, frames: Sequence[Cell], folds: Sequence[int], by_fold: dict[int, list[Mixture]]
) -> list[Floats]:
    """Unlikeliness of every frame's cells by the mixtures of its fold."""
    values: list[Floats] = [np.zeros(len(one.places)) for one in frames]
    starts = np.concatenate([[0], np.cumsum([len(one.places) for one in frames])])
    flat = np.zeros(int(starts[-1]))
    places = np.concatenate([one.places for one in frames]) // canvas.columns
    vectors = np.concatenate([one.vectors for one in frames])
    fold_of = np.repeat(np.asarray(folds), np.diff(starts))
    for number, mixtures in by_fold.items():
        for row, mixture in enumerate(mixtures):
            chosen = np.flatnonzero((fold_of == number) & (places == row))
            flat[chosen] = unlikeliness(mixture, vectors[chosen])
    for index in range(len(frames)):
        values[index] = flat[starts[index] : starts[index + 1]]
    return values


def _around(rows: Sequence[NDArray[np.floating]], number: int, fewest: int) -> NDArray[np.floating]:
    """What lies in a row and its neighbours, of which there are more where there is little."""
    reach = REACH_ROWS
    while True:
        near = rows[max(0, number - reach) : number + reach + 1]
        if sum(len(one) for one in near) >= fewest or reach >= len(rows):
            return np.concatenate(near)
        reach += 1
