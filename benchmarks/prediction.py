"""How early slow decay of cameras is predicted, and how often a healthy one is said to decay: simulated years.

`python -m benchmarks.prediction --json` → {"false_per_camera_year", "kinds": {"focus": {"told", "days_before", …}}, …}

Series are made by a model of a year, not by pictures: hours of the day, seasons, weather that lasts for days, hours
without footage, moved furniture. A decay begins after 40 to 90 days and takes 30 to 200 days to the limit: focus drifts
evenly, dust settles and is washed off now and then, noise grows ever faster, infrared lamps fail one after another.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.health.prediction import DAY_NS, HOUR_NS, KINDS, Series, outlooks

Floats = NDArray[np.float64]
FIRST_DAY = 19_700
YEAR = 365


def healthy(rng: np.random.Generator, days: int) -> dict[str, Floats]:
    """Logarithms of a healthy camera's hourly measures, (days, 24)."""
    at = np.arange(days)
    season = np.sin(2 * math.pi * (at / 365.25 + rng.random()))
    hour = np.arange(24)
    half_day = 6.0 + 2.0 * season[:, None]
    is_day = np.abs(hour[None, :] - 12.0) < half_day
    weather = _lasting(rng, days, 0.6)
    found = {
        "brightness": np.where(is_day, 4.6 + 0.12 * season[:, None] + 0.15 * weather[:, None], 3.6),
        "contrast": np.where(is_day, 3.2, 2.8) + 0.08 * season[:, None] + 0.12 * _lasting(rng, days, 0.5)[:, None],
        "noise_level": np.where(is_day, 0.3, 1.3) + 0.06 * _lasting(rng, days, 0.5)[:, None],
        "sharpness": np.where(is_day, -3.5, -3.7) + 0.05 * season[:, None] + 0.05 * _lasting(rng, days, 0.6)[:, None],
    }
    if rng.random() < 0.3:
        # Something in the scene was rearranged for good.
        when, by = int(rng.integers(20, days)), rng.normal(0, 0.12)
        found["contrast"][when:] += by
        found["sharpness"][when:] += by
    for values in found.values():
        values += rng.normal(0, 0.06, values.shape)
        values[rng.random(values.shape) < 0.05] = np.nan
    return found


def _lasting(rng: np.random.Generator, days: int, kept: float) -> Floats:
    """Weather of deviation 1 that lasts: of each day so much is left on the next."""
    out = np.empty(days)
    now = rng.normal()
    for day in range(days):
        now = kept * now + math.sqrt(1 - kept * kept) * rng.normal()
        out[day] = now
    return out


def decay(kind: str, rng: np.random.Generator, days: int) -> tuple[Floats, int]:
    """Share of the way to the limit by day, and the day on which it is gone."""
    begins, takes = int(rng.integers(40, 90)), float(rng.uniform(30, 200))
    gone = np.clip((np.arange(days) - begins) / takes, 0.0, None)
    if kind == "haze":
        share = gone.copy()
        for when in np.flatnonzero(rng.random(days) < 1 / 60):
            share[when:] -= 0.4 * max(share[when], 0.0)
    elif kind == "noise":
        share = (np.exp(2.0 * np.minimum(gone, 1.5)) - 1.0) / (math.e**2 - 1.0)
    elif kind == "infrared":
        lamps = 8
        fails = begins + takes * np.sort(rng.random(lamps)) ** 0.8
        left = lamps - (np.arange(days)[:, None] >= fails[None, :]).sum(axis=1)
        # 3.6 is the logarithm of brightness at night of which an eighth is light from elsewhere.
        share = np.log(left / lamps * 0.875 + 0.125) / -0.6
    else:
        share = gone
    over = np.flatnonzero(share >= 1.0)
    return np.asarray(share, np.float64), int(over[0]) if over.size else days


