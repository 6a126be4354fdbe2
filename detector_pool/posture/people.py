"""Followed people step by step: who has which row of the graph's window, and what is pushed into it.

Each picture that is looked at is a step, and a pause between them is as many steps in which nobody was seen. What does
not belong here: how many those are (`pace`), finding people (`onnx_models.pose`), the window itself, which is the
graph's. Pure; what is remembered is in `PeopleState`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.detector import FoundBox
from detector_pool.posture.body import PLACES, Floats, body_of, with_way
from detector_pool.posture.pace import FPS, STEPS

FEWEST_STEPS = 8
"""Somebody is judged once they were seen in so many steps of the window, the last one included."""
ROWS = 16
"""People at a time; more have to wait until somebody is gone."""
_FARTHEST_BACK = 3
"""How many steps old the last sighting may be that tells which way somebody has come."""


@dataclass(slots=True)
class PeopleState:
    """All that is remembered of the people of one camera, by row."""

    now: int = 0
    """Steps so far."""
    tracks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(ROWS, np.int64))
    """Who has the row; 0: nobody."""
    seen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(ROWS, np.int64))
    """In which step they were seen last."""
    places: NDArray[np.float64] = field(default_factory=lambda: np.zeros((ROWS, 3)))
    """Middle and height when they were seen last."""

    def packable(self) -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
        """Numbers and arrays for `detector_pool.packing.pack`."""
        return {"now": self.now}, {"tracks": self.tracks, "seen": self.seen, "places": self.places}

    @classmethod
    def unpacked(cls, numbers: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PeopleState:
        """The inverse; takes its own out of both. Raises ValueError."""
        try:
            found = cls(int(numbers.pop("now")), arrays.pop("tracks"), arrays.pop("seen"), arrays.pop("places"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"is no state of people ({type(error).__name__})") from None
        kinds = [(one.shape, one.dtype.str) for one in (found.tracks, found.seen, found.places)]
        if kinds != [((ROWS,), "<i8"), ((ROWS,), "<i8"), ((ROWS, 3), "<f8")]:
            raise ValueError("is no state of people (sizes differ)")
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one picture pushes into the window."""

    missed: int
    """Steps before it in which nobody was seen, at most STEPS."""
    begun: tuple[int, ...]
    """Rows that are somebody else's from here on. Nothing is left of the one before: STEPS have passed."""
    places: Floats
    """(ROWS, PLACES, 2)."""
    seen: Floats
    """(ROWS, PLACES)."""
    boxes: dict[int, FoundBox]
    """Of those seen, by row."""
    waiting: int
    """People for whom there was no row."""


def step(boxes: Sequence[FoundBox], steps: int, aspect: float, state: PeopleState) -> Step:
    """Takes the numbered boxes of a picture in; changes the state.

    `steps`: how many it is on from the one before, 1 or more. `aspect`: width of the picture over its height.
    """
    state.now += steps
    state.tracks[state.now - state.seen > STEPS] = 0
    places, seen = np.zeros((ROWS, PLACES, 2), np.float32), np.zeros((ROWS, PLACES), np.float32)
    begun: list[int] = []
    shown: dict[int, FoundBox] = {}
    waiting = 0
    row_of = {int(track): row for row, track in enumerate(state.tracks) if track}
    for box in boxes:
        body = body_of(box, aspect) if box.track > 0 else None
        if body is None:
            continue
        row = row_of.get(box.track)
        if row is None:
            free = np.flatnonzero(state.tracks == 0)
            if not free.size:
                waiting += 1
                continue
            row = int(free[0])
            begun.append(row)
            row_of[box.track] = row
        elif (elapsed := state.now - int(state.seen[row])) <= _FARTHEST_BACK:
            x, y, height = (float(one) for one in state.places[row])
            body = with_way(body, (x, y, height), elapsed / FPS)
        state.tracks[row], state.seen[row] = box.track, state.now
        state.places[row] = *body.middle, body.height
        places[row], seen[row], shown[row] = body.places, body.seen, box
    return Step(min(steps - 1, STEPS), tuple(begun), places, seen, shown, waiting)
