"""Thresholds from a wanted number of false alarms per hour of normal footage, and what operators' labels make of them.

Peaks over a level are declustered by time, and a generalised Pareto tail is fitted to them (Davison and Smith,
"Models for exceedances over high thresholds", J. R. Statist. Soc. B 52, 1990; runs declustering: Smith and Weissman,
"Estimating the extremal index", ibid. 56, 1994; probability-weighted moments: Hosking and Wallis, Technometrics 29,
1987). Scores lie between 0 and 1 because detectors squash what they measure, s = v / (1 + v). Tail and margins are
those of v, the odds s / (1 - s): a tenth more of v is as much near 1 as near 0, and a threshold never leaves the range.
Labels move v by shares of it, that is by steps in log odds.

Extrapolated from half an hour of simulated scores to once an hour, thresholds were passed at 0.5 to 1.6 times that
rate (geometric means of five kinds). In log odds it was 0.1 to 1.4: where mostly nothing happens the tail ran away.

Pure: no clock, no I/O. Scores must be of footage that the model was not fitted to, or thresholds come out too low.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mesh.errors import InvalidArgument

HOUR_NS = 3_600_000_000_000
SECOND_NS = 1_000_000_000
RUN_S = 3.0
"""Crossings closer than this are one alarm: the merge gap of the judge."""
LONGEST_STEP_S = 2.0
"""Between scores further apart than this nobody looked: it counts as no footage."""
SHAPES = (0.0, 0.3)
"""Of the tail. Odds have no upper end, so neither has it: below 0, thresholds from few peaks came out too low."""
FURTHEST = 5.0
"""Rates below one per so many times the footage are not extrapolated to."""
FEWEST_PEAKS = 10
MARGIN = 1.1
"""A provisional threshold's odds over those of the highest score seen."""
RATES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 6.0, 12.0, 30.0)
"""Rates per hour of the curve."""
LOWEST = 0.02
"""No threshold is below: a score of nearly nothing is no alarm even if nothing else was ever seen."""
_RESTS_ON = "Its odds are a tenth or more above those of"
_EDGE = 1e-6
_QUANTILES = (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998)
_ENOUGH_PEAKS = 60

