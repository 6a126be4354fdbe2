"""Which frames are looked at where not all are: the first of each slot of time, whoever looks."""

from __future__ import annotations

SECOND = 1_000_000_000
ANOTHER_DAY_NS = 2 * SECOND
"""Arrivals that go back by more than this: the clock was set back. By less, B-frames do."""


class Rate:
    """So many frames a second at most; 0 for all. A grid in time: two that look choose the same frames."""

    def __init__(self, max_fps: float) -> None:
        self.max_fps = max_fps
        self._slot = -1
        self._latest_ns = 0

    def is_due(self, received_ns: int) -> bool:
        """Whether a frame is looked at. Frames come in the order in which they are shown."""
        if self.max_fps <= 0:
            return True
        if received_ns < self._latest_ns - ANOTHER_DAY_NS:
            # Or nothing would be looked at until the clock is where it was.
            self._slot, self._latest_ns = -1, 0
        self._latest_ns = max(self._latest_ns, received_ns)
        slot = int(received_ns * self.max_fps) // SECOND
        is_first, self._slot = slot > self._slot, max(slot, self._slot)
        return is_first
