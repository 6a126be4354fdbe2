"""When an item of a replay is due: the stream's own times at any speed. Pure: the caller tells the time and waits.

What belongs here: the one clock of all cameras of a replay. What does not: merging and batches (`replay`).
"""

from __future__ import annotations

MAX_LAG_NS = 1_000_000_000
"""A reader that falls further behind goes on from where it is; what it missed is not poured out at once."""


class Pacer:
    """Keeps `speed` seconds of footage to one of the reader's; 0 is as fast as it goes."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._anchor: tuple[int, int] | None = None

    def wait_ns(self, due_ns: int, now_ns: int) -> int:
        """Nanoseconds until an item of `due_ns` may go, at `now_ns` of a monotonic clock; 0 if it may go now.

        `due_ns`: UTC nanoseconds of the item, never less than those of the item before; 0 for what is told before the
        first frame.
        """
        if self._speed <= 0 or due_ns <= 0:
            return 0
        if self._anchor is None:
            self._anchor = (now_ns, due_ns)
        began_ns, first_ns = self._anchor
        left_ns = began_ns + round((due_ns - first_ns) / self._speed) - now_ns
        if left_ns < -MAX_LAG_NS:
            self._anchor = (now_ns, due_ns)
        return max(0, left_ns)
