"""YOLOX (Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430), as its own exporter writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.onnx_models.candidates import Candidates, Wanted, best_classes, from_centres, sigmoid
from detector_pool.onnx_models.decoders.decoder import Frame, Mismatch, grid_of, one_output, probabilities
from detector_pool.onnx_models.fields import Fields


class YoloX:
    """1 x cells x (4 + 1 + classes): raw centre and size in cells, objectness, class scores.

    centre = (xy + grid) * stride, size = exp(wh) * stride. `boxes = "pixels"`: exported with decoding inside.
    """

    def __init__(self, fields: Fields, frame: Frame) -> None:
        self._frame = frame
        self._has_logits = fields.text("scores", "probabilities", ("probabilities", "logits")) == "logits"
        self._is_raw = fields.text("boxes", "cells", ("cells", "pixels")) == "cells"
        self._strides = tuple(int(one) for one in fields.numbers("strides", (8, 16, 32), (3, 4)))
        if min(self._strides) < 1:
            raise fields.refused("strides", "has a number below 1", "Usual are [8, 16, 32].")
        self._grid, self._steps = grid_of(frame, self._strides, 0.0)

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        strides = ", ".join(map(str, self._strides))
        return (
            f"one output 1x{len(self._grid)}x{5 + self._frame.classes} (cells of strides {strides} on "
            f"{self._frame.width}x{self._frame.height}; box, objectness and {self._frame.classes} classes)"
        )

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch."""
        output = one_output(outputs)
        if output.shape[1] != len(self._grid):
            raise Mismatch(f"{output.shape[1]} rows instead of {len(self._grid)} cells")
        if output.shape[2] != 5 + self._frame.classes:
            raise Mismatch(
                f"{output.shape[2]} columns are 5 + {output.shape[2] - 5} classes, not {self._frame.classes}"
            )
        if not self._has_logits:
            probabilities(output[..., 4:])

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Boxes that reach the threshold."""
        output = np.asarray(outputs[0][0], np.float32)
        objectness = output[:, 4]
        least = np.float32(threshold if not self._has_logits else np.log(threshold / (1 - threshold)))
        near = np.flatnonzero(objectness >= least)
        classes, sure = output[near, 5:], objectness[near, None]
        scores = sigmoid(classes) * sigmoid(sure) if self._has_logits else classes * sure
        rows, best, kinds = best_classes(scores, threshold, wanted)
        near = near[rows]
        boxes = output[near, :4]
        if self._is_raw:
            steps = self._steps[near]
            sizes = np.exp(np.minimum(boxes[:, 2:], np.float32(20.0))) * steps
            boxes = np.concatenate([(boxes[:, :2] + self._grid[near]) * steps, sizes], axis=1)
        return Candidates(from_centres(boxes), best, kinds)
