"""Clocks, injected wherever time decides something. Times are integers: nanoseconds."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, twice."""

    def utc_ns(self) -> int:
        """UTC in nanoseconds since 1970; may step when somebody sets the clock."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment; never steps, never goes back, stands still during suspend."""
        ...


class SystemClock:
    """The machine's clocks."""

    def utc_ns(self) -> int:
        """UTC in nanoseconds since 1970."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds: the same in every process of the machine."""
        return time.monotonic_ns()


class ManualClock:
    """A clock that tests turn by hand."""

    def __init__(self, utc_ns: int = 1_700_000_000_000_000_000, monotonic_ns: int = 1_000_000_000) -> None:
        self._utc_ns = utc_ns
        self._monotonic_ns = monotonic_ns

    def utc_ns(self) -> int:
        """UTC as last set."""
        return self._utc_ns

    def monotonic_ns(self) -> int:
        """Monotonic time as last set."""
        return self._monotonic_ns

    def advance(self, seconds: float = 0.0, *, ns: int = 0) -> None:
        """Lets time pass on both clocks; it cannot pass backwards."""
        step = round(seconds * 1_000_000_000) + ns
        if step < 0:
            raise ValueError("time does not pass backwards; use step_utc for a clock that is set back")
        self._utc_ns += step
        self._monotonic_ns += step

    def step_utc(self, ns: int) -> None:
        """Sets the wall clock forward or back, as NTP or a person does; monotonic time does not notice."""
        self._utc_ns += ns
