"""When a child that died is started again. Pure: uptimes in, delays out.

What should not be in this module: processes (`children`).
"""

from __future__ import annotations

DELAYS_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STABLE_AFTER_S = 30.0


class Restarts:
    """Back-off of one child: quick at first, ten seconds at most, and quick again once it has run stably."""

    def __init__(self) -> None:
        self._step = 0
        self.count = 0

    def delay_after(self, uptime_s: float) -> float:
        """Seconds to wait before the next start, after a life of `uptime_s` seconds."""
        if uptime_s >= STABLE_AFTER_S:
            self._step = 0
        delay = DELAYS_S[min(self._step, len(DELAYS_S) - 1)]
        self._step += 1
        self.count += 1
        return delay
