"""Pictures of the scene that a camera is followed by, each with where it lies. Bounded; as arrays for a checkpoint.

The first is the one that regions were drawn on, and is never changed: whatever is added was aligned with another one,
and its depth says how many alignments lie between it and the first. So errors cannot add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey, averaged
from detector_pool.following.geometry import Matrix
from detector_pool.health.structure import Edges, edges
from detector_pool.picture import Luma
from detector_pool.stabilise import Spectrum, edge_spectrum

MOST_PIXELS = 340_000
"""Of a reference's detailed picture."""
BUDGET_BYTES = 1_150_000
"""Of all references, before they are compressed: packed they stay below 1 MiB."""
MOST_DEPTH = 4

Bytes = NDArray[np.uint8]


@dataclass(slots=True, eq=False)
class Reference:
    """A picture of the scene."""

    detail: Bytes
    """For features: as large as `detail_factor` leaves it."""
    canvas: Bytes
    """For shifts and likeness."""
    matrix: Matrix
    """Takes fractions of the picture that regions were drawn on to where this one shows them."""
    depth: int
    is_grey: bool
    """Of infrared, or of a camera without colour."""
    _spectrum: Spectrum | None = field(default=None, repr=False)
    _edges: Edges | None = field(default=None, repr=False)

    @property
    def spectrum(self) -> Spectrum:
        """Of its canvas' edges."""
        if self._spectrum is None:
            self._spectrum = edge_spectrum(self.canvas.astype(np.float32))
        return self._spectrum

    @property
    def edges(self) -> Edges:
        """Of its canvas."""
        if self._edges is None:
            self._edges = edges(self.canvas.astype(np.float32))
        return self._edges

    @property
    def brightness(self) -> float:
        """Mean grey level."""
        return float(self.canvas.mean())

    def parts(self, prefix: str) -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
        """As numbers and arrays whose names begin with `prefix`."""
        numbers = {f"{prefix}.depth": self.depth, f"{prefix}.is_grey": int(self.is_grey)}
        return numbers, {
            f"{prefix}.detail": self.detail, f"{prefix}.canvas": self.canvas, f"{prefix}.matrix": self.matrix
        }  # fmt: skip

    @classmethod
    def from_parts(cls, prefix: str, numbers: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Reference:
        """The inverse. Raises KeyError or ValueError."""
        detail, canvas, matrix = (arrays[f"{prefix}.{name}"] for name in ("detail", "canvas", "matrix"))
        if detail.ndim != 2 or canvas.ndim != 2 or matrix.shape != (3, 3):
            raise ValueError("has a reference of another form")
        return cls(detail, canvas, matrix, int(numbers[f"{prefix}.depth"]), bool(numbers[f"{prefix}.is_grey"]))


def reference(detail: Grey, canvas: Grey, matrix: Matrix, depth: int, is_grey: bool) -> Reference:
    """A reference from pictures as floats."""
    return Reference(as_bytes(detail), as_bytes(canvas), matrix, depth, is_grey)


def as_bytes(grey: Grey) -> Bytes:
    """Rounded to whole grey levels."""
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def detail_factor(width: int, height: int) -> int:
    """How many pixels of the picture make one of a reference's detailed one along each side."""
    return max(1, math.ceil(math.sqrt(width * height / MOST_PIXELS)))


def detail_of(luma: Luma) -> Grey:
    """The picture averaged down to at most `MOST_PIXELS`; rests at the right and bottom are cut."""
    return averaged(luma, detail_factor(luma.shape[1], luma.shape[0]))


def room(one: Reference) -> int:
    """How many references there may be of this size, besides one that is being tried."""
    return min(max(2, BUDGET_BYTES // (one.detail.size + one.canvas.size) - 1), 6)


def add(references: list[Reference], new: Reference) -> int:
    """Adds a reference; without room that goes which is most like it in light, never the first. Returns its index."""
    if len(references) >= room(new):
        others = references[1:]
        alike = min(others, key=lambda one: (one.is_grey != new.is_grey, abs(one.brightness - new.brightness)))
        references.remove(alike)
    references.append(new)
    return len(references) - 1
