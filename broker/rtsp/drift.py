"""How fast a camera's RTP clock runs against this host's monotonic clock, with an honest uncertainty.

Belongs here: the estimate from pairs of (media time, arrival). Does not belong here: UTC, packets, alarms.

A unit arrives at its media time, plus a constant, plus a delay that is never negative. So the truth is the lower edge
of the cloud of (arrival, arrival - media time), and queues, key frames and congestion only lie above it. Only the
smallest delay of each stretch of time is kept; of those the lower hull is taken and, of the hull, the edge above the
middle of the time span: the line below all points that is nearest to them on the whole (Moon, Skelly and Towsley 1999).

What the minima differ from that line tells how well the lowest delay was met, and so how far its slope can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

_NS = 1_000_000_000
_FIRST_STRETCH_NS = 1 * _NS
# 64 stretches of 64 s: a bit more than an hour; oscillators follow the temperature of the day.
_LAST_STRETCH_NS = 64 * _NS
_STRETCHES = 64
_FEWEST_STRETCHES = 8
_MILLION = 1e6
# Timestamps of one tick more or less, and the time it takes to hand a packet over.
_QUANTUM_NS = 100_000.0
# A way through the network that is longer from some moment on lifts the points behind it by as much as the spread, and
# turns the line by at most that over half the span.
_SPREADS = 4.0


@dataclass(frozen=True, slots=True)
class Drift:
    """Rate error in millionths, positive if the camera runs fast, and the half-width of the interval of belief."""

    ppm: float
    uncertainty_ppm: float


class DriftEstimator:
    """Constant memory: at most 64 minima. `observe` costs a few comparisons."""

    __slots__ = ("_cached", "_ends_ns", "_low_at_ns", "_low_ns", "_minima", "_stretch_ns")

    def __init__(self) -> None:
        self._stretch_ns = _FIRST_STRETCH_NS
        self._ends_ns = 0
        self._low_ns: int | None = None
        self._low_at_ns = 0
        # (arrival, delay) of the quickest unit of each stretch.
        self._minima: list[tuple[int, int]] = []
        self._cached: Drift | None = None

    @property
    def floor_ns(self) -> int | None:
        """The smallest delay lately, in nanoseconds and up to a constant; None before the first unit."""
        if self._low_ns is None:
            return None
        return min(self._low_ns, self._minima[-1][1]) if self._minima else self._low_ns

    def observe(self, media_ns: int, monotonic_ns: int) -> None:
        """Takes a unit: its media time, and when its last packet arrived."""
        delay_ns = monotonic_ns - media_ns
        if monotonic_ns >= self._ends_ns:
            self._begin_stretch(monotonic_ns)
        if self._low_ns is None or delay_ns < self._low_ns:
            self._low_ns, self._low_at_ns = delay_ns, monotonic_ns

    def estimate(self) -> Drift | None:
        """What is known now; None while it is too early."""
        if self._cached is None and len(self._minima) >= _FEWEST_STRETCHES:
            self._cached = _fit(self._minima)
        return self._cached

    def _begin_stretch(self, monotonic_ns: int) -> None:
        if self._low_ns is not None:
            self._minima.append((self._low_at_ns, self._low_ns))
            self._cached = None
            if len(self._minima) >= _STRETCHES:
                self._make_room()
        self._low_ns = None
        self._ends_ns = monotonic_ns + self._stretch_ns

    def _make_room(self) -> None:
        if self._stretch_ns >= _LAST_STRETCH_NS:
            del self._minima[0]
            return
        self._stretch_ns *= 2
        pairs = zip(self._minima[::2], self._minima[1::2], strict=False)
        self._minima = [min(pair, key=lambda minimum: minimum[1]) for pair in pairs]


def _fit(minima: list[tuple[int, int]]) -> Drift:
    at0_ns, low0_ns = minima[0]
    points = [(float(at - at0_ns), float(low - low0_ns)) for at, low in minima]
    middle = sum(x for x, _ in points) / len(points)
    (x0, y0), (x1, y1) = _edge_above(_lower_hull(points), middle)
    slope = (y1 - y0) / (x1 - x0)
    above = [y - y0 - slope * (x - x0) for x, y in points]
    # What is high between two low ones was a stall: it touches the line nowhere, and turns nothing.
    spread = max(map(min, above, above[1:]))
    half = (_SPREADS * spread + _QUANTUM_NS) / (points[-1][0] - points[0][0])
    return Drift(-slope * _MILLION, half * _MILLION)


def _lower_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Andrew's monotone chain; the points are in order of x, no two with the same."""
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) >= 2:
            (ax, ay), (bx, by) = hull[-2], hull[-1]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            hull.pop()
        hull.append((x, y))
    return hull


def _edge_above(hull: list[tuple[float, float]], middle: float) -> tuple[tuple[float, float], tuple[float, float]]:
    for left, right in pairwise(hull):
        if right[0] >= middle:
            return left, right
    return hull[-2], hull[-1]
