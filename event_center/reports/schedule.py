"""Reports written by themselves: of each day, of each week, into a folder, the oldest gone in the end.

The files say what was done: a report that is there is not made again, whatever was restarted meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path

from event_center.reports.gather import Gatherer
from event_center.reports.service import written
from mesh.clocks import Clock
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited
from trueframe.v1.reports_pb2 import REPORT_FORMAT_CSV, REPORT_FORMAT_HTML, REPORT_FORMAT_TEXT

log = get_logger("event_center.reports")

EVERY_S = 60.0
FORMS = {"html": REPORT_FORMAT_HTML, "csv": REPORT_FORMAT_CSV, "txt": REPORT_FORMAT_TEXT}
DAYS = {"daily": 1, "weekly": 7}
# Events of before midnight come to the desk, and are seen by people, a little later.
_LATE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Due:
    """A report that should be there."""

    name: str
    title: str
    from_ns: int
    to_ns: int


def last_period(kind: str, now_ns: int, zone: tzinfo) -> Due:
    """The last whole day or week (from Monday) of a site, ten minutes after its end. Pure."""
    now = datetime.fromtimestamp(now_ns / 1e9, zone) - _LATE
    end = now.date() if kind == "daily" else now.date() - timedelta(days=now.weekday())
    begin = end - timedelta(days=DAYS[kind])
    from_ns, to_ns = (round(datetime.combine(day, time(), zone).timestamp()) * 1_000_000_000 for day in (begin, end))
    name = f"{kind}-{begin.isoformat()}"
    return Due(name, f"{kind.capitalize()} report {begin.isoformat()}", from_ns, to_ns)


async def write_due(gatherer: Gatherer, folder: Path, kinds: tuple[str, ...], keep: int, now_ns: int) -> list[Path]:
    """Writes the reports that are due and not there, and takes away the oldest; returns what was written."""
    made: list[Path] = []
    for kind in kinds:
        due = last_period(kind, now_ns, gatherer.zone)
        if (folder / f"{due.name}.html").exists():
            continue
        report = await gatherer.report(due.from_ns, due.to_ns, None)
        # The page last: it says that all are there.
        for suffix in ("csv", "txt", "html"):
            path = folder / f"{due.name}.{suffix}"
            await asyncio.to_thread(_write, path, written(report, FORMS[suffix], due.title))
            made.append(path)
        await asyncio.to_thread(_prune, folder, kind, keep)
        log.info("report written", report=str(made[-1]))
    return made


async def keep_written(gatherer: Gatherer, folder: Path, kinds: tuple[str, ...], keep: int, clock: Clock) -> None:
    """Writes reports as they become due, for ever."""
    while True:
        try:
            await write_due(gatherer, folder, kinds, keep, clock.utc_ns())
        except (TrueframeError, OSError) as error:
            if rate_limited("reports", 600.0):
                log.warning("a report could not be written", reason=str(error))
        await asyncio.sleep(EVERY_S)


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(content, encoding="utf-8", newline="")
    partial.replace(path)


def _prune(folder: Path, kind: str, keep: int) -> None:
    names = sorted({path.stem for path in folder.glob(f"{kind}-*.html")}, reverse=True)
    for name in names[keep:]:
        for suffix in FORMS:
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
