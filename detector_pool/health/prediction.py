"""Where a camera's picture is heading: trends of what health measures, over weeks, and when they reach the limit.

Pure functions over series. A day's value is the median, over hours of the day, of how far each hour is from what
the same hour was in the camera's first two weeks: day and night differ, and neither counts as a trend. The trend is the
median of the slopes between all pairs of days (Theil 1950, Sen 1968) of the last eight weeks, with Sen's interval by
Kendall's statistic, widened by the days' serial correlation (as Hamed and Rao 1998 do, here to the first lag). What is
said is said only of a trend that is sure, has already taken a share of the way, and has been seen for days.

The limits are those of the detector: a quality of 0.5 is where `health` would call a sudden change of this size a
fault. Slow changes it does not see itself, since what it holds pictures against is only days old.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

DAY_NS = 86_400_000_000_000
HOUR_NS = 3_600_000_000_000
Floats = NDArray[np.float64]

NEEDED = ("brightness", "contrast", "noise_level", "sharpness")
"""Series of the detector `health` that trends are taken of."""
BASELINE_DAYS = 14
WINDOW_DAYS = 56
RECENT_DAYS = 7
LEAST_DAYS = 12
"""Days of the window that must have values."""
SURE = 2.58
"""Deviations of a normal distribution: one in a hundred, both sides."""
LEVEL_WRONG = 0.15
"""Of the way to the limit: what season and the weather of the first weeks make of it."""
HORIZON_DAYS = 120.0
HELD_DAYS = 3
"""Days in a row on which a trend must be found before it is told."""
_LEAST_HOURS = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A slow way to go bad, and the measure in which it shows. Limits are differences of logarithms."""

    name: str
    measure: str
    limit: float
    """Where quality is 0.5."""
    words: str
    at_night: bool = False
    """Only the darkest hours of the day count."""
    taken: float = 0.3
    """Share of the way to the limit that must be behind before anything is told."""


KINDS = (
    Kind("focus", "sharpness", -0.5, "the picture becomes softer: the focus drifts, or the dome is getting dull"),
    Kind("haze", "contrast", -0.5, "contrast fades: dust, grease or a dull dome before the lens", taken=0.45),
    Kind("noise", "noise_level", 0.7, "the sensor becomes noisier"),
    Kind("infrared", "brightness", -0.6, "nights become darker: infrared lamps are dying", at_night=True),
)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """What was measured of one camera, in order of time."""

    times_ns: NDArray[np.int64]
    """UTC nanoseconds, (n,)."""
    values: Mapping[str, Floats] = field(default_factory=dict)
    """By the name of the series, (n,); NaN where it was not measured."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where one kind of decay stands."""

    kind: str
    quality: float
    """1 as in the first two weeks, 0.5 at the limit."""
    per_month: float
    """Change in thirty days, as a share of the way from the first weeks to the limit."""
    days_left: float | None = None
    """Until the limit; None without a trend that is told."""
    soonest_days: float | None = None
    latest_days: float | None = None
    """Interval of `days_left`; `latest_days` is None if the trend may be much slower."""
    said: str = ""
    """In words; empty if there is nothing to say."""


def outlooks(series: Series, now_ns: int) -> list[Outlook]:
    """What is to be said of each kind of decay at a time, from series up to then.

    Kinds without enough days are left out. Raises ValueError: values and times are not of one length.
    """
    today = now_ns // DAY_NS
    found = []
    for kind in KINDS:
        if kind.measure not in series.values:
            continue
        days, levels = daily(series, kind, now_ns)
        newest = _outlook(kind, days, levels, today)
        if newest is None:
            continue
        if newest.days_left is not None:
            before = [_outlook(kind, days, levels, today - back) for back in range(1, HELD_DAYS)]
            if any(one is None or one.days_left is None for one in before):
                newest = Outlook(newest.kind, newest.quality, newest.per_month)
        found.append(newest)
    return found


def daily(series: Series, kind: Kind, now_ns: int) -> tuple[NDArray[np.int64], Floats]:
    """Days since 1970 with values, and each one's level: a logarithm's distance from the first weeks, hour by hour."""
    values = np.asarray(series.values[kind.measure], np.float64)
    if values.shape != series.times_ns.shape:
        raise ValueError(f"series {kind.measure} has {values.size} values for {series.times_ns.size} times")
    known = np.isfinite(values) & (values > 0) & (series.times_ns <= now_ns)
    hours = series.times_ns[known] // HOUR_NS
    table = _hourly(hours, np.log(values[known]))
    if table is None:
        return np.empty(0, np.int64), np.empty(0)
    first_day, grid = table
    with_values = np.flatnonzero(np.isfinite(grid).any(axis=1))
    first = grid[with_values[0] : with_values[0] + BASELINE_DAYS]
    usual = _median(first)
    if kind.at_night:
        dark = np.isfinite(usual) & (usual <= np.nanmin(usual) + 0.35) & (usual <= np.nanmax(usual) - 0.35)
        grid = np.where(dark[None, :], grid, np.nan)
    away = grid - usual[None, :]
    counts = np.isfinite(away).sum(axis=1)
    days = np.flatnonzero(counts >= _LEAST_HOURS)
    return (days + first_day).astype(np.int64), _median(away[days].T) if days.size else np.empty(0)


