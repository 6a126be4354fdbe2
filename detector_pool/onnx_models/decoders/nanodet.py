"""NanoDet and NanoDet-Plus (RangiLyu): distances to the four sides as distributions over bins.

The distributions are those of Li et al., "Generalized Focal Loss" (arXiv 2006.04388): a side lies at the expectation of
the softmax over the bins, times the stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.onnx_models.candidates import Candidates, Floats, Wanted, best_classes, sigmoid
from detector_pool.onnx_models.decoders.decoder import Frame, Mismatch, cells, grid_of, one_output, probabilities
from detector_pool.onnx_models.fields import Fields


class NanoDet:
    """Two outputs for each stride, in any order: 1 x cells x classes, 1 x cells x (4 x bins); or one 1 x cells x both.

    `centre`: where in its cell a box is measured from, 0.5 (NanoDet) or 0 (NanoDet-Plus).
    """

    def __init__(self, fields: Fields, frame: Frame) -> None:
        self._frame = frame
        self._has_logits = fields.text("scores", "probabilities", ("probabilities", "logits")) == "logits"
        self._strides = tuple(int(one) for one in fields.numbers("strides", (8, 16, 32), (3, 4)))
        self._bins = fields.whole("bins", 0, 0, 64)
        if min(self._strides) < 1:
            raise fields.refused("strides", "has a number below 1", "Usual are [8, 16, 32].")
        self._grid, self._steps = grid_of(frame, self._strides, fields.number("centre", 0.5, 0.0, 1.0))
        self._cells = [rows * columns for rows, columns in cells(frame, self._strides)]

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        pairs = ", ".join(f"1x{count}x{self._frame.classes} and 1x{count}x(4 x bins)" for count in self._cells)
        return f"{pairs}, or one output 1x{len(self._grid)}x({self._frame.classes} + 4 x bins)"

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch."""
        scores, sides = self._parted(outputs)
        if not self._has_logits:
            probabilities(scores)
        if sides.shape[1] % 4 or sides.shape[1] < 8 or (self._bins and sides.shape[1] != 4 * self._bins):
            raise Mismatch(f"{sides.shape[1]} columns for sides are not 4 x {self._bins or 'bins'}")

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Boxes that reach the threshold."""
        scores, sides = self._parted(outputs)
        rows, best, kinds = best_classes(sigmoid(scores) if self._has_logits else scores, threshold, wanted)
        raw = sides[rows].reshape(len(rows), 4, sides.shape[1] // 4)
        weights = np.exp(raw - raw.max(axis=2, keepdims=True))
        bins = np.arange(raw.shape[2], dtype=np.float32)
        apart = (weights * bins).sum(axis=2) / weights.sum(axis=2) * self._steps[rows]
        centre = self._grid[rows] * self._steps[rows]
        return Candidates(np.concatenate([centre - apart[:, :2], centre + apart[:, 2:]], axis=1), best, kinds)

    def _parted(self, outputs: Sequence[NDArray[Any]]) -> tuple[Floats, Floats]:
        """(cells, classes) and (cells, 4 x bins) over all strides. Raises Mismatch."""
        classes = self._frame.classes
        if len(outputs) == 1:
            both = np.asarray(one_output(outputs)[0], np.float32)
            if len(both) != len(self._grid) or both.shape[1] <= classes:
                raise Mismatch(f"{both.shape[0]} rows and {both.shape[1]} columns")
            return both[:, :classes], both[:, classes:]
        if len(outputs) != 2 * len(self._strides):
            raise Mismatch(f"{len(outputs)} outputs instead of {2 * len(self._strides)} or one")
        scores, sides = [], []
        for count in self._cells:
            of_stride = [one for one in outputs if one.ndim == 3 and one.shape[1] == count]
            width = [one.shape[2] for one in of_stride]
            if len(of_stride) != 2 or classes not in width:
                raise Mismatch(f"no pair of outputs with {count} cells and {classes} classes")
            # Where both are as wide, scores come first.
            first = width.index(classes)
            scores.append(np.asarray(of_stride[first][0], np.float32))
            sides.append(np.asarray(of_stride[1 - first][0], np.float32))
        if len({one.shape[1] for one in sides}) != 1:
            raise Mismatch("sides have different numbers of bins")
        return np.concatenate(scores), np.concatenate(sides)
