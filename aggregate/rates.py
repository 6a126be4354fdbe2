"""Who is looked at less often when there is too much to do: fair lower rates, background first, high priority last.

Every inspection keeps a lowest rate: no camera is dropped. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aggregate.orders import Priority

LOWEST_FPS: dict[Priority, float] = {"high": 1.0, "normal": 1.0, "background": 0.2}
_ORDER: tuple[Priority, ...] = ("high", "normal", "background")


@dataclass(frozen=True, slots=True)
class Demand:
    """What an inspection would cost if all its frames were looked at."""

    inspection: str
    seconds: float
    """CPU or device seconds of a frame."""
    fps: float
    """Frames a second that come, or that it asks for if that is less."""
    priority: Priority = "normal"

    @property
    def cores(self) -> float:
        """Share of a core."""
        return self.seconds * self.fps

    @property
    def lowest(self) -> float:
        """The rate that it keeps."""
        return min(self.fps, LOWEST_FPS[self.priority])


def fair_rates(demands: Sequence[Demand], budget: float) -> dict[str, float]:
    """Frames a second for those that cannot have all of theirs; `budget` in cores.

    All inspections of a priority give up the same share of what is above their lowest rates; the next priority gives up
    something only when the one below it has nothing left to give.
    """
    left = budget - sum(demand.seconds * demand.lowest for demand in demands)
    rates: dict[str, float] = {}
    for priority in _ORDER:
        same = [demand for demand in demands if demand.priority == priority]
        wanted = sum(demand.seconds * (demand.fps - demand.lowest) for demand in same)
        if wanted <= max(left, 0.0):
            left -= wanted
            continue
        share = max(left, 0.0) / wanted
        left = min(left, 0.0)
        for demand in same:
            rate = demand.lowest + share * (demand.fps - demand.lowest)
            if rate < demand.fps:
                rates[demand.inspection] = rate
    return rates
