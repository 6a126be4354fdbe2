"""When a part of trueframe counts as silent: it did not answer for so long, as often as it was asked. Pure.

Time in which this process itself stood still is not held against others. What does not belong here: asking, and
raising the alarm (`watching`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Silence:
    """One part that is asked again and again. Times are monotonic nanoseconds."""

    after_ns: int
    first_after_ns: int
    """The same, before it answered for the first time: parts start at the same time and wait for each other."""
    longest_step_ns: int
    """Between two questions at most so much is held against it."""
    asked_ns: int
    has_answered: bool = False
    silent_ns: int = 0

    def answered(self, now_ns: int) -> None:
        """It answered."""
        self.has_answered, self.silent_ns, self.asked_ns = True, 0, now_ns

    def missed(self, now_ns: int) -> None:
        """It was asked and did not answer in time."""
        self.silent_ns += min(max(now_ns - self.asked_ns, 0), self.longest_step_ns)
        self.asked_ns = now_ns

    @property
    def is_silent(self) -> bool:
        """Whether that is an alarm."""
        return self.silent_ns >= (self.after_ns if self.has_answered else self.first_after_ns)
