"""Which units of a camera are worth decoding, so that its live pixels never grow older than the bound. Pure.

Every camera has a thread and the system shares the processor between threads, so that under overload each camera gets
the same share of time: cheap cameras keep every picture, and expensive ones lose some. A camera that falls behind
decodes on without publishing while that brings it nearer; jumps to a newer join point as soon as one is there; and
waits for the next one when it gains nothing. So thinning goes down to one run of pictures per join point, or to the
join points alone.
"""

from __future__ import annotations

from enum import Enum, auto

MAX_AGE_NS = 1_000_000_000
# Time to show that decoding is faster than the camera, before giving up.
_GRACE_NS = 250_000_000
# Catching up has to take off this share of the time it takes, or it would go on almost for ever.
_LEAST_GAIN = 0.25


class Phase(Enum):
    """How a camera's decoding stands."""

    LIVE = auto()
    """Pictures are younger than the bound."""
    CATCHING_UP = auto()
    """Older; units are decoded for the sake of those that follow."""
    WAITING = auto()
    """Nothing is decoded until the next join point."""


class Pace:
    """Decides unit by unit. Times are nanoseconds of one monotonic clock."""

    def __init__(self, max_age_ns: int = MAX_AGE_NS) -> None:
        self._max_age_ns = max_age_ns
        self._began_ns = 0
        self._began_age_ns = 0
        self.phase = Phase.LIVE

    def admits(self, age_ns: int, now_ns: int, *, joins: bool, newer_join_point: bool) -> bool:
        """Whether to decode a unit of this age. `newer_join_point`: one that is newer waits in the queue."""
        if age_ns <= self._max_age_ns:
            if self.phase is Phase.WAITING and not joins:
                return False
            self.phase = Phase.LIVE
            return True
        if newer_join_point:
            self.phase = Phase.WAITING
            return False
        if self.phase is Phase.WAITING and not joins:
            return False
        if self.phase is not Phase.CATCHING_UP:
            self.phase = Phase.CATCHING_UP
            self._began_ns, self._began_age_ns = now_ns, age_ns
            return True
        elapsed_ns = now_ns - self._began_ns
        if elapsed_ns > _GRACE_NS and age_ns > self._began_age_ns - _LEAST_GAIN * elapsed_ns:
            self.phase = Phase.WAITING
            return False
        return True

    def publishes(self, age_ns: int) -> bool:
        """Whether a picture of this age may still be called live."""
        return age_ns <= self._max_age_ns

    def wait(self) -> None:
        """Nothing can be decoded before the next join point."""
        self.phase = Phase.WAITING


class Age:
    """Age of a frame on this machine, in nanoseconds.

    On the broker's own machine both share a monotonic clock. Elsewhere its clock has another zero: then the youngest
    frame seen counts as new, and the age is what the others lag behind it.
    """

    def __init__(self, same_machine: bool) -> None:
        self._offset_ns: int | None = 0 if same_machine else None

    def of(self, monotonic_ns: int, now_ns: int) -> int:
        """Age of a frame that the broker received at `monotonic_ns` of its clock."""
        if self._offset_ns == 0:
            return max(0, now_ns - monotonic_ns)
        behind_ns = now_ns - monotonic_ns
        if self._offset_ns is None or behind_ns < self._offset_ns:
            self._offset_ns = behind_ns
        return behind_ns - self._offset_ns
