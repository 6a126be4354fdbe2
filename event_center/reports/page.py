"""A report as one HTML page with its plots inside. Pure; nothing is loaded from anywhere, no script runs."""

from __future__ import annotations

from html import escape

from event_center.reports.figures import Report
from event_center.reports.plots import bars, over_time
from event_center.reports.words import COLUMNS, headline, percent, period, row, seconds

_MOST_BARS = 15
_STYLE = """
body { margin: 24px auto; max-width: 960px; font: 14px/1.4 'DejaVu Sans', 'Noto Sans', 'Noto Sans CJK KR', sans-serif;
  color: #222; background: #fff; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 15px; margin: 28px 0 8px; } p { color: #555; margin: 2px 0 16px; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; }
.tiles div { background: #f2f2f0; padding: 10px 12px; } .tiles b { display: block; font-size: 21px; }
.tiles span { color: #555; font-size: 12px; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 20px; } svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 11px; width: 100%; }
th { text-align: right; font-weight: normal; color: #555; vertical-align: bottom; } th, td { padding: 3px; }
td { white-space: nowrap; }
td { text-align: right; border-top: 1px solid #ddd; } tr.all td { font-weight: bold; border-top: 2px solid #888; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
@media print { body { margin: 0; } }
"""


def as_html(report: Report, title: str) -> str:
    """The whole page."""
    tiles = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in headline(report))
    rows = report.rows()
    loud = [(_name(report, camera), float(one.alarms), str(one.alarms)) for camera, one in rows if one.alarms]
    down = sorted(((_name(report, camera), one.downtime_s, seconds(one.downtime_s)) for camera, one in rows
                   if one.downtime_s), key=lambda bar: -bar[1])  # fmt: skip
    covered = sorted(((_name(report, camera), one.coverage, percent(one.coverage)) for camera, one in rows
                      if one.coverage is not None), key=lambda bar: bar[1])  # fmt: skip
    detectors = [(name, float(count), str(count)) for name, count in report.detectors.most_common()]
    plots = "".join(
        f"<div><h2>{heading}</h2>{bars(shown[:_MOST_BARS], colour, heading) if shown else '<p>none</p>'}</div>"
        for heading, shown, colour in (
            ("Alarms by camera", loud, "#4a6f8a"),
            ("Alarms by detector", detectors, "#4a6f8a"),
            ("Downtime of cameras", down, "#b08030"),
            ("Frames inspected, the least first", covered, "#5a7a5a"),
        )
    )
    body = "".join(_line(row(report, camera, figures), "") for camera, figures in rows)
    notes = "".join(f"<p>Note: {escape(note)}</p>" for note in report.notes)
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(period(report))}</p><div class=tiles>{tiles}</div>"
        f"<h2>Alarms over time</h2>{over_time(report.period.slots(), report.slots)}<div class=two>{plots}</div>"
        f"<h2>Cameras</h2><table><tr>{head}</tr>{body}{_line(row(report, '', report.whole), ' class=all')}</table>"
        f"{notes}</body></html>\n"
    )


def _line(cells: list[str], attributes: str) -> str:
    return f"<tr{attributes}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _name(report: Report, camera: str) -> str:
    return report.names.get(camera) or camera
