"""Which units of a camera are worth decoding, so that its live pixels never grow older than the bound. Pure.

A camera that falls behind decodes on without publishing while that brings it nearer; jumps to a newer join point as
soon as one is there; and waits for the next one when it gains nothing. A camera to which that happens again lowers the
share that all cameras of the host have in common: each then decodes only that part of its run from one join point to
the next, so that no camera goes blind because another was luckier. The share goes down to the join points alone, and
grows again slowly while nobody falls behind. Once is forgiven: a machine that stood still for a moment is not
overloaded.
"""

from __future__ import annotations

import threading
from enum import Enum, auto

MAX_AGE_NS = 1_000_000_000
# Time to show that decoding is faster than the camera, before giving up.
_GRACE_NS = 250_000_000
# Catching up has to take off this share of the time it takes, or it would go on almost for ever.
_LEAST_GAIN = 0.25


_GIVE_UPS_APART_NS = 500_000_000  # cameras give up together: that is one reason to lower the share, not many
_GROW_AFTER_NS = 3_000_000_000
_WINDOW_NS = 30_000_000_000
_AGAIN_WITHIN_NS = 10_000_000_000
_LOWER_BY, _GROW_BY = 0.75, 0.1


class Share:
    """The part of every run of frames between join points that all cameras of a host decode. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 1.0
        self._changed_ns = 0

    def at(self, now_ns: int) -> float:
        """The share now: 1 is everything, 0 the join points alone."""
        if self._value < 1.0 and now_ns - self._changed_ns > _GROW_AFTER_NS:
            with self._lock:
                if now_ns - self._changed_ns > _GROW_AFTER_NS:
                    self._value = min(1.0, self._value + _GROW_BY)
                    self._changed_ns = now_ns
        return self._value

    def give_up(self, now_ns: int) -> None:
        """A camera could not keep up."""
        with self._lock:
            if now_ns - self._changed_ns > _GIVE_UPS_APART_NS:
                self._value = self._value * _LOWER_BY if self._value > 0.05 else 0.0
                self._changed_ns = now_ns


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

    def __init__(self, max_age_ns: int = MAX_AGE_NS, share: Share | None = None) -> None:
        self._max_age_ns = max_age_ns
        self._share = share or Share()
        self._joined_ns = 0
        self._run_ns = 0
        self._gave_up_ns = -_AGAIN_WITHIN_NS
        self._began_ns = 0
        self._began_age_ns = 0
        self.phase = Phase.LIVE

    def admits(self, age_ns: int, now_ns: int, *, joins: bool, newer_join_point: bool) -> bool:
        """Whether to decode a unit of this age. `newer_join_point`: one that is newer waits in the queue."""
        arrived_ns = now_ns - age_ns
        if joins:
            self._run_ns = arrived_ns - self._joined_ns
            self._joined_ns = arrived_ns
        if age_ns <= self._max_age_ns:
            if self.phase is Phase.WAITING and not joins:
                return False
            share = self._share.at(now_ns)
            if share < 1.0 and not joins and arrived_ns - self._joined_ns > share * self._run_ns:
                self.phase = Phase.WAITING
                return False
            self.phase = Phase.LIVE
            return True
        if newer_join_point:
            if self.phase is Phase.LIVE:
                self._give_up(now_ns)
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
            self._give_up(now_ns)
            self.phase = Phase.WAITING
            return False
        return True

    def _give_up(self, now_ns: int) -> None:
        if now_ns - self._gave_up_ns < _AGAIN_WITHIN_NS:
            self._share.give_up(now_ns)
        self._gave_up_ns = now_ns

    def publishes(self, age_ns: int) -> bool:
        """Whether a picture of this age may still be called live."""
        return age_ns <= self._max_age_ns

    def wait(self) -> None:
        """Nothing can be decoded before the next join point."""
        self.phase = Phase.WAITING


class Age:
    """Age of a frame on this machine, in nanoseconds; one per epoch.

    On the broker's own machine both share a monotonic clock. Elsewhere its clock has another zero, and drifts: then the
    youngest frame of the last minute counts as new, and the age is what the others lag behind it.
    """

    def __init__(self, same_machine: bool) -> None:
        self._same_machine = same_machine
        self._least_ns: int | None = None
        self._least_before_ns: int | None = None
        self._window_began_ns = 0

    def of(self, monotonic_ns: int, now_ns: int) -> int:
        """Age of a frame that the broker received at `monotonic_ns` of its clock."""
        behind_ns = now_ns - monotonic_ns
        if self._same_machine:
            return max(0, behind_ns)
        if self._least_ns is None or now_ns - self._window_began_ns > _WINDOW_NS:
            self._least_before_ns, self._least_ns, self._window_began_ns = self._least_ns, behind_ns, now_ns
        self._least_ns = min(self._least_ns, behind_ns)
        before_ns = self._least_ns if self._least_before_ns is None else self._least_before_ns
        return behind_ns - min(self._least_ns, before_ns)
