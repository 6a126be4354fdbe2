"""Followed people step by step: who has which row of the graph's window, and what is pushed into it.

A step is a tenth of a second, about: pictures that are looked at are steps, and a pause between them is as many steps
in which nobody was seen. What does not belong here: finding people (`onnx_models.pose`), the window itself, which is
the graph's. Pure; what is remembered is in `PeopleState`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.detector import FoundBox
from detector_pool.posture.body import PLACES, Body, Floats, body_of, with_way

SECOND = 1_000_000_000
FPS = 10.0
STEP_NS = round(SECOND / FPS)
STEPS = 16
"""Length of the window."""
FEWEST_STEPS = 8
"""Somebody is judged once they were seen in so many steps of the window, the last one included."""
ROWS = 16
"""People at a time; more have to wait until somebody is gone."""
_FARTHEST_BACK_NS = 3 * STEP_NS
"""How old the last sighting may be that tells which way somebody has come."""


@dataclass(slots=True)
class PeopleState:
    """All that is remembered of the people of one camera, by row."""

    last_ns: int = 0
    """Of the last step; 0 before the first."""
    tracks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(ROWS, np.int64))
    """Who has the row; 0: nobody."""
    seen_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(ROWS, np.int64))
    places: NDArray[np.float64] = field(default_factory=lambda: np.zeros((ROWS, 3)))
    """Middle and height when they were seen last."""

    def packable(self) -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
        """Numbers and arrays for `detector_pool.packing.pack`."""
        return {"last_ns": self.last_ns}, {"tracks": self.tracks, "seen_ns": self.seen_ns, "places": self.places}

    @classmethod
    def unpacked(cls, numbers: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PeopleState:
        """The inverse; takes its own out of both. Raises ValueError."""
        try:
            found = cls(int(numbers.pop("last_ns")), arrays.pop("tracks"), arrays.pop("seen_ns"), arrays.pop("places"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"is no state of people ({type(error).__name__})") from None
        kinds = [(one.shape, one.dtype.str) for one in (found.tracks, found.seen_ns, found.places)]
        if kinds != [((ROWS,), "<i8"), ((ROWS,), "<i8"), ((ROWS, 3), "<f8")]:
            raise ValueError("is no state of people (sizes differ)")
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one picture pushes into the window."""

    missed: int
    """Steps before it in which nobody was seen, at most STEPS."""
    begun: tuple[int, ...]
    """Rows that are somebody else's from here on: what the window has there is to be forgotten."""
    places: Floats
    """(ROWS, PLACES, 2)."""
    seen: Floats
    """(ROWS, PLACES)."""
    boxes: dict[int, FoundBox]
    """Of those seen, by row."""
    waiting: int
    """People for whom there was no row."""


def step(boxes: Sequence[FoundBox], time_ns: int, aspect: float, state: PeopleState) -> Step:
    """Takes the numbered boxes of a picture in; changes the state. `aspect`: width of the picture over its height."""
    missed = _missed(time_ns, state)
    state.last_ns = time_ns
    gone = (state.tracks > 0) & ((time_ns - state.seen_ns > STEPS * STEP_NS) | (state.seen_ns > time_ns))
    state.tracks[gone] = 0
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
        else:
            body = _with_way(body, row, time_ns, state)
        state.tracks[row], state.seen_ns[row] = box.track, time_ns
        state.places[row] = *body.middle, body.height
        places[row], seen[row], shown[row] = body.places, body.seen, box
    return Step(missed, tuple(begun), places, seen, shown, waiting)


def _missed(time_ns: int, state: PeopleState) -> int:
    if not state.last_ns:
        return 0
    elapsed_ns = time_ns - state.last_ns
    if elapsed_ns < 0:
        # Times that went back by more than a step are of another day.
        return STEPS if elapsed_ns < -STEP_NS else 0
    return min(max(round(elapsed_ns / STEP_NS) - 1, 0), STEPS)


def _with_way(body: Body, row: int, time_ns: int, state: PeopleState) -> Body:
    elapsed_ns = time_ns - int(state.seen_ns[row])
    if not 0 < elapsed_ns <= _FARTHEST_BACK_NS:
        return body
    x, y, height = (float(one) for one in state.places[row])
    return with_way(body, (x, y, height), elapsed_ns / SECOND)
