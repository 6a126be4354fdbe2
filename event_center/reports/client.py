"""Reports for other parts and for programs; asynchronous and synchronous.

with SyncReportClient(endpoint, token) as reports:
    page = reports.make(from_ns, to_ns, "html")
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio

from mesh.channel import Token, connect, connect_sync
from mesh.errors import InvalidArgument, from_rpc_error
from trueframe.v1.reports_pb2 import MakeReportRequest, ReportFormat
from trueframe.v1.reports_pb2_grpc import ReportServiceStub

__all__ = ["FORMATS", "ReportClient", "SyncReportClient"]

FORMATS = ("text", "html", "csv")
# A year of events is read one by one.
DEADLINE_S = 120.0


def _request(from_ns: int, to_ns: int, form: str, cameras: Iterable[str], title: str) -> MakeReportRequest:
    if form not in FORMATS:
        raise InvalidArgument(f"format {form[:40]!r}", f"is none of {', '.join(FORMATS)}")
    number = ReportFormat.Value(f"REPORT_FORMAT_{form.upper()}")
    return MakeReportRequest(from_ns=from_ns, to_ns=to_ns, format=number, cameras=cameras, title=title)


class ReportClient:
    """Reports, asynchronously. Raises errors of `mesh.errors`."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect(endpoint, token, **options)
        self._stub: Any = ReportServiceStub(self._channel)

    async def __aenter__(self) -> ReportClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the connection."""
        await self._channel.close()

    async def make(
        self, from_ns: int, to_ns: int, form: str = "text", *, cameras: Iterable[str] = (), title: str = "",
        timeout_s: float = DEADLINE_S,
    ) -> bytes:  # fmt: skip
        """A report of a time, UTC nanoseconds, as UTF-8 "text", "html" or "csv". Raises InvalidArgument."""
        try:
            answer = await self._stub.MakeReport(_request(from_ns, to_ns, form, cameras, title), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        content: bytes = answer.content
        return content


class SyncReportClient:
    """Reports for plain programs; as ReportClient."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = ReportServiceStub(self._channel)

    def __enter__(self) -> SyncReportClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._channel.close()

    def make(
        self, from_ns: int, to_ns: int, form: str = "text", *, cameras: Iterable[str] = (), title: str = "",
        timeout_s: float = DEADLINE_S,
    ) -> bytes:  # fmt: skip
        """As ReportClient.make."""
        try:
            answer = self._stub.MakeReport(_request(from_ns, to_ns, form, cameras, title), timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        content: bytes = answer.content
        return content
