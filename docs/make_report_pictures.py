"""Makes the pictures of the guide's reports: a week of a site that never was, drawn by a browser.

    python docs/make_report_pictures.py     # needs chromium; writes docs/pictures/report*.png

The events are made up, with a fixed seed; the pages are what `trueframe report --format html` writes of them.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from event_center import deeds  # noqa: E402 - only runs from the tree
from event_center.alarm import Alarm, follow  # noqa: E402
from event_center.event import Event, Kind  # noqa: E402
from event_center.reports.figures import Period, Report  # noqa: E402
from event_center.reports.page import as_html  # noqa: E402
from event_center.work import deeds as work  # noqa: E402
from event_center.work.labels import Label, Verdict  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
SECOND = 1_000_000_000
DAY_S = 86_400
# 2026-11-16 00:00 in Seoul, a Monday.
MONDAY_S = 1_794_754_800
# In scripts that the fonts of the machine that draws have.
NAMES = {"gate": "北门", "yard": "Yard", "dock": "Loading dock", "lobby": "Lobby", "roof": "Dach Süd", "lot": "停车场"}
WEIGHTS = {"gate": 9, "yard": 6, "dock": 5, "lobby": 3, "roof": 1, "lot": 4}


def event(number: int, dice: random.Random, days: int) -> Event:
    """An alarm of some camera at some time, seen and labelled by chance."""
    camera = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    # Nights are livelier.
    hour = dice.choice((0, 1, 2, 4, 5, 6, 9, 13, 18, 20, 21, 22, 22, 23))
    at_ns = (MONDAY_S + dice.randrange(days) * DAY_S + hour * 3600 + dice.randrange(3600)) * SECOND
    kind = dice.choices(list(Kind), (80, 15, 3))[0]
    detector = {Kind.ANOMALY: dice.choice(("motion@1", "motion@1", "person@3", "posture@2")),
                Kind.CAMERA: "camera-state", Kind.SYSTEM: "nats.away"}[kind]  # fmt: skip
    ended_ns = at_ns + round(dice.expovariate(1 / 240) + 5) * SECOND
    made = Event(f"e{number}", kind, camera, detector, "", dice.choice((2, 3, 3)), at_ns, changed_ns=at_ns)
    made = replace(made, alarm=follow(Alarm(), holds=True, actor="aggregate", at_ns=at_ns), ended_ns=ended_ns)
    if dice.random() < 0.96:
        made = deeds.acknowledge(made, "anna", "", at_ns + round(dice.lognormvariate(3.4, 1.0) * SECOND)) or made
    if kind is Kind.ANOMALY and dice.random() < 0.6:
        verdict = dice.choices((Verdict.TRUE, Verdict.FALSE, Verdict.UNSURE), (70, 22, 8))[0]
        made = work.label(made, "anna", Label(verdict), at_ns + 3600 * SECOND) or made
    return made


def report(days: int, alarms: int) -> Report:
    """So many days of so many alarms."""
    dice = random.Random(7)
    made = Report(Period(MONDAY_S * SECOND, (MONDAY_S + days * DAY_S) * SECOND, ZoneInfo("Asia/Seoul")), dict(NAMES))
    for number in range(alarms):
        made.add(event(number, dice, days))
    for number, camera in enumerate(NAMES):
        made.cover(camera, 15 * DAY_S * days, 2500 * days * number * number)
    return made


def draw(page: str, picture: Path, height: int) -> None:
    """Writes a page as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(page, encoding="utf-8")
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--window-size=1040,{height}", f"--user-data-dir={folder}/browser", f"--screenshot={picture}",
                source.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def main() -> None:
    """Both pictures."""
    draw(as_html(report(7, 420), "Weekly report 2026-11-16"), PICTURES / "report.png", 1230)
    draw(as_html(report(1, 74), "Daily report 2026-11-16"), PICTURES / "report-day.png", 1230)


if __name__ == "__main__":
    main()
