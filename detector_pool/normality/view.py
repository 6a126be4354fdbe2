"""What the detector and its training see of a picture: the canvas, which frames, and which cells.

Pure. What is remembered between frames is in `PaceState`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import numpy as np

from detector_pool.canvas import Grey, RegionMask, averaged, region_grid
from detector_pool.health.scene import is_grey
from detector_pool.normality.grid import CELL, Canvas
from detector_pool.picture import Luma, Picture

SECOND = 1_000_000_000
CANVAS_SIDE = 360
LEAST_SIDE = 64
FPS = 10.0
"""Frames a second that are looked at, about: between 7.5 and 15."""
FORGET_S = 60.0
"""After a longer pause the camera may point elsewhere, and by other light."""
DARK_BELOW, BRIGHT_ABOVE = 40.0, 60.0
"""Mean luma between which the light stays what it was."""
SWITCH_FRAMES = 10
"""So many frames in a row speak for the other light before it is believed."""
_BORDER_CELLS = 1
_ANOTHER_DAY_NS = 2 * SECOND
"""Arrivals that go back by more than this are not of the same stretch; by less, B-frames do."""
_LONGEST_STEP = 4.0
"""Intervals that a step counts at most: a pause says nothing of the rate."""


def factor(width: int, height: int) -> int:
    """How many pixels of the picture make one of the canvas along each side; half of 360 would already be too few."""
    return max(1, int(max(width, height) / CANVAS_SIDE + 0.4))


def canvas_of(width: int, height: int) -> Canvas:
    """The canvas for a size of picture: about 360 along its longer side, whole cells."""
    by = factor(width, height)
    return Canvas(width // by // CELL * CELL, height // by // CELL * CELL)


def drawn(luma: Luma) -> Grey:
    """The picture on its canvas, float32; what is left over at the right and bottom is cut."""
    height, width = luma.shape
    size = canvas_of(width, height)
    return np.ascontiguousarray(averaged(luma, factor(width, height))[: size.height, : size.width])


def stride(fps: float) -> int:
    """Every how manieth frame is looked at."""
    return max(1, round(fps / FPS))


@dataclass(slots=True)
class PaceState:
    """When frames came. They come in the order in which they are shown: with B-frames arrivals go back and jump on."""

    latest_ns: int = 0
    """The latest arrival: the time by which frames are judged."""
    step_ns: float = 0.0
    """Time between frames, on average."""
    steps: int = 0
    """That this is the average of, at most 32."""
    looked_ns: int = 0
    waited: int = 0
    """Frames since the last one that was looked at."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Which frames are looked at: every second of a camera of 20 frames a second, so that steps in time are even.

    By counting, so that frames that arrive unevenly are looked at evenly.
    """

    interval_ns: float
    """Between frames that are looked at, as the model learnt it."""

    def is_due(self, received_ns: int, state: PaceState) -> bool:
        """Whether to look at the frame that came then; changes the state."""
        moved_ns = received_ns - state.latest_ns
        if moved_ns < -_ANOTHER_DAY_NS:
            state.latest_ns = received_ns
        else:
            if state.latest_ns:
                state.steps = min(state.steps + 1, 32)
                step_ns = min(max(float(moved_ns), 0.0), _LONGEST_STEP * self.interval_ns)
                state.step_ns += (step_ns - state.step_ns) / state.steps
            state.latest_ns = max(state.latest_ns, received_ns)
        state.waited += 1
        every = max(1, round(self.interval_ns / state.step_ns)) if state.step_ns else 1
        is_due = state.waited >= every or state.latest_ns - state.looked_ns >= 0.95 * self.interval_ns
        if is_due:
            state.waited, state.looked_ns = 0, state.latest_ns
        return is_due


class Lighting(Enum):
    """By what light the camera sees. Each has a model of its own, where there was footage of both."""

    DAY = "day"
    INFRARED = "infrared"


@dataclass(slots=True)
class LightingState:
    """What light there has been."""

    now: Lighting | None = None
    against: int = 0
    """Frames in a row that spoke for the other one."""


def lighting(picture: Picture, state: LightingState) -> Lighting:
    """The light of a frame that is looked at, with hysteresis; changes the state.

    Infrared pictures have no colour. Where chroma is not at hand, brightness tells: dark is what infrared would be.
    """
    grey = is_grey(picture)
    if grey is None:
        mean = float(picture.y[::8, ::8].mean())
        is_day = state.now is Lighting.DAY
        grey = mean < (DARK_BELOW if is_day or state.now is None else BRIGHT_ABOVE)
    seen = Lighting.INFRARED if grey else Lighting.DAY
    if state.now is None:
        state.now = seen
    state.against = 0 if seen is state.now else state.against + 1
    if state.against >= SWITCH_FRAMES:
        state.now, state.against = seen, 0
    return state.now


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Which cells exist and which count, (1, 1, R, C) float32, as the graph takes them. Read-only."""

    seen: Grey
    judged: Grey


def cells(canvas: Canvas, regions: Sequence[RegionMask], dx: float = 0.0, dy: float = 0.0) -> Cells:
    """Cells of a picture that was shifted back by (dx, dy): what came in over the edge is not seen."""
    return _cells(canvas, tuple(regions), *(int(np.sign(by) * np.ceil(abs(by) / CELL)) for by in (dx, dy)))


@lru_cache(maxsize=1024)
def _cells(canvas: Canvas, regions: tuple[RegionMask, ...], right: int, down: int) -> Cells:
    grid = region_grid(regions, canvas.rows, canvas.columns)
    within = np.zeros(grid.seen.shape, dtype=bool)
    top, bottom = max(0, -down), canvas.rows - max(0, down)
    left, end = max(0, -right), canvas.columns - max(0, right)
    within[top:bottom, left:end] = True
    inner = np.zeros_like(within)
    edge = _BORDER_CELLS
    inner[max(top, edge) : min(bottom, canvas.rows - edge), max(left, edge) : min(end, canvas.columns - edge)] = True
    seen = (grid.seen & within).astype(np.float32)[None, None]
    judged = (grid.seen & grid.inspected & inner).astype(np.float32)[None, None]
    seen.flags.writeable = judged.flags.writeable = False
    return Cells(seen, judged)
