"""What every decoder is, and what several of them need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detector_pool.onnx_models.candidates import Candidates, Floats, Wanted


class Mismatch(Exception):
    """Outputs have not the form of this decoder; the text says in what."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a decoder has to know of the graph's input and the labels."""

    width: int
    height: int
    classes: int


class Decoder(Protocol):
    """Reads the outputs of a graph for one picture."""

    @property
    def expects(self) -> str:
        """The form of outputs that it reads, in words."""
        ...

    def check(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Raises Mismatch unless outputs, of a trial on noise, have the form that it reads."""
        ...

    def decode(self, outputs: Sequence[NDArray[Any]], threshold: float, wanted: Wanted) -> Candidates:
        """Boxes of wanted classes that reach the threshold, before suppression."""
        ...


def one_output(outputs: Sequence[NDArray[Any]], sides: int = 3) -> NDArray[Any]:
    """The only output, with so many sides. Raises Mismatch."""
    if len(outputs) != 1:
        raise Mismatch(f"{len(outputs)} outputs instead of one")
    if outputs[0].ndim != sides or outputs[0].shape[0] != 1:
        raise Mismatch(f"{outputs[0].ndim} sides instead of {sides}, the first of them 1")
    return outputs[0]


def probabilities(values: NDArray[Any], what: str = "scores") -> None:
    """Raises Mismatch unless all values are finite and within 0 to 1."""
    if values.size and not (np.isfinite(values).all() and values.min() >= -1e-3 and values.max() <= 1.001):
        raise Mismatch(f'{what} are not within 0 to 1 (are they logits? then say scores = "logits" in [output])')


def cells(frame: Frame, strides: Sequence[int]) -> list[tuple[int, int]]:
    """Rows and columns of the grid of each stride."""
    return [(-(-frame.height // stride), -(-frame.width // stride)) for stride in strides]


def grid_of(frame: Frame, strides: Sequence[int], centre: float) -> tuple[Floats, Floats]:
    """(n, 2) x, y of all cells of all strides in cells of their own, and (n, 1) their strides."""
    places, steps = [], []
    for stride, (rows, columns) in zip(strides, cells(frame, strides), strict=True):
        y, x = np.mgrid[0:rows, 0:columns]
        places.append(np.stack([x.ravel(), y.ravel()], axis=1) + centre)
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(steps).astype(np.float32)
