"""A report as CSV: a row a camera, one for all; times in seconds, shares from 0 to 1. Pure."""

from __future__ import annotations

from event_center.reports.figures import Figures, Report
from mesh.csv_cells import csv_text

TITLES = (
    "from", "to", "camera", "name", "events", "alarms", "occurrences", "priority_1", "priority_2", "priority_3",
    "priority_4", "still_wait", "shelved", "acknowledgements", "median_to_acknowledge_s", "p95_to_acknowledge_s",
    "labelled_true", "labelled_false", "labelled_unsure", "false_share", "downtime_s", "frames_scored",
    "frames_not_scored", "coverage",
)  # fmt: skip


def as_csv(report: Report) -> str:
    """The whole file."""
    rows = [("", report.whole), *report.rows()]
    return csv_text(TITLES, [_row(report, camera, figures) for camera, figures in rows])


def _row(report: Report, camera: str, one: Figures) -> list[object]:
    period = report.period
    return [
        period.local(period.from_ns).isoformat(), period.local(period.to_ns).isoformat(), camera or "all",
        report.names.get(camera, ""), one.events, one.alarms, one.occurrences,
        *(one.priorities[priority] for priority in range(1, 5)), one.unseen, one.shelved, len(one.response_s),
        one.response(0.5), one.response(0.95), *(one.verdicts[verdict] for verdict in ("true", "false", "unsure")),
        one.false_share, round(one.downtime_s, 1), one.scored, one.not_scored, one.coverage,
    ]  # fmt: skip
