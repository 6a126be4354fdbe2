"""Where the figures of a report come from: the book of events, names from the broker, coverage from the ledger.

What cannot be asked is a note in the report, not its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from aggregate.client import LedgerClient
from broker.client import BrokerClient
from event_center.alarm import HOLDING
from event_center.book import EventBook
from event_center.event import Kind
from event_center.filters import EventFilter
from event_center.reports.figures import Period, Report
from mesh.errors import NotFound, TrueframeError

_PAGE = 500
# A camera that was lost longer ago and is still away is found among the alarms that stand.
_BEFORE_NS = 31 * 86_400 * 1_000_000_000


class Gatherer:
    """Makes reports."""

    def __init__(self, book: EventBook, broker: BrokerClient, ledger: LedgerClient, zone: tzinfo) -> None:
        self._book = book
        self._broker = broker
        self._ledger = ledger
        self.zone = zone

    async def report(self, from_ns: int, to_ns: int, cameras: Sequence[str] | None) -> Report:
        """The report of these cameras, or of all. Raises the store's errors."""
        report = Report(Period(from_ns, to_ns, self.zone))
        await self._name(report, cameras)
        seen: set[str] = set()
        lost = {"kinds": [Kind.CAMERA], "cameras": cameras}
        for wanted in (
            EventFilter(cameras=cameras, from_ns=from_ns, to_ns=to_ns - 1),
            EventFilter(**lost, from_ns=max(from_ns - _BEFORE_NS, 1), to_ns=from_ns),  # type: ignore[arg-type]
            EventFilter(**lost, states=sorted(HOLDING), to_ns=from_ns),  # type: ignore[arg-type]
        ):
            await self._add(report, wanted, seen)
        await self._cover(report)
        return report

    async def _add(self, report: Report, wanted: EventFilter, seen: set[str]) -> None:
        token = ""
        while True:
            events, token = await self._book.page(wanted, limit=_PAGE, page_token=token)
            for event in events:
                if event.id not in seen:
                    seen.add(event.id)
                    report.add(event)
            if not token:
                return

    async def _name(self, report: Report, cameras: Sequence[str] | None) -> None:
        try:
            known = await self._broker.list_cameras()
        except TrueframeError as error:
            report.notes.append(f"names of cameras could not be asked: {error}")
            return
        report.names = {
            one.spec.id: one.spec.display_name for one in known if cameras is None or one.spec.id in cameras
        }

    async def _cover(self, report: Report) -> None:
        for camera, _ in report.rows():
            try:
                rows = await self._ledger.coverage(camera, from_ns=report.period.from_ns, to_ns=report.period.to_ns)
            except NotFound:
                continue
            except TrueframeError as error:
                report.notes.append(f"coverage could not be asked: {error}")
                return
            for row in rows:
                report.cover(camera, row.scored, sum(one.frames for one in row.not_scored))
