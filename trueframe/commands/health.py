"""`trueframe health`: how a camera's picture is now, how it was day by day, and where it is heading."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from mesh.errors import NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table

if TYPE_CHECKING:
    from aggregate.client import LedgerEntry, SyncLedgerClient
    from detector_pool.health.client import Outlook, Series

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
SAMPLE_NS = 60_000_000_000
"""Of each hour one minute is read: a trend over weeks needs no more."""


@click.command("health")
@click.argument("camera")
@click.option("--days", type=click.IntRange(1, 366), default=70, show_default=True, help="How far back to look.")
@click.option("--inspection", default="", metavar="NAME", help="That watches the picture's health. [CAMERA.health]")
@json_option
@data_option
def command(data: str, camera: str, days: int, inspection: str, as_json: bool) -> None:
    """Say how the picture of CAMERA is, and where it is heading: focus, haze, noise, infrared lamps.

    Trends are taken of what the detector health measured, as far back as the ledger goes; they need twelve days, and
    are held against the first two weeks that are there.
    """
    from detector_pool.health.client import daily_quality, outlooks
    from trueframe.client import connect

    inspection, now_ns = inspection or f"{camera}.health", time.time_ns()
    with connect(data) as tf:
        entries = list(_minutes(tf.ledger, camera, inspection, now_ns - days * DAY_NS, now_ns))
    series = series_of(entries)
    if not series.times_ns.size:
        remedy = f"Start one: trueframe inspections start {inspection}"
        raise NotFound(f"inspection {inspection}", f"has no health of camera {camera} in the last {days} days", remedy)
    record = record_of(camera, inspection, entries, outlooks(series, now_ns), daily_quality(series, now_ns))
    if as_json:
        show_json(record)
        return
    _show(record)


def series_of(entries: Iterable[LedgerEntry]) -> Series:
    """Medians of each hour of what was measured."""
    import numpy as np

    from detector_pool.health.client import NEEDED, Series

    hours: dict[int, dict[str, list[float]]] = {}
    for entry in entries:
        for one in entry.verdict.series:
            if one.name in NEEDED:
                hours.setdefault(entry.verdict.received_ns // HOUR_NS, {}).setdefault(one.name, []).append(one.value)
    order = sorted(hours)
    values = {name: [float(np.median(hours[hour].get(name, [math.nan]))) for hour in order] for name in NEEDED}
    times = np.array([hour * HOUR_NS for hour in order], np.int64)
    return Series(times, {name: np.array(column, np.float64) for name, column in values.items()})


def record_of(
    camera: str, inspection: str, entries: list[LedgerEntry], found: list[Outlook], quality: dict[int, float]
) -> dict[str, Any]:
    """What is shown, as JSON."""
    last = entries[-1].verdict
    return {
        "camera": camera,
        "inspection": inspection,
        "measured_ns": last.received_ns,
        "said": last.said,
        "now": {one.name: round(one.value, 4) for one in last.series},
        "days": len(quality),
        "daily_quality": {str(day): round(value, 3) for day, value in quality.items()},
        "outlooks": [
            {
                "kind": one.kind,
                "quality": one.quality,
                "per_month": one.per_month,
                "days_left": one.days_left,
                "soonest_days": one.soonest_days,
                "latest_days": one.latest_days,
                "said": one.said,
            }
            for one in found
        ],
    }


def _minutes(ledger: SyncLedgerClient, camera: str, inspection: str, from_ns: int, to_ns: int) -> Iterator[LedgerEntry]:
    """Verdicts with series: the minute in the middle of each hour that was inspected, and the newest minute."""
    rows = ledger.coverage(camera, from_ns=from_ns // HOUR_NS * HOUR_NS, to_ns=to_ns, bucket_s=3600)
    hours = sorted({row.from_ns // HOUR_NS * HOUR_NS for row in rows if row.inspection == inspection and row.scored})
    starts = [hour + HOUR_NS // 2 for hour in hours if hour + HOUR_NS // 2 + SAMPLE_NS < to_ns - SAMPLE_NS]
    for start in [*starts, to_ns - SAMPLE_NS]:
        for entry in ledger.read(camera, inspection=inspection, from_ns=start, to_ns=start + SAMPLE_NS):
            if entry.verdict.series:
                yield entry


def _show(record: dict[str, Any]) -> None:
    now = record["now"]
    click.echo(f"{record['camera']}: {record['said'] or 'nothing is wrong with the picture'}")
    click.echo("  " + ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in now.items()))
    if not record["outlooks"]:
        click.echo(f"{record['days']} days are known; trends need twelve.")
        return
    show_table(
        ("TREND", "QUALITY", "PER MONTH", "DAYS LEFT"),
        [
            (one["kind"], f"{one['quality']:.2f}", f"{100 * one['per_month']:+.0f} %", _left(one))
            for one in record["outlooks"]
        ],
    )
    for one in record["outlooks"]:
        if one["said"]:
            click.echo(f"{one['said']}.")


def _left(one: dict[str, Any]) -> str:
    if one["days_left"] is None:
        return "-"
    latest = f"{one['latest_days']:.0f}" if one["latest_days"] is not None else "…"
    return f"{one['days_left']:.0f} ({one['soonest_days']:.0f} to {latest})"