def series_of(tables: dict[str, Floats], days: int) -> Series:
    """As the command reads them: one value an hour."""
    times = (np.arange(days * 24, dtype=np.int64) + FIRST_DAY * 24) * HOUR_NS
    return Series(times, {name: np.exp(table.ravel()) for name, table in tables.items()})


def told_days(series: Series, days: int, step: int) -> dict[str, list[int]]:
    """The days on which each kind is told, when asked every `step` days."""
    told: dict[str, list[int]] = {kind.name: [] for kind in KINDS}
    for day in range(14, days, step):
        for one in outlooks(series, (FIRST_DAY + day + 1) * DAY_NS - 1):
            if one.days_left is not None:
                told[one.kind].append(day)
    return told


def false_ones(cameras: int, seed: int, step: int) -> dict[str, Any]:
    """Healthy years: how often something is told that is not there."""
    runs: dict[str, int] = {kind.name: 0 for kind in KINDS}
    with_one = 0
    for number in range(cameras):
        rng = np.random.default_rng([seed, 1, number])
        told = told_days(series_of(healthy(rng, YEAR), YEAR), YEAR, step)
        for name, on in told.items():
            # One that goes on, or comes back within a month, is the same.
            runs[name] += sum(1 for at, day in enumerate(on) if at == 0 or day - on[at - 1] > 30)
        with_one += any(told.values())
    return {
        "false_per_camera_year": round(sum(runs.values()) / cameras, 3),
        "false_by_kind": {name: round(count / cameras, 3) for name, count in runs.items()},
        "cameras_with_any": f"{with_one} of {cameras}",
    }


def early_ones(kind: str, cameras: int, seed: int, step: int) -> dict[str, Any]:
    """Decaying cameras: how long before the limit it is told, and how good the remaining time is."""
    measure = next(one for one in KINDS if one.name == kind)
    before, errors, inside, reached = [], [], 0, 0
    asked = 0
    for number in range(cameras):
        rng = np.random.default_rng([seed, 2, number])
        tables = healthy(rng, YEAR)
        share, limit_day = decay(kind, rng, YEAR)
        if limit_day >= YEAR:
            continue
        reached += 1
        fades = share[:, None] * measure.limit
        if measure.at_night:
            night = tables["brightness"] < 4.1
            tables["brightness"] = tables["brightness"] + np.where(night, fades, 0.0)
        else:
            tables[measure.measure] = tables[measure.measure] + fades
        series = series_of(tables, YEAR)
        first: int | None = None
        for day in range(14, limit_day, step):
            found = [one for one in outlooks(series, (FIRST_DAY + day + 1) * DAY_NS - 1) if one.kind == kind]
            if not found or found[0].days_left is None:
                continue
            first = day if first is None else first
            asked += 1
            left, really = found[0].days_left, limit_day - day
            errors.append(abs(left - really) / really)
            latest = found[0].latest_days if found[0].latest_days is not None else math.inf
            inside += bool((found[0].soonest_days or 0.0) <= really <= latest)
        if first is not None:
            before.append(limit_day - first)
    return {
        "reached_the_limit": reached,
        "told_before": len(before),
        "days_before_median": float(np.median(before)) if before else None,
        "days_before_quartiles": [float(v) for v in np.percentile(before, (25, 75))] if before else None,
        "error_of_days_left_median": round(float(np.median(errors)), 2) if errors else None,
        "truth_in_interval": round(inside / asked, 2) if asked else None,
    }


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cameras", type=int, default=60)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--step", type=int, default=3, help="days from one question to the next")
    options = parser.parse_args()
    found: dict[str, Any] = {
        **false_ones(options.cameras, options.seed, options.step),
        "kinds": {kind.name: early_ones(kind.name, options.cameras, options.seed, options.step) for kind in KINDS},
        "camera_years": options.cameras,
    }
    printed: Callable[[Any], str] = json.dumps if options.json else lambda value: json.dumps(value, indent=1)
    print(printed(found))


if __name__ == "__main__":
    main()
