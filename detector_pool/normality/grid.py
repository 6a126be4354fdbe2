"""The cells that all is measured in, and the numbers that graph and training share. Imports nothing slow."""

from __future__ import annotations

from dataclasses import dataclass

CELL = 8
MOTION_CHANNELS = 5
FLOW_CHANNELS = 7
STATE_CHANNELS = MOTION_CHANNELS + FLOW_CHANNELS
LEAST_CHANGE = 4.0
"""Grey levels of change that count as motion, at least; with much noise, four times that."""
LEAST_SHARE = 0.05
"""Share of a cell that has to be in motion for it to count."""
LEAST_FLOW_PX = 0.3
"""Displacement from one frame to the next below which there is no direction."""
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
