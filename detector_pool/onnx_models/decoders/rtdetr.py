"""RT-DETR (Zhao et al., "DETRs Beat YOLOs on Real-time Object Detection", arXiv 2304.08069), in its three exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.onnx_models.candidates import Candidates, Wanted, best_classes, from_centres, sigmoid
from detector_pool.onnx_models.decoders.decoder import Frame, Mismatch, one_output, probabilities
from detector_pool.onnx_models.fields import Fields

_MAX_QUERIES = 1000


class RtDetr:
    """By what the graph puts out:

    * one output 1 x queries x (4 + classes): centre and size in fractions, scores;
    * two, logits 1 x queries x classes and boxes 1 x queries x 4, in either order;
    * three, labels 1 x queries (whole numbers), boxes 1 x queries x 4 (corners), scores 1 x queries: of the authors'
      exporter, whose second input, the size of the picture, is given that of the graph's input.
    """

    def __init__(self, fields: Fields, frame: Frame) -> None:
        self._frame = frame
        self._scores = fields.text("scores", "usual", ("usual", "probabilities", "logits"))

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        count = self._frame.classes
        return f"1x300x{4 + count}; or 1x300x{count} and 1x300x4; or labels 1x300, boxes 1x300x4 and scores 1x300"

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch."""
        count = self._frame.classes
        if len(outputs) == 1:
            output = one_output(outputs)
            if output.shape[2] != 4 + count or output.shape[1] > _MAX_QUERIES:
                raise Mismatch(f"{output.shape[1]} rows of {output.shape[2]} columns")
            if self._scores != "logits":
                probabilities(output[..., 4:])
            return
        if any(one.ndim < 2 or one.shape[0] != 1 or not 1 <= one.shape[1] <= _MAX_QUERIES for one in outputs):
            raise Mismatch("not one row a query")
        if len(outputs) == 2:
            logits, boxes = self._pair(outputs)
            if self._scores == "probabilities":
                probabilities(logits)
            if boxes.min() < -1.0 or boxes.max() > 2.0:
                raise Mismatch("boxes are not in fractions of the picture")
        elif len(outputs) == 3:
            labels, boxes, scores = self._triple(outputs)
            probabilities(scores)
            if labels.min() < 0 or labels.max() >= count:
                raise Mismatch(f"labels from {labels.min()} to {labels.max()} are not those of {count} classes")
            if boxes.shape[2] != 4:
                raise Mismatch(f"boxes of {boxes.shape[2]} numbers")
        else:
            raise Mismatch(f"{len(outputs)} outputs")

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Boxes that reach the threshold."""
        size = np.array([self._frame.width, self._frame.height] * 2, np.float32)
        if len(outputs) == 3:
            labels, boxes, raw = self._triple(outputs)
            kinds, scores = labels[0].astype(np.int64), np.asarray(raw[0], np.float32)
            near = scores >= threshold
            if wanted is not None:
                near[near] = wanted[kinds[near]]
            return Candidates(np.asarray(boxes[0], np.float32)[near], scores[near], kinds[near])
        if len(outputs) == 2:
            raw, boxes = (one[0] for one in self._pair(outputs))
            has_logits = self._scores != "probabilities"
        else:
            boxes, raw = outputs[0][0, :, :4], outputs[0][0, :, 4:]
            has_logits = self._scores == "logits"
        values = sigmoid(raw) if has_logits else np.asarray(raw, np.float32)
        rows, best, kinds = best_classes(values, threshold, wanted)
        return Candidates(from_centres(np.asarray(boxes, np.float32)[rows]) * size, best, kinds)

    def _pair(self, outputs: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Logits and boxes."""
        for logits, boxes in (tuple(outputs), tuple(reversed(outputs))):
            if logits.ndim == boxes.ndim == 3 and (logits.shape[2], boxes.shape[2]) == (self._frame.classes, 4):
                return logits, boxes
        raise Mismatch(f"not {self._frame.classes} columns of logits and 4 of boxes")

    @staticmethod
    def _triple(outputs: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Labels, boxes, scores."""
        labels = [one for one in outputs if one.ndim == 2 and one.dtype.kind in "iu"]
        boxes = [one for one in outputs if one.ndim == 3]
        scores = [one for one in outputs if one.ndim == 2 and one.dtype.kind == "f"]
        if not (len(labels) == len(boxes) == len(scores) == 1):
            raise Mismatch("not labels as whole numbers, boxes and scores")
        return labels[0], boxes[0], scores[0]
