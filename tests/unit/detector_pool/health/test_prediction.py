"""Slow decay is told before the limit, with the days that are left; healthy years are left in peace."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.prediction import FIRST_DAY, healthy, series_of
from detector_pool.health.prediction import DAY_NS, KINDS, Outlook, Series, daily, daily_quality, outlooks, trend

BY_NAME = {kind.name: kind for kind in KINDS}


def _asked(series: Series, day: int, kind: str) -> Outlook:
    return next(one for one in outlooks(series, (FIRST_DAY + day + 1) * DAY_NS - 1) if one.kind == kind)


def _decaying(kind: str, takes: float, days: int = 120, seed: int = 3) -> Series:
    tables = healthy(np.random.default_rng(seed), days)
    share = np.clip((np.arange(days) - 30) / takes, 0.0, None)[:, None]
    measure = BY_NAME[kind].measure
    where = tables["brightness"] < 4.1 if BY_NAME[kind].at_night else True
    tables[measure] = tables[measure] + np.where(where, share * BY_NAME[kind].limit, 0.0)
    return series_of(tables, days)


@pytest.mark.parametrize("kind", BY_NAME)
def test_decay_is_told_before_the_limit_with_the_days_that_are_left(kind: str) -> None:
    # The limit is reached on day 110.
    found = _asked(_decaying(kind, 80.0), 92, kind)
    assert found.said.startswith(BY_NAME[kind].words)
    assert found.days_left is not None
    assert found.soonest_days is not None
    assert 2 < found.days_left < 50
    assert found.soonest_days <= 18 <= (found.latest_days or 1000)
    assert 0.5 < found.quality < 0.9


def test_a_limit_that_is_behind_is_told_as_reached() -> None:
    found = _asked(_decaying("focus", 60.0), 110, "focus")
    assert found.days_left == 0.0
    assert found.said.endswith("the limit is reached")
    assert found.quality < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_healthy_season_is_left_in_peace(seed: int) -> None:
    series = series_of(healthy(np.random.default_rng([9, seed]), 180), 180)
    for day in range(20, 180, 20):
        assert not any(one.said for one in outlooks(series, (FIRST_DAY + day) * DAY_NS))


def test_a_step_for_good_is_no_trend_once_it_is_behind() -> None:
    tables = healthy(np.random.default_rng(4), 150)
    tables["contrast"][60:] -= 0.3
    assert _asked(series_of(tables, 150), 140, "haze").days_left is None


def test_nights_that_become_longer_are_no_dying_lamps() -> None:
    rng = np.random.default_rng(1)
    hours = np.abs(np.arange(24)[None, :] - 12.0)
    is_day = hours < (9.0 - np.arange(150) / 40)[:, None]
    brightness = np.where(is_day, 4.6, 3.6) + rng.normal(0, 0.05, (150, 24))
    assert _asked(series_of({"brightness": brightness}, 150), 145, "infrared").days_left is None


def test_too_few_days_and_missing_series_say_nothing() -> None:
    series = series_of({"sharpness": np.full((10, 24), -3.0)}, 10)
    assert outlooks(series, (FIRST_DAY + 10) * DAY_NS) == []
    assert outlooks(Series(np.empty(0, np.int64), {"sharpness": np.empty(0)}), FIRST_DAY * DAY_NS) == []


def test_what_was_not_measured_is_passed_over_and_lengths_are_checked() -> None:
    series = _decaying("focus", 80.0)
    values = series.values["sharpness"].copy()
    values[::2] = np.nan
    assert _asked(Series(series.times_ns, {"sharpness": values}), 85, "focus").days_left is not None
    with pytest.raises(ValueError, match="sharpness has 3 values"):
        daily(Series(series.times_ns, {"sharpness": values[:3]}), BY_NAME["focus"], 10**19)


def test_the_future_is_not_looked_at() -> None:
    series = _decaying("focus", 80.0)
    short = series.times_ns <= (FIRST_DAY + 86) * DAY_NS - 1
    cut = Series(series.times_ns[short], {name: one[short] for name, one in series.values.items()})
    assert _asked(series, 85, "focus") == _asked(cut, 85, "focus")


def test_quality_falls_day_by_day_to_a_half_at_the_limit() -> None:
    quality = daily_quality(_decaying("focus", 80.0), (FIRST_DAY + 120) * DAY_NS)
    assert quality[FIRST_DAY + 20] > 0.9
    assert quality[FIRST_DAY + 110] == pytest.approx(0.5, abs=0.12)


def test_the_slope_is_that_of_most_days_and_outliers_do_not_sway_it() -> None:
    days = np.arange(40.0)
    levels = 0.02 * days + np.random.default_rng(2).normal(0, 0.02, 40)
    levels[::7] += 3.0
    slope, low, high = trend(days, levels)
    assert slope == pytest.approx(0.02, abs=0.003)
    assert low < 0.02 < high
