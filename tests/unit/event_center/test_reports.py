"""Reports: figures checked by hand, forms that carry nothing out, and what is written by itself."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from event_center import deeds
from event_center.alarm import Alarm, follow
from event_center.book import EventBook
from event_center.event import Event, Kind
from event_center.folding import CameraReport
from event_center.reports.figures import Figures, Period, Report, response_times
from event_center.reports.gather import Gatherer
from event_center.reports.page import as_html
from event_center.reports.plots import over_time
from event_center.reports.schedule import last_period, write_due
from event_center.reports.table import as_csv
from event_center.reports.text import as_text
from event_center.reports.words import percent, seconds
from event_center.work import deeds as work
from event_center.work.labels import Label, Verdict
from mesh.clocks import ManualClock
from mesh.csv_cells import cell
from mesh.errors import NotFound, Unavailable
from mesh.store import SqliteStore
from trueframe.v1 import cameras_pb2, inspection_pb2

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
SEOUL = ZoneInfo("Asia/Seoul")
# 2026-11-19 00:00 in Seoul.
MIDNIGHT = 1_795_014_000 * SECOND


def alarm(name: str, camera: str, at_s: int, *, seen_after_s: int = 0, verdict: Verdict | None = None) -> Event:
    at_ns = MIDNIGHT + at_s * SECOND
    event = Event(name, Kind.ANOMALY, camera, "motion@1", "Motion", 2, at_ns, changed_ns=at_ns)
    event = replace(event, alarm=follow(Alarm(), holds=True, actor="aggregate", at_ns=at_ns))
    if seen_after_s:
        event = deeds.acknowledge(event, "anna", "", at_ns + seen_after_s * SECOND) or event
    if verdict:
        event = work.label(event, "anna", Label(verdict), at_ns + 900 * SECOND) or event
    return event


def report() -> Report:
    found = Report(Period(MIDNIGHT, MIDNIGHT + DAY, SEOUL), {"gate": "=정문 <b>", "yard": "Yard"})
    for number in range(1, 21):
        found.add(alarm(f"a{number}", "gate", 3600 * (number % 3), seen_after_s=number))
    found.add(alarm("b1", "yard", 7200, verdict=Verdict.FALSE))
    found.add(alarm("b2", "yard", 7201, verdict=Verdict.TRUE, seen_after_s=60))
    found.add(alarm("b3", "yard", 7202, verdict=Verdict.FALSE))
    found.add(alarm("early", "yard", -1))
    lost = Event("c1", Kind.CAMERA, "yard", "camera-state", "lost", 2, MIDNIGHT - 100 * SECOND,
                 ended_ns=MIDNIGHT + 50 * SECOND)  # fmt: skip
    found.add(lost)
    found.add(replace(lost, id="c2", started_ns=MIDNIGHT + DAY - 30 * SECOND, ended_ns=0))
    found.cover("gate", 90, 10)
    return found


def test_figures_are_those_counted_by_hand() -> None:
    found = report()
    gate, yard = found.cameras["gate"], found.cameras["yard"]
    assert (gate.alarms, gate.unseen, gate.response(0.5), gate.response(0.95)) == (20, 0, 10.0, 19.0)
    assert (yard.alarms, yard.events, yard.unseen, yard.response(0.95)) == (3, 4, 2, 60.0)
    assert yard.false_share == pytest.approx(2 / 3)
    assert (yard.downtime_s, gate.coverage, yard.coverage) == (80.0, 0.9, None)
    assert (found.whole.alarms, found.whole.events, found.floods) == (23, 24, 0)
    assert sum(sum(counts.values()) for counts in found.slots.values()) == 23
    assert found.slots["2026-11-19 02:00"]["anomaly"] == 10
    assert [camera for camera, _ in found.rows()] == ["gate", "yard"]


def test_an_acknowledgement_that_was_taken_back_is_no_answer() -> None:
    event = alarm("a1", "gate", 0, seen_after_s=5)
    event = work.undo(event, "anna", 0, MIDNIGHT + 6 * SECOND)
    assert response_times(event.alarm) == []
    seen = deeds.acknowledge(event, "otto", "", MIDNIGHT + 40 * SECOND)
    assert seen is not None
    assert response_times(seen.alarm) == [40.0]


def test_a_page_loads_and_runs_nothing_and_shows_names_as_they_are() -> None:
    page = as_html(report(), "Report <script>alert(1)</script>")
    assert "<script" not in page
    assert "=정문 &lt;b&gt;" in page
    assert not re.findall(r"(?:src|href|url)\s*[=(]", page)
    for svg in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(svg)
    assert page.count("<svg") == 5


def test_csv_cells_are_never_formulas() -> None:
    assert [cell(text) for text in ("=1+1", "+1", "-1", "@x", "\t=1", "a=1")] == [
        "'=1+1", "'+1", "'-1", "'@x", "'\t=1", "a=1",
    ]  # fmt: skip
    assert [cell(value) for value in (-1.5, None, True)] == [-1.5, "", True]
    rows = list(csv.DictReader(io.StringIO(as_csv(report()))))
    assert [row["camera"] for row in rows] == ["all", "gate", "yard"]
    assert rows[1]["name"] == "'=정문 <b>"
    assert (rows[1]["median_to_acknowledge_s"], rows[2]["false_share"][:5], rows[1]["coverage"]) == (
        "10.0",
        "0.666",
        "0.9",
    )


def test_text_has_a_line_for_every_hour_and_camera() -> None:
    text = as_text(report(), "Daily")
    assert text.count("2026-11-19 ") >= 24
    assert re.search(r"^median to acknowledge: +11 s$", text, re.M)
    assert re.search(r"^gate +=정문 <b> +20 ", text, re.M)


def test_an_empty_period_is_a_report_all_the_same() -> None:
    empty = Report(Period(MIDNIGHT, MIDNIGHT + 7 * DAY, SEOUL))
    assert "Alarms over time" in as_text(empty, "Weekly")
    assert as_html(empty, "Weekly").count("<p>none</p>") == 4
    assert len(empty.period.slots()) == 7
    assert Figures().response(0.5) is None


def test_words_never_claim_more_than_there_is() -> None:
    assert (percent(0.9999), percent(1.0), percent(None)) == ("99.9 %", "100.0 %", "-")
    assert [seconds(value) for value in (1.25, 59.6, 3599, 7300, 200_000)] == [
        "1.2 s", "1 min 0 s", "59 min 59 s", "2 h 1 min", "2 d 7 h",
    ]  # fmt: skip


def test_days_of_clock_changes_have_their_own_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    morning = round(datetime(2026, 10, 26, 8, tzinfo=berlin).timestamp())
    autumn = last_period("daily", morning * SECOND, berlin)
    assert (autumn.name, (autumn.to_ns - autumn.from_ns) // SECOND) == ("daily-2026-10-25", 90_000)
    svg = over_time(["2026-10-25 02:00"], {"2026-10-25 02:00": {"anomaly": 3}})
    assert "3 anomalies" in svg


class Broker:
    """Stands for the broker: it tells of one camera."""

    async def list_cameras(self) -> list[cameras_pb2.Camera]:
        return [cameras_pb2.Camera(spec=cameras_pb2.CameraSpec(id="gate", display_name="정문"))]


class Ledger:
    """Stands for the ledger."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def coverage(self, camera: str, *, from_ns: int, to_ns: int) -> list[inspection_pb2.CoverageRow]:
        if self.error:
            raise self.error
        return [inspection_pb2.CoverageRow(scored=3, not_scored=[inspection_pb2.ReasonCount(frames=1)])]


