"""MoveNet (Google): several persons in one picture, or one; key points of COCO, as y, x, score in fractions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.onnx_models.candidates import Candidates, Wanted
from detector_pool.onnx_models.decoders.decoder import Frame, Mismatch, one_output, probabilities
from detector_pool.onnx_models.fields import Fields

_POINTS = 17


class MoveNet:
    """1 x persons x 56: 17 x (y, x, score), box as top, left, bottom, right, score; or 1 x 1 x 17 x 3: one person.

    For one person the box is that of the points, and the score their mean.
    """

    def __init__(self, fields: Fields, frame: Frame) -> None:
        self._frame = frame
        self._point_score = fields.number("point_score", 0.2, 0.0, 1.0)

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        return "one output 1x6x56 (17 points, box and score of each person) or 1x1x17x3 (17 points of one person)"

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch."""
        output = outputs[0]
        if output.ndim == 4:
            if one_output(outputs, 4).shape != (1, 1, _POINTS, 3):
                raise Mismatch("not 17 points of 3 numbers")
            probabilities(output[..., 2])
            return
        if one_output(outputs).shape[2] != 3 * _POINTS + 5:
            raise Mismatch(f"{output.shape[2]} columns instead of {3 * _POINTS + 5}")
        probabilities(output[..., -1])

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Persons that reach the threshold."""
        output = np.asarray(outputs[0][0], np.float32)
        size = np.array([self._frame.width, self._frame.height], np.float32)
        points = output.reshape(len(output), -1)[:, : 3 * _POINTS].reshape(-1, _POINTS, 3)
        points = np.concatenate([points[:, :, 1::-1] * size, points[:, :, 2:]], axis=2)
        if output.ndim == 3:
            scores = points[:, :, 2].mean(axis=1)
            seen = points[:, points[0, :, 2] >= self._point_score, :2]
            if seen.shape[1] < 2:
                scores = scores * 0
                seen = points[:, :, :2]
            corners = np.concatenate([seen.min(axis=1), seen.max(axis=1)], axis=1)
        else:
            scores = output[:, -1]
            corners = output[:, [-4, -5, -2, -3]] * np.concatenate([size, size])
        near = scores >= threshold
        kinds = np.zeros(int(near.sum()), np.int64)
        return Candidates(corners[near].astype(np.float32), scores[near], kinds, points[near])
