"""A model that finds things in single pictures: pictures in, boxes out. What `objects` and `pose` have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.detector import FoundBox, KeyPoint, LoadedModel
from detector_pool.onnx_models.candidates import Candidates, suppressed
from detector_pool.onnx_models.decoders import Frame, Maker, checked_decoder
from detector_pool.onnx_models.fields import Fields
from detector_pool.onnx_models.graph import Graph, TensorKind
from detector_pool.onnx_models.labels import labels_of
from detector_pool.onnx_models.prepare import Placement, preparation
from detector_pool.onnx_models.shared import loaded, shared_runs
from detector_pool.picture import Picture, shared
from mesh.errors import InvalidArgument


class PictureModel:
    """A model with its graph, labels, preparation and decoder, all checked against each other."""

    def __init__(self, model: LoadedModel, makers: Mapping[str, Maker], labels: Sequence[str] | None = None) -> None:
        """`labels`: None takes those of `detector.toml`. Raises InvalidArgument, Unavailable."""
        fields = Fields.of(model)
        file = fields.text("file", "model.onnx")
        decoder = fields.text("decoder", None, tuple(makers))
        self.labels = tuple(labels) if labels is not None else labels_of(model, fields)
        self.usual_classes = fields.texts("classes", ())
        taken, put_out = fields.table("input"), fields.table("output")
        fields.done()
        graph = loaded(model, file)
        picture, constants = _inputs(graph)
        self._preparation = preparation(taken, graph, decoder, input_kind=picture)
        taken.done()
        frame = Frame(self._preparation.width, self._preparation.height, len(self.labels))
        sizes = {one.name: np.array([[frame.width, frame.height]], one.dtype) for one in constants}
        row = self._preparation.noise()
        self.runs = shared_runs(model, file, row, input_name=picture.name, constants=sizes)
        self._decoder = checked_decoder(decoder, makers, put_out, frame, self.runs.example, graph.what)
        self._said = f"outputs of {model.digest} {file} {graph.provider} {self._preparation}"

    def read(
        self, picture: Picture, threshold: float, wanted: NDArray[np.bool_] | None, overlap: float
    ) -> list[FoundBox]:
        """Things of wanted classes that reach the threshold, best first, in fractions of the picture.

        A graph runs once a picture, however many detectors ask. Raises DataLoss, and what `SharedRuns.run` raises.
        """
        row, place = self._preparation.of(picture)
        picture.confirm()
        outputs = shared(picture, self._said, lambda _: self.runs.run(row))
        found = suppressed(self._decoder.decode(outputs, threshold, wanted), overlap)
        return _boxes(found, place, self.labels)


def _inputs(graph: Graph) -> tuple[TensorKind, list[TensorKind]]:
    """The picture's input, and others that take its size (of RT-DETR's exporter)."""
    pictures = [one for one in graph.inputs if len(one.shape) == 4]
    sizes = [one for one in graph.inputs if len(one.shape) == 2 and one.shape[1] == 2]
    if len(pictures) != 1 or len(pictures) + len(sizes) != len(graph.inputs):
        takes = ", ".join(map(str, graph.inputs))
        remedy = "A model takes one picture with four sides, and at most its size beside that."
        raise InvalidArgument(graph.what, f"takes {takes}", remedy)
    return pictures[0], sizes


def _boxes(found: Candidates, place: Placement, labels: Sequence[str]) -> list[FoundBox]:
    corners = place.fractions(found.corners.reshape(-1, 2)).reshape(-1, 4)
    # What is out of the picture cannot be seen; and a graph may put out anything.
    corners = _bounded(corners, 0.0, 1.0)
    points = (
        None if found.points is None else _bounded(place.fractions(found.points[:, :, :2].reshape(-1, 2)), -1.0, 2.0)
    )
    boxes = []
    for index, (left, top, right, bottom) in enumerate(corners.tolist()):
        if right <= left or bottom <= top:
            continue
        key_points: tuple[KeyPoint, ...] = ()
        if points is not None and found.points is not None:
            count = found.points.shape[1]
            scores = _bounded(found.points[index, :, 2], 0.0, 1.0).tolist()
            xy = points[index * count : (index + 1) * count].tolist()
            key_points = tuple(KeyPoint(x, y, score) for (x, y), score in zip(xy, scores, strict=True))
        label, score = labels[int(found.classes[index])], min(float(found.scores[index]), 1.0)
        boxes.append(FoundBox(left, top, right - left, bottom - top, label, score, key_points=key_points))
    return boxes


def _bounded(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    bounded: NDArray[Any] = np.clip(np.nan_to_num(values), low, high)
    return bounded
