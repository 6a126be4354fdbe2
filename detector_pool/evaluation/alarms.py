"""What an operator would have seen: events found, and how late, at so many false alarms per hour. Pure numpy.

An event is a run of abnormal frames of a clip. The threshold of a rate is calibrated as in service, on the normal
frames of the clips at hand; they are mostly few, and then it says that it is provisional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregate.client import calibrate, joined
from detector_pool.evaluation.metrics import Scored

RATES = (0.1, 1.0, 6.0)
"""Wanted false alarms per hour of footage."""
MERGE_GAP_NS = 3_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class TimedClip:
    """A scored clip with the time of each frame, nanoseconds, rising, (frames,)."""

    scored: Scored
    times_ns: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AtRate:
    """Events and false alarms at the threshold for a wanted rate."""

    rate_per_hour: float
    threshold: float
    is_provisional: bool
    events: int
    found: int
    delay_s: float | None
    """Median over the events found, from the event's first frame to the first one at the threshold."""
    false_alarms: int
    """Those that there were, on the same frames: a check, not a measurement."""


def at_rates(clips: Sequence[TimedClip], rates: Sequence[float] = RATES) -> list[AtRate]:
    """A row for each rate; none if there is no normal frame to calibrate on."""
    scores, times = joined([_normal(clip) for clip in clips])
    if not scores.size:
        return []
    rows = []
    for rate in rates:
        calibrated = calibrate(scores, times, rate)
        rows.append(_row(clips, rate, calibrated.threshold, calibrated.is_provisional))
    return rows


def events_of(labels: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last frame of each run of abnormal frames."""
    edges = np.diff(np.concatenate([[0], labels.astype(np.int8), [0]]))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


def _normal(clip: TimedClip) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    is_normal = ~clip.scored.labels
    return clip.scored.scores[is_normal], clip.times_ns[is_normal]


def _row(clips: Sequence[TimedClip], rate: float, threshold: float, is_provisional: bool) -> AtRate:
    events = found = false = 0
    delays = []
    for clip in clips:
        is_high = clip.scored.scores >= threshold
        for first, last in events_of(clip.scored.labels):
            events += 1
            crossed = np.flatnonzero(is_high[first : last + 1])
            if crossed.size:
                found += 1
                delays.append((int(clip.times_ns[first + crossed[0]]) - int(clip.times_ns[first])) / 1e9)
        false += _false_alarms(is_high, clip.scored.labels, clip.times_ns)
    delay = float(np.median(delays)) if delays else None
    return AtRate(rate, threshold, is_provisional, events, found, delay, false)


def _false_alarms(is_high: NDArray[np.bool_], labels: NDArray[np.bool_], times_ns: NDArray[np.int64]) -> int:
    """Runs of high scores, merged over short gaps, that touch no abnormal frame."""
    high = np.flatnonzero(is_high)
    if not high.size:
        return 0
    starts = np.flatnonzero(np.diff(times_ns[high]) > MERGE_GAP_NS) + 1
    runs = np.split(high, starts)
    return sum(not labels[run].any() for run in runs)
