"""YOLOv5 to YOLO11 and YOLO-pose, as the usual exporters write them: boxes in pixels of the input, decoded inside.

Also YOLOv6 (as v5 with anchors = 1), YOLOv7 (as v5), YOLOv9 and YOLO11 (as v8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.onnx_models.candidates import Candidates, Wanted, best_classes, from_centres, sigmoid
from detector_pool.onnx_models.decoders.decoder import Frame, Mismatch, cells, one_output, probabilities
from detector_pool.onnx_models.fields import Fields

_STRIDES = (8, 16, 32)
_P6_STRIDES = (8, 16, 32, 64)


def _counts(frame: Frame, anchors: int) -> list[int]:
    """How many rows such a model may have: with three strides, and with four."""
    sizes = [cells(frame, strides) for strides in (_STRIDES, _P6_STRIDES)]
    return [anchors * sum(rows * columns for rows, columns in size) for size in sizes]


class YoloV5:
    """1 x rows x (4 + 1 + classes): centre and size in pixels, objectness, class scores; `anchors` rows a cell."""

    def __init__(self, fields: Fields, frame: Frame) -> None:
        self._frame = frame
        self._has_logits = fields.text("scores", "probabilities", ("probabilities", "logits")) == "logits"
        self._anchors = fields.whole("anchors", 3, 1, 9)
        self._counts = _counts(frame, self._anchors)

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        return (
            f"one output 1x{self._counts[0]}x{5 + self._frame.classes} ({self._frame.width}x{self._frame.height}, "
            f"{self._anchors} anchors; box in pixels, objectness and {self._frame.classes} classes)"
        )

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch."""
        output = one_output(outputs)
        if output.shape[1] not in self._counts:
            raise Mismatch(f"{output.shape[1]} rows instead of {' or '.join(map(str, self._counts))}")
        if output.shape[2] != 5 + self._frame.classes:
            raise Mismatch(
                f"{output.shape[2]} columns are 5 + {output.shape[2] - 5} classes, not {self._frame.classes}"
            )
        if not self._has_logits:
            probabilities(output[..., 4:])
        if output[..., 2:4].min() < -1e-3:
            raise Mismatch("sizes of boxes are negative, so they are not in pixels (are they raw, as YOLOX's?)")

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Boxes that reach the threshold."""
        output = np.asarray(outputs[0][0], np.float32)
        scores = sigmoid(output[:, 4:]) if self._has_logits else output[:, 4:]
        near = np.flatnonzero(scores[:, 0] >= threshold)
        rows, best, kinds = best_classes(scores[near, 1:] * scores[near, :1], threshold, wanted)
        return Candidates(from_centres(output[near[rows], :4]), best, kinds)


class YoloV8:
    """1 x (4 + classes) x cells: centre and size in pixels, class scores. Of v8, v9 and v11 with their usual export."""

    _beside = 0

    def __init__(self, fields: Fields, frame: Frame) -> None:
        self._frame = frame
        self._has_logits = fields.text("scores", "probabilities", ("probabilities", "logits")) == "logits"
        self._counts = _counts(frame, 1)

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        return (
            f"one output 1x{4 + self._frame.classes}x{self._counts[0]} ({self._frame.width}x{self._frame.height}; "
            f"box in pixels and {self._frame.classes} classes)"
        )

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch."""
        output = one_output(outputs)
        if output.shape[2] not in self._counts:
            raise Mismatch(f"{output.shape[2]} cells instead of {' or '.join(map(str, self._counts))}")
        if output.shape[1] != 4 + self._frame.classes:
            raise Mismatch(f"{output.shape[1]} rows are 4 + {output.shape[1] - 4} classes, not {self._frame.classes}")
        if not self._has_logits:
            probabilities(output[:, 4:])

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Boxes that reach the threshold."""
        output = np.asarray(outputs[0][0], np.float32)
        # Over the rows as they lie: a turned copy of it all would cost more than the search.
        near = np.flatnonzero(output[4:].max(axis=0) >= _least(threshold, self._has_logits))
        scores = output[4:, near].T
        rows, best, kinds = best_classes(sigmoid(scores) if self._has_logits else scores, threshold, wanted)
        return Candidates(from_centres(output[:4, near[rows]].T), best, kinds)


class YoloV10:
    """1 x boxes x 6: corners in pixels, score, class. Of v10, and of others exported with suppression inside."""

    def __init__(self, fields: Fields, frame: Frame) -> None:
        self._frame = frame

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        return "one output 1x300x6 or so (corners in pixels, score, class)"

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch."""
        output = one_output(outputs)
        if output.shape[2] != 6 or not 1 <= output.shape[1] <= 1000:
            raise Mismatch(f"{output.shape[1]} rows of {output.shape[2]} columns")
        probabilities(output[..., 4])
        kinds = output[..., 5]
        if kinds.min() < -1 or kinds.max() >= self._frame.classes or (kinds != np.rint(kinds)).any():
            raise Mismatch(f"the last column is no class of {self._frame.classes}")

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Boxes that reach the threshold."""
        output = np.asarray(outputs[0][0], np.float32)
        kinds = output[:, 5].astype(np.int64)
        near = (output[:, 4] >= threshold) & (kinds >= 0) & (kinds < self._frame.classes)
        if wanted is not None:
            near[near] = wanted[kinds[near]]
        return Candidates(output[near, :4], output[near, 4], kinds[near])


class YoloPose:
    """1 x (4 + 1 + 3 x points) x cells: centre and size in pixels, the person's score, x, y and score of each point."""

    def __init__(self, fields: Fields, frame: Frame) -> None:
        self._frame = frame
        self._points = fields.whole("points", 17, 1, 64)
        self._counts = _counts(frame, 1)

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        return (
            f"one output 1x{5 + 3 * self._points}x{self._counts[0]} ({self._frame.width}x{self._frame.height}; "
            f"box in pixels, score, {self._points} points)"
        )

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch."""
        output = one_output(outputs)
        if output.shape[1] != 5 + 3 * self._points or output.shape[2] not in self._counts:
            raise Mismatch(f"{output.shape[1]} rows of {output.shape[2]} columns")
        probabilities(output[:, 4])

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Persons that reach the threshold."""
        output = np.asarray(outputs[0][0], np.float32)
        near = output[:, output[4] >= threshold].T
        points = near[:, 5:].reshape(len(near), self._points, 3)
        return Candidates(from_centres(near[:, :4]), near[:, 4], np.zeros(len(near), np.int64), points)


def _least(threshold: float, has_logits: bool) -> np.float32:
    return np.float32(np.log(threshold / (1 - threshold)) if has_logits else threshold)
