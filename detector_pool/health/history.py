"""What is usual for a camera at an hour of the day: medians and their spread, from its own past. Bounded and exact.

A value is the median of ten seconds. Each hour of the day (UTC) keeps 96 values: the first 16 minutes of its life, and
then one value in 19, in turn over the oldest, so that an hour remembers about five days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SECOND = 1_000_000_000
HOUR_NS = 3600 * SECOND
HOURS = 24
KEPT = 96
BIN_NS = 10 * SECOND
EVERY = 19
LEAST = 6
"""Values from which an hour is known."""
_MOST_IN_BIN = 64

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """What is usual: median and median absolute deviation of each measure, float32 (measures,)."""

    median: Values
    spread: Values


@dataclass(slots=True, eq=False)
class History:
    """The past of one camera."""

    measures: int
    kept: NDArray[np.float32] = field(init=False)
    """(24, 96, measures)."""
    counts: NDArray[np.int64] = field(init=False)
    """Values that each hour of the day has had, (24,)."""
    pending: list[Values] = field(default_factory=list)
    """Values of the ten seconds that are not over."""
    pending_from_ns: int = 0
    _usual: dict[int, Usual] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept = np.zeros((HOURS, KEPT, self.measures), np.float32)
        self.counts = np.zeros(HOURS, np.int64)

    def add(self, values: Values, now_ns: int) -> None:
        """Takes the measures of a picture, (measures,) float32, that was received at UTC nanoseconds `now_ns`."""
        if self.pending and not 0 <= now_ns - self.pending_from_ns < BIN_NS:
            self._close()
        if not self.pending:
            self.pending_from_ns = now_ns
        if len(self.pending) < _MOST_IN_BIN:
            self.pending.append(values)

    def usual(self, now_ns: int) -> list[Usual]:
        """What is usual at this hour of the day and at its neighbours, as far as known: the same light comes earlier
        and later with the seasons."""
        hour = now_ns // HOUR_NS % HOURS
        near = (hour, (hour - 1) % HOURS, (hour + 1) % HOURS)
        return [self._of(one) for one in near if self.counts[one] >= LEAST]

    def forget(self) -> None:
        """Begins anew."""
        self.counts[:] = 0
        self.pending.clear()
        self._usual.clear()

    def parts(self) -> tuple[dict[str, int], dict[str, NDArray[Any] | None]]:
        """All of it as numbers and arrays, for a checkpoint."""
        pending = np.stack(self.pending) if self.pending else None
        arrays: dict[str, NDArray[Any] | None] = {"kept": self.kept, "counts": self.counts, "pending": pending}
        return {"pending_from_ns": self.pending_from_ns}, arrays

    @classmethod
    def from_parts(cls, measures: int, numbers: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> History:
        """The inverse. Raises KeyError or ValueError."""
        history = cls(measures)
        if arrays["kept"].shape != history.kept.shape or arrays["counts"].shape != history.counts.shape:
            raise ValueError("has a history of another form")
        history.kept, history.counts = arrays["kept"], arrays["counts"]
        history.pending = list(arrays.get("pending", ()))
        history.pending_from_ns = int(numbers["pending_from_ns"])
        return history

    def _close(self) -> None:
        hour = int(self.pending_from_ns // HOUR_NS % HOURS)
        count = int(self.counts[hour])
        value = np.median(np.stack(self.pending), axis=0).astype(np.float32)
        self.pending.clear()
        self.counts[hour] = count + 1
        if count < KEPT:
            self.kept[hour, count] = value
        elif (count - KEPT) % EVERY == EVERY - 1:
            self.kept[hour, (count - KEPT) // EVERY % KEPT] = value
        else:
            return
        self._usual.pop(hour, None)

    def _of(self, hour: int) -> Usual:
        if hour not in self._usual:
            self._usual[hour] = usual_of(self.kept[hour, : min(KEPT, int(self.counts[hour]))])
        return self._usual[hour]


def usual_of(values: Values | Sequence[Values]) -> Usual:
    """Median and median absolute deviation over the first axis."""
    table = np.asarray(values, np.float32)
    median = np.median(table, axis=0).astype(np.float32)
    return Usual(median, np.median(np.abs(table - median), axis=0).astype(np.float32))