STEP = 0.1
"""One label moves a threshold by at most this, in log odds: from 0.50 to 0.525."""
FURTHEST_BY_LABELS = 1.0
"""All labels together by at most this: from 0.50 to 0.73, or to 0.27."""
CLEAR_MARGIN = 1.0
"""A true alarm that passed its threshold by more than this in log odds was in no danger of being missed."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A threshold for a rate of false alarms."""

    rate_per_hour: float
    threshold: float
    is_provisional: bool


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A threshold, and what it rests on."""

    threshold: float
    is_provisional: bool
    """There is too little footage for this rate: the threshold is that of the highest score seen, and some."""
    hours: float
    """Footage that it rests on."""
    sentence: str
    """For people."""
    curve: tuple[CurvePoint, ...]
    """Thresholds for other rates, from rare to frequent alarms; thresholds never rise along it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A threshold after a label."""

    threshold: float
    sentence: str


def calibrate(
    scores: ArrayLike, times_ns: ArrayLike, rate_per_hour: float, *, run_s: float = RUN_S, lowest: float = LOWEST
) -> Calibrated:
    """The threshold that normal footage passes so many times an hour.

    `scores`: of normal footage, 0 to 1, (n,); `times_ns`: when each frame was received, UTC nanoseconds, rising, (n,).
    Raises InvalidArgument: no scores, another number of times, a time that runs back, a rate that is not positive.
    """
    values, times = _checked(scores, times_ns, rate_per_hour)
    steps_s = np.diff(times) / SECOND_NS
    hours = float(np.minimum(steps_s, LONGEST_STEP_S)[steps_s <= LONGEST_STEP_S].sum()) / 3600
    odds = _odds(values)
    tail = _tail(odds, times, hours, run_s)
    top = float(odds.max())

    def at(rate: float) -> CurvePoint:
        passed, is_provisional = _threshold(tail, top, hours, rate)
        return CurvePoint(rate, max(_from_odds(passed), lowest), is_provisional)

    wanted = at(rate_per_hour)
    return Calibrated(
        wanted.threshold,
        wanted.is_provisional,
        hours,
        _sentence(wanted, hours, tail, float(values.max())),
        tuple(at(rate) for rate in RATES),
    )


def after_label(threshold: float, calibrated: float, score: float, *, is_false: bool) -> Moved:
    """The threshold after an operator called an alarm of this peak score false, or true.

    A false alarm raises it towards the score, a true one that was close lowers it, each by at most `STEP` in log odds
    and never further than `FURTHEST_BY_LABELS` from `calibrated`: one label changes little, and many cannot switch a
    detector off. Alarms that were clear, and false ones below the threshold of today, move nothing.
    """
    here, there, home = (float(_log_odds(np.array([one]))[0]) for one in (threshold, score, calibrated))
    margin = there - here
    if is_false:
        step = min(max(margin, 0.0), STEP)
        why = "a false alarm" if step else "a false alarm that today's threshold would not raise"
    else:
        step = -STEP / 2 if margin < CLEAR_MARGIN else 0.0
        why = "a true alarm that was close" if step else "a true alarm, clear of the threshold"
    moved = min(max(here + step, home - FURTHEST_BY_LABELS), home + FURTHEST_BY_LABELS)
    if abs(moved - here) < 1e-9:
        limit = ", and labels move it no further" if step else ""
        return Moved(threshold, f"The threshold stays at {threshold:.3f}: {why}{limit}.")
    new = float(_from_log_odds(moved))
    return Moved(new, f"The threshold moves from {threshold:.3f} to {new:.3f}: {why} of {score:.3f}.")


def decluster(scores: Values, times_ns: NDArray[np.int64], level: float, run_s: float = RUN_S) -> Values:
    """The highest score of each run above a level; runs are further apart than `run_s`. In the order of time."""
    above = np.flatnonzero(scores > level)
    if not above.size:
        return np.empty(0)
    starts = np.flatnonzero(np.diff(times_ns[above]) > run_s * SECOND_NS) + 1
    peaks: Values = np.maximum.reduceat(scores[above], np.concatenate([[0], starts]))
    return peaks


@dataclass(frozen=True, slots=True)
class _Tail:
    """How often odds above `level` are passed."""

    level: float
    peaks: int
    per_hour: float
    shape: float
    scale: float

    def value(self, rate: float) -> float:
        """The odds that are passed at this rate, at most `per_hour`."""
        share = rate / self.per_hour
        if abs(self.shape) < 1e-6:
            return self.level - self.scale * float(np.log(share))
        return self.level + self.scale / self.shape * (float(share**-self.shape) - 1)


def _tail(values: Values, times: NDArray[np.int64], hours: float, run_s: float) -> _Tail | None:
    """The tail above the highest level with enough peaks, or else that with the most; None if all have too few."""
    best: tuple[float, Values] | None = None
    for quantile in _QUANTILES:
        level = float(np.quantile(values, quantile))
        peaks = decluster(values, times, level, run_s)
        if best is None or peaks.size >= min(best[1].size, _ENOUGH_PEAKS):
            best = level, peaks
    if best is None or best[1].size < FEWEST_PEAKS or hours <= 0:
        return None
    # The upper half of the peaks: the lower one tells of the level, which where mostly nothing happens is no tail's.
    rising = np.sort(best[1])
    count = max(rising.size // 2, FEWEST_PEAKS)
    level = float(rising[-count - 1]) if rising.size > count else best[0]
    shape, scale = _fit(rising[-count:] - level)
    return _Tail(level, count, count / hours, shape, scale)


def _fit(rising: Values) -> tuple[float, float]:
    """Shape and scale by probability-weighted moments; a shape out of bounds is cut, and the scale keeps the mean."""
    ranks = (np.arange(1, rising.size + 1) - 0.35) / rising.size
    mean, weighted = float(rising.mean()), float(np.mean((1 - ranks) * rising))
    spread = mean - 2 * weighted
    shape = SHAPES[0] if spread <= 0 else 2 - mean / spread
    shape = min(max(shape, SHAPES[0]), SHAPES[1])
    return shape, max(mean * (1 - shape), 1e-9)


def _threshold(tail: _Tail | None, top: float, hours: float, rate: float) -> tuple[float, bool]:
    """The threshold, in odds, and whether it is provisional."""
    rarest = 1 / (FURTHEST * hours) if hours > 0 else float("inf")
    if tail is not None and rate >= rarest:
        return tail.value(min(rate, tail.per_hour)), False
    # Never below what is known of a more frequent rate.
    known = tail.value(min(rarest, tail.per_hour)) if tail is not None else 0.0
    return max(MARGIN * top, known), True


def _sentence(point: CurvePoint, hours: float, tail: _Tail | None, top: float) -> str:
    wanted = f"{point.rate_per_hour:g} false alarms an hour"
    if not point.is_provisional:
        assert tail is not None
        return f"{point.threshold:.3f} for {wanted}: from {tail.peaks} peaks in {hours:.1f} hours of normal footage."
    needed = 1 / (FURTHEST * point.rate_per_hour)
    why = f"{wanted} need {_time(needed)} of normal footage and there is {_time(hours)}"
    if hours >= needed:
        why = f"{_time(hours)} of normal footage have fewer than {FEWEST_PEAKS} peaks"
    return f"{point.threshold:.3f}, provisional: {why}. {_RESTS_ON} {top:.3f}, the highest score seen."


def _time(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"


def _checked(scores: ArrayLike, times_ns: ArrayLike, rate: float) -> tuple[Values, NDArray[np.int64]]:
    values, times = np.asarray(scores, dtype=np.float64), np.asarray(times_ns, dtype=np.int64)
    if not np.isfinite(rate) or rate <= 0:
        raise InvalidArgument(f"{rate!r} false alarms an hour", "is no rate", "Give a number above 0.")
    if values.ndim != 1 or values.shape != times.shape:
        raise InvalidArgument("scores", f"have shape {values.shape}, and their times {times.shape}")
    if not values.size:
        raise InvalidArgument("calibration", "has no scores", "Inspect normal footage first.")
    if not np.isfinite(values).all() or float(values.min()) < 0 or float(values.max()) > 1:
        raise InvalidArgument("scores", "are not all between 0 and 1")
    if (np.diff(times) < 0).any():
        raise InvalidArgument("times of scores", "run back", "Give frames in the order in which they were received.")
    return values, times


def _odds(values: Values) -> Values:
    cut = np.clip(values, _EDGE, 1 - _EDGE)
    odds: Values = cut / (1 - cut)
    return odds


def _from_odds(value: float) -> float:
    return value / (1 + value)


def _log_odds(values: Values) -> Values:
    return np.log(_odds(values))


def _from_log_odds(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def joined(parts: Sequence[tuple[ArrayLike, ArrayLike]]) -> tuple[Values, NDArray[np.int64]]:
    """Scores and times of stretches that have nothing to do with each other, one behind the other.

    Each stretch begins a minute behind the one before, so that no run goes over from one to the next.
    """
    scores, times, next_ns = [np.empty(0)], [np.empty(0, dtype=np.int64)], 0
    for values, times_ns in parts:
        own = np.asarray(times_ns, dtype=np.int64)
        if own.size:
            scores.append(np.asarray(values, dtype=np.float64))
            times.append(own - own[0] + next_ns)
            next_ns = int(times[-1][-1]) + 60 * SECOND_NS
    return np.concatenate(scores), np.concatenate(times)
