"""What the graph would have said of frames, from values of their cells: the linked accumulator, run over a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detector_pool.normality.grid import DECAY, HIGHEST, LARGEST_STEP, SLACK, Canvas
from detector_pool.normality.mixture import Floats
from detector_pool.training.gathering import Cell


def events(
    canvas: Canvas, frames: Sequence[Cell], values: Sequence[Floats], runs: Sequence[int]
) -> tuple[Floats, Floats]:
    """Score and event score of each frame; what is accumulated begins anew with each run."""
    shape = (canvas.rows, canvas.columns)
    grown = np.zeros(shape)
    scores, found = np.zeros(len(frames)), np.zeros(len(frames))
    last_run = None
    for number, (cell, value, run) in enumerate(zip(frames, values, runs, strict=True)):
        if run != last_run:
            grown, last_run = np.zeros(shape), run
        shown = np.zeros(shape[0] * shape[1])
        shown[cell.places] = value
        step = np.minimum(shown.reshape(shape) - SLACK, LARGEST_STEP)
        grown = np.maximum(_highest_near(grown) * DECAY + step, 0.0)
        scores[number], found[number] = _mean_of_highest(shown), _mean_of_highest(grown.ravel())
    return scores, found


def _mean_of_highest(values: Floats) -> float:
    return float(np.partition(values, -HIGHEST)[-HIGHEST:].mean())


def _highest_near(values: Floats) -> NDArray[np.float64]:
    wide = np.pad(values, 1)
    down = np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:])
    return np.maximum(np.maximum(down[:, :-2], down[:, 1:-1]), down[:, 2:])