def daily_quality(series: Series, now_ns: int) -> dict[int, float]:
    """Quality of each day, the worst of all kinds, by days since 1970."""
    worst: dict[int, float] = {}
    for kind in KINDS:
        if kind.measure in series.values:
            days, levels = daily(series, kind, now_ns)
            for day, level in zip(days.tolist(), levels.tolist(), strict=True):
                worst[day] = min(worst.get(day, 1.0), _quality(level / kind.limit))
    return dict(sorted(worst.items()))


def trend(days: Floats, levels: Floats) -> tuple[float, float, float]:
    """Slope a day, and its interval at `SURE` deviations. For at least three days, in order."""
    first, second = np.triu_indices(days.size, 1)
    slopes = np.sort((levels[second] - levels[first]) / (days[second] - days[first]))
    middle = float(np.median(slopes))
    count = days.size
    left = levels - middle * days
    left -= np.median(left)
    together = float((left[1:] * left[:-1]).sum()) / max(float((left * left).sum()), 1e-12)
    alike = min(max(together, 0.0), 0.9)
    variance = count * (count - 1) * (2 * count + 5) / 18.0 * (1.0 + alike) / (1.0 - alike)
    reach = SURE * math.sqrt(variance)
    low = int(max(0, math.floor((slopes.size - reach) / 2)))
    high = int(min(slopes.size - 1, math.ceil((slopes.size + reach) / 2)))
    return middle, float(slopes[low]), float(slopes[high])


def _outlook(kind: Kind, days: NDArray[np.int64], levels: Floats, today: int) -> Outlook | None:
    inside = (days > today - WINDOW_DAYS) & (days <= today)
    if int(inside.sum()) < LEAST_DAYS:
        return None
    # As shares of the way to the limit: a decay grows, whatever its sign.
    at, shares = days[inside].astype(np.float64), levels[inside] / kind.limit
    slope, slowest, fastest = trend(at, shares)
    now = float(np.median(shares - slope * (at - today)))
    quality = _quality(now)
    plain = Outlook(kind.name, round(quality, 3), round(30.0 * slope, 3))
    lately = shares[at > today - RECENT_DAYS]
    if lately.size >= RECENT_DAYS // 2 and float(np.median(lately)) >= 1.0:
        return Outlook(kind.name, plain.quality, plain.per_month, 0.0, 0.0, 0.0, f"{kind.words}; the limit is reached")
    if slowest <= 0.0 or now < kind.taken:
        return plain
    # Many decays grow faster as they go: the newer half of the window may know better.
    newer = at > today - WINDOW_DAYS / 2
    if int(newer.sum()) >= LEAST_DAYS:
        newer_slope, _, newer_fastest = trend(at[newer], shares[newer])
        slope, fastest = max(slope, newer_slope), max(fastest, newer_fastest)
    # At the limit by its trend and not yet by its days: any day now.
    left = max(0.02, 1.0 - now)
    # How far the level itself may be wrong: weather of the first weeks, season, and scatter of days.
    scatter = float(np.median(np.abs(shares - slope * (at - today) - now)))
    wrong = LEVEL_WRONG + 2.0 * scatter
    days_left, soonest, latest = left / slope, max(0.0, left - wrong) / fastest, (left + wrong) / slowest
    if days_left > HORIZON_DAYS:
        return plain
    latest_days = round(latest, 1) if latest <= 4.0 * HORIZON_DAYS else None
    until = f"{latest:.0f}" if latest_days is not None else "many"
    said = f"{kind.words}; at this pace the limit is reached in {days_left:.0f} days ({soonest:.0f} to {until})"
    return Outlook(kind.name, plain.quality, plain.per_month, round(days_left, 1), round(soonest, 1), latest_days, said)


def _quality(share: float) -> float:
    """As the detector's: 0.5 where the way to the limit is gone."""
    share = max(share, 0.0)
    return 1.0 / (1.0 + share * share)


def _hourly(hours: NDArray[np.int64], values: Floats) -> tuple[int, Floats] | None:
    """First day, and the median of each hour's values, (days, 24), NaN where there are none."""
    if not hours.size:
        return None
    order = np.lexsort((values, hours))
    hours, values = hours[order], values[order]
    starts = np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))
    ends = np.append(starts[1:], hours.size)
    counts = ends - starts
    lower, upper = values[starts + (counts - 1) // 2], values[starts + counts // 2]
    first_day, last_day = int(hours[0] // 24), int(hours[-1] // 24)
    grid = np.full(((last_day - first_day + 1) * 24,), np.nan)
    grid[hours[starts] - first_day * 24] = (lower + upper) / 2.0
    return first_day, grid.reshape(-1, 24)


def _median(table: Floats) -> Floats:
    """Median over the first axis, NaN where a column has no value."""
    out = np.full(table.shape[1], np.nan)
    known = np.isfinite(table).any(axis=0)
    if known.any():
        out[known] = np.nanmedian(table[:, known], axis=0)
    return out
