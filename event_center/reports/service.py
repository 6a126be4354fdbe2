"""The gRPC face of reports, and the one place that knows their forms."""

from __future__ import annotations

from typing import Any

from event_center.reports.figures import Report
from event_center.reports.gather import Gatherer
from event_center.reports.page import as_html
from event_center.reports.table import as_csv
from event_center.reports.text import as_text
from event_center.scope import scope
from mesh.errors import InvalidArgument
from mesh.security import principal_of
from trueframe.v1 import reports_pb2, reports_pb2_grpc

LONGEST_NS = 366 * 86_400 * 1_000_000_000
MAX_TITLE = 200
TITLE = "Events and alarms"


class ReportService(reports_pb2_grpc.ReportServiceServicer):
    """Reports on demand."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer

    async def MakeReport(  # noqa: N802 - the rpc's name
        self, request: reports_pb2.MakeReportRequest, context: Any
    ) -> reports_pb2.MakeReportResponse:
        """One report."""
        # First: whoever may not see a camera learns nothing else.
        cameras = scope(principal_of(context), request.cameras)
        if not 0 < request.from_ns < request.to_ns or request.to_ns - request.from_ns > LONGEST_NS:
            raise InvalidArgument("period", "does not go from a time to a later one, a year at most")
        if len(request.title) > MAX_TITLE or not request.title.isprintable():
            raise InvalidArgument("title", f"is not at most {MAX_TITLE} printable characters")
        report = await self._gatherer.report(request.from_ns, request.to_ns, cameras)
        return reports_pb2.MakeReportResponse(content=written(report, request.format, request.title).encode())


def written(report: Report, form: int, title: str = "") -> str:
    """The report in a form. Raises InvalidArgument."""
    match form:
        case reports_pb2.REPORT_FORMAT_HTML:
            return as_html(report, title or TITLE)
        case reports_pb2.REPORT_FORMAT_CSV:
            return as_csv(report)
        case reports_pb2.REPORT_FORMAT_UNSPECIFIED | reports_pb2.REPORT_FORMAT_TEXT:
            return as_text(report, title or TITLE)
        case _:
            raise InvalidArgument(f"format {form}", "is not known")
