"""The cells that all is measured in, and the numbers that graph and training share. Imports nothing slow."""

from __future__ import annotations

from dataclasses import dataclass

CELL = 8
MOTION_CHANNELS = 5
FLOW_CHANNELS = 7
DWELL_CHANNELS = 4
BRIEF_CHANNELS = MOTION_CHANNELS + 2 * FLOW_CHANNELS
"""Of the state, the first ones: what does not outlive a pause."""
STATE_CHANNELS = BRIEF_CHANNELS + DWELL_CHANNELS
LEAST_CHANGE = 4.0
"""Grey levels of change that count as motion, at least; with much noise, four times that."""
LEAST_SHARE = 0.05
"""Share of a cell that has to be in motion for it to count."""
NEAR_BY, FAR_BY = 2, 4
"""Displacement is looked for at a half and at a quarter of the size: what moves further from one frame to the next than
its own edges are wide is lost at the half."""
NEAR_SHARE, FAR_SHARE = 0.53, 0.35
"""Of the least change, at these sizes: noise is a half and a quarter there, and the edges of what moves are fainter."""
LEAST_FLOW_PX = 0.3
"""Displacement from one frame to the next below which there is no direction."""
QUICK = 0.1
SLOW = 1 / 600
"""Shares of the two backgrounds that each frame replaces: a second, and a minute, at ten frames a second."""
DWELL_FRAMES = 30
"""What differs for less does not stand."""
DWELL_AFTER_FRAMES = 200
"""Before that the slow background is not known."""
LEAST_OFF = 8.0
"""Grey levels that a cell differs from the slow background with something in it, at least."""
MOST_RESTLESS = 4.0
"""Grey levels that it may differ from the quick one, standing still."""
KEEPING = 0.5
"""Of the exponential average over frames."""
HIGHEST = 4
DECAY = 0.8
SLACK = 0.65
LARGEST_STEP = 3.0


@dataclass(frozen=True, slots=True)
class Canvas:
    """Size of the pictures that a graph is for, multiples of a cell."""

    width: int
    height: int

    @property
    def rows(self) -> int:
        """Cells from top to bottom."""
        return self.height // CELL

    @property
    def columns(self) -> int:
        """Cells from left to right."""
        return self.width // CELL
