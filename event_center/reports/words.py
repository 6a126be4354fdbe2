"""Figures as words, for all forms of a report. Pure."""

from __future__ import annotations

from event_center.reports.figures import Figures, Report

NONE = "-"


def seconds(value: float | None) -> str:
    """ "12 s", "3 min 5 s", "2 h 4 min", "3 d 2 h"."""
    if value is None:
        return NONE
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def percent(share: float | None) -> str:
    """ "97.3 %"; whole only where it is."""
    if share is None:
        return NONE
    text = f"{100 * share:.1f}"
    # 99.96 % of all frames are not all of them.
    if text == "100.0" and share < 1:
        text = "99.9"
    return f"{text} %"


def period(report: Report) -> str:
    """From when to when."""
    first, last = report.period.local(report.period.from_ns), report.period.local(report.period.to_ns)
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} ({first:%Z})"


def headline(report: Report) -> list[tuple[str, str]]:
    """The figures that matter first."""
    whole = report.whole
    return [
        ("alarms", str(whole.alarms)),
        ("still wait", str(whole.unseen)),
        ("median to acknowledge", seconds(whole.response(0.5))),
        ("95 % acknowledged within", seconds(whole.response(0.95))),
        ("false of those labelled", percent(whole.false_share)),
        ("frames inspected", percent(whole.coverage)),
        ("downtime of cameras", seconds(whole.downtime_s)),
        ("floods", str(report.floods)),
    ]


COLUMNS = (
    "camera", "name", "events", "alarms", "priority 1", "priority 2", "priority 3", "priority 4", "still wait",
    "shelved", "median to acknowledge", "95 % within", "labelled true", "labelled false", "labelled unsure",
    "false share", "downtime", "frames inspected",
)  # fmt: skip


def row(report: Report, camera: str, figures: Figures) -> list[str]:
    """A camera, or "" for all, under COLUMNS."""
    return [
        camera or "all", report.names.get(camera, ""), str(figures.events), str(figures.alarms),
        *(str(figures.priorities[priority]) for priority in range(1, 5)), str(figures.unseen), str(figures.shelved),
        seconds(figures.response(0.5)), seconds(figures.response(0.95)),
        *(str(figures.verdicts[verdict]) for verdict in ("true", "false", "unsure")), percent(figures.false_share),
        seconds(figures.downtime_s) if figures.downtime_s else "none", percent(figures.coverage),
    ]  # fmt: skip
