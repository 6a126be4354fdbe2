"""Looking for the scene after the camera was moved: one look at a time, and five that agree make an alignment.

Every look matches features with one reference, the least deep first, then the others in turn. Looks are related to the
first picture of the search by its shift against each, so that shake does not spread them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey
from detector_pool.following import geometry
from detector_pool.following.geometry import CORNERS, Matrix, carried, in_fractions
from detector_pool.following.references import Reference
from detector_pool.health.structure import block_means, compare, edges, white_noise_energy
from detector_pool.stabilise import shift_of_spectra

LOOKS, MOST_LOOKS = 5, 9
_SPREAD = 0.012
"""Corners of looks that agree lie within this of their median, in fractions of the picture."""
_BETTER = 0.7
"""Of the blocks that were lost before, at most so many may be lost after warping."""
_LEAST_SEEN = 0.3
"""Share of the reference that the present picture must still show."""


class Outcome(Enum):
    """Of a look."""

    GOES_ON = "goes on"
    FOUND = "found"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class SearchState:
    """A search under way."""

    candidate: Reference | None = None
    """The first picture of the search: the new reference, if the scene is found."""
    corners: list[NDArray[np.float64]] = field(default_factory=list)
    """Of each look that was accepted: where the corners of the picture that regions were drawn on are, (4, 2)."""
    looks: int = 0
    by: int = 0
    """The reference that is matched with."""
    depth: int = 0
    """Of the candidate, if it is found by that reference."""

    def clear(self) -> None:
        """No search is under way."""
        self.candidate, self.corners, self.looks, self.by, self.depth = None, [], 0, 0, 0

    def middle(self) -> Matrix | None:
        """The median of the looks; None if they do not agree."""
        if len(self.corners) < LOOKS:
            return None
        table = np.stack(self.corners)
        middle = np.median(table, axis=0)
        if float(np.median(np.abs(table - middle).max(axis=(1, 2)))) > _SPREAD:
            return None
        try:
            return geometry.from_corners(middle)
        except ValueError:
            return None

    def parts(self) -> tuple[dict[str, int], dict[str, NDArray[Any] | None]]:
        """As numbers and arrays."""
        numbers = {"search.looks": self.looks, "search.by": self.by, "search.depth": self.depth}
        arrays: dict[str, NDArray[Any] | None] = {"search.corners": np.stack(self.corners) if self.corners else None}
        if self.candidate is not None:
            more, planes = self.candidate.parts("search.candidate")
            numbers |= more
            arrays |= planes
        return numbers, arrays

    @classmethod
    def from_parts(cls, numbers: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SearchState:
        """The inverse. Raises KeyError or ValueError."""
        state = cls(looks=numbers["search.looks"], by=numbers["search.by"], depth=numbers["search.depth"])
        state.corners = list(arrays.get("search.corners", ()))
        if "search.candidate.canvas" in arrays:
            state.candidate = Reference.from_parts("search.candidate", numbers, arrays)
        return state


def look(present: Reference, references: Sequence[Reference], size: tuple[int, int], state: SearchState) -> Outcome:
    """One look, 0.1 to 0.6 s. `size` is (width, height) of the picture that `present` was made of."""
    # OpenCV is only loaded where a camera was moved.
    from detector_pool.following import realign

    if state.candidate is None:
        state.clear()
        state.candidate = present
    state.looks += 1
    order = sorted(range(len(references)), key=lambda number: references[number].depth)
    one = references[order[state.by % len(order)]]
    found = realign.match(one.detail, present.detail)
    matrix = None
    if found is not None:
        # Details may be a few pixels smaller than the picture over their factor: fractions are of the picture.
        factor = round(size[0] / one.detail.shape[1])
        between = in_fractions(found.pixels, size[0] / factor, size[1] / factor)
        if geometry.is_sane(between) and _is_better(one, present, between):
            matrix = between @ one.matrix
    if matrix is None:
        state.by += 1
    else:
        shift = shift_of_spectra(state.candidate.spectrum, present.spectrum)
        height, width = present.canvas.shape
        onto_first = geometry.shifted(-shift.dx / width, -shift.dy / height)
        if state.corners and one.depth + 1 != state.depth:
            state.corners = []
        state.corners.append(carried(CORNERS, onto_first @ matrix))
        state.depth = one.depth + 1
    if len(state.corners) >= LOOKS:
        return Outcome.FOUND if state.middle() is not None else Outcome.FAILED
    return Outcome.FAILED if state.looks >= MOST_LOOKS else Outcome.GOES_ON


def _is_better(one: Reference, present: Reference, between: Matrix) -> bool:
    """Whether the present picture, taken back, resembles the reference better than it does as it is."""
    from detector_pool.following import realign

    canvas: Grey = present.canvas.astype(np.float32)
    height, width = canvas.shape
    noise = white_noise_energy(canvas)
    before = compare(one.edges, edges(canvas), noise)
    back, has = realign.taken_back(canvas, geometry.in_pixels(between, width, height))
    # Gradients have lost two pixels on each side.
    seen = block_means(has[2:-2, 2:-2].astype(np.float32)) == 1.0
    if float(seen.mean()) < _LEAST_SEEN:
        return False
    after = compare(one.edges, edges(back), noise)
    asked = seen & after.asked
    if not asked.any():
        return False
    lost_before = float((before.lost & asked).sum()) / float(asked.sum())
    lost_after = float((after.lost & asked).sum()) / float(asked.sum())
    # A scene that is where it was, in another light, cannot become better by warping.
    return lost_after <= max(_BETTER * lost_before, 0.1)
