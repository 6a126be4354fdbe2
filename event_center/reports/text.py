"""A report as text for a terminal or a mail. Pure."""

from __future__ import annotations

from event_center.reports.figures import Report
from event_center.reports.words import COLUMNS, headline, period, row

_BAR = 40
# Names of cameras are free text: nothing of them may steer a terminal.
_SHOWN = (0, 1, 3, 8, 10, 11, 15, 16, 17)


def as_text(report: Report, title: str) -> str:
    """Headline, alarms over time, cameras, notes."""
    lines = [title, period(report), ""]
    lines += [f"{name + ':':27} {value}" for name, value in headline(report)]
    lines += ["", "Alarms over time"]
    counts = {slot: sum(report.slots.get(slot, {}).values()) for slot in report.period.slots()}
    most = max(counts.values(), default=0) or 1
    lines += [f"{slot}  {count:5}  {'#' * round(_BAR * count / most)}".rstrip() for slot, count in counts.items()]
    cells = [[COLUMNS[column].upper() for column in _SHOWN]]
    cells += [_plain(row(report, camera, figures)) for camera, figures in [*report.rows(), ("", report.whole)]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_SHOWN))]
    lines += ["", "Cameras"]
    lines += ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    if report.notes:
        lines += ["", *(f"Note: {note}" for note in report.notes)]
    return "\n".join(lines) + "\n"


def _plain(cells: list[str]) -> list[str]:
    return ["".join(one for one in cells[column] if one.isprintable()) for column in _SHOWN]
