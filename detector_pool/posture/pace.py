"""Which pictures are looked at, and how many steps of a tenth of a second each is: by counting, in the order shown.

Pictures come in the order in which they are shown, and with B-frames each has arrived out of that order: the time of
arrival runs ahead, goes back by a few frames, and jumps on. So a picture is as long as pictures are on average, by how
far the latest arrival has moved on; only a real pause is measured by itself. Pure; what is remembered is in `Pace`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SECOND = 1_000_000_000
FPS = 10.0
STEP_NS = round(SECOND / FPS)
STEPS = 16
"""Length of the window."""
EMPTIES = STEPS + 1
"""Steps behind which nothing of the window is left."""
_PAUSE_NS = SECOND
_ANOTHER_DAY_NS = 2 * SECOND
_SLACK = 0.1
_REMEMBERED = 32


@dataclass(slots=True)
class Pace:
    """How pictures came."""

    latest_ns: int = 0
    """The latest arrival; 0 before the first."""
    interval_ns: float = 0.0
    """Between two pictures, on average."""
    pictures: int = 0
    """That this is the average of, at most _REMEMBERED."""
    credit: float = 0.0
    """Steps since the last one that was looked at."""

    def due(self, time_ns: int) -> int:
        """How many steps the picture is on from the last one that was looked at; 0: it is not looked at."""
        moved_ns = time_ns - self.latest_ns
        is_first, is_back = not self.latest_ns, moved_ns < -_ANOTHER_DAY_NS
        self.latest_ns = time_ns if is_back else max(time_ns, self.latest_ns)
        if is_first:
            return 1
        if is_back or moved_ns > max(_PAUSE_NS, 3 * self.interval_ns):
            self.credit = 0.0
            return EMPTIES if is_back else min(round(moved_ns / STEP_NS), EMPTIES)
        self.pictures = min(self.pictures + 1, _REMEMBERED)
        self.interval_ns += (max(moved_ns, 0) - self.interval_ns) / self.pictures
        self.credit += self.interval_ns / STEP_NS
        steps = int(self.credit + _SLACK)
        self.credit -= steps
        return min(steps, EMPTIES)

    def packable(self) -> dict[str, int | float]:
        """Numbers for `detector_pool.packing.pack`."""
        return {
            "latest_ns": self.latest_ns, "interval_ns": self.interval_ns, "pictures": self.pictures,
            "credit": self.credit,
        }  # fmt: skip

    @classmethod
    def unpacked(cls, numbers: dict[str, Any]) -> Pace:
        """The inverse; takes its own out. Raises ValueError."""
        try:
            return cls(
                int(numbers.pop("latest_ns")), float(numbers.pop("interval_ns")), int(numbers.pop("pictures")),
                float(numbers.pop("credit")),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"is no state of a pace ({type(error).__name__})") from None