async def gatherer(store: SqliteStore, ledger: Ledger) -> Gatherer:
    book = await EventBook.open(store, ManualClock())
    for camera, state, at_s in (("gate", "lost", -3 * 86_400), ("gate", "live", 60), ("yard", "lost", -40 * 86_400)):
        await book.tell_camera(CameraReport(camera, "", state, MIDNIGHT + at_s * SECOND, ""))
    fakes: Any = Broker(), ledger
    return Gatherer(book, *fakes, SEOUL)


async def test_cameras_that_were_lost_before_the_period_are_down_in_it(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        made = await gatherer(store, Ledger())
        found = await made.report(MIDNIGHT, MIDNIGHT + DAY, None)
        assert (found.cameras["gate"].downtime_s, found.cameras["yard"].downtime_s) == (60.0, 86_400.0)
        assert (found.cameras["gate"].coverage, found.names) == (0.75, {"gate": "정문"})
        only = await made.report(MIDNIGHT, MIDNIGHT + DAY, ["gate"])
        assert list(only.cameras) == ["gate"]


async def test_what_cannot_be_asked_is_a_note(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        made = await gatherer(store, Ledger(Unavailable("aggregate", "is away")))
        assert "is away" in (await made.report(MIDNIGHT, MIDNIGHT + DAY, None)).notes[0]
        made = await gatherer(store, Ledger(NotFound("camera", "was never inspected")))
        assert (await made.report(MIDNIGHT, MIDNIGHT + DAY, None)).notes == []


async def test_reports_are_written_once_and_the_oldest_go(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    async with SqliteStore(tmp_path / "events.sqlite") as store:
        made = await gatherer(store, Ledger())
        just_after = MIDNIGHT + 5 * DAY + 3600 * SECOND
        first = await write_due(made, folder, ("daily", "weekly"), 2, just_after)
        assert {path.name for path in first} == {
            f"{name}.{suffix}"
            for name in ("daily-2026-11-23", "weekly-2026-11-16")
            for suffix in ("csv", "txt", "html")
        }
        assert await write_due(made, folder, ("daily", "weekly"), 2, just_after + 3600 * SECOND) == []
        for day in (1, 2):
            await write_due(made, folder, ("daily",), 2, just_after + day * DAY)
        assert sorted(path.name for path in folder.glob("daily-*.html")) == [
            "daily-2026-11-24.html", "daily-2026-11-25.html",
        ]  # fmt: skip
        assert len(list(folder.iterdir())) == 9
