"""A rate kept on a fixed beat, for things that do not come by the clock. Pure."""

from __future__ import annotations


class Beat:
    """Says when the next one is due, in nanoseconds of one clock. Over time never more than one an interval.

    One that comes up to an eighth of the interval early counts as due, and moves the beat by a whole interval: or a
    rate just below that of the frames would halve it.
    """

    __slots__ = ("_due_ns", "interval_ns")

    def __init__(self, interval_ns: int) -> None:
        self.interval_ns = interval_ns
        self._due_ns = 0

    def wait_ns(self, now_ns: int) -> int:
        """How long until the next may go: 0 if now."""
        return max(0, self._due_ns - self.interval_ns // 8 - now_ns)

    def take(self, now_ns: int) -> None:
        """One goes now."""
        behind_ns = now_ns - self._due_ns
        self._due_ns = (self._due_ns if behind_ns < self.interval_ns else now_ns) + self.interval_ns
