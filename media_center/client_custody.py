"""What both clients can ask about custody: who looked at footage, and closed segments as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from media_center.client_calls import DEADLINE_S, errors
from trueframe.v1 import footage_pb2, footage_pb2_grpc

_PAGE = 1000


class CustodyCalls:
    """Part of FootageClient."""

    _stub: footage_pb2_grpc.FootageServiceAsyncStub

    async def accesses(
        self, cameras: Iterable[str] = (), from_ns: int = 0, limit: int = 100
    ) -> list[footage_pb2.Access]:
        """Who looked at, took or changed which footage, newest first, at most `limit`; of all cameras if none is named.

        `from_ns`: only at or after that UTC time in nanoseconds.
        """
        request = _access_request(cameras, from_ns)
        found: list[footage_pb2.Access] = []
        while len(found) < limit:
            request.page_size = min(_PAGE, limit - len(found))
            with errors():
                answer = await self._stub.ListAccess(request, timeout=DEADLINE_S)
            found += answer.accesses
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        return found

    async def segments(
        self, cameras: Iterable[str] = (), from_ns: int = 0
    ) -> AsyncIterator[footage_pb2.FootageSegment]:
        """Closed segments with their seals, by camera and in recorded order."""
        call: Any = self._stub.ListSegments(footage_pb2.ListSegmentsRequest(cameras=cameras, from_ns=from_ns))
        try:
            with errors():
                async for answer in call:
                    for segment in answer.segments:
                        yield segment
        finally:
            call.cancel()

    async def read_segment(self, camera: str, name: str) -> AsyncIterator[bytes]:
        """The bytes of one closed segment, in order."""
        call: Any = self._stub.ReadSegment(footage_pb2.ReadSegmentRequest(camera=camera, name=name))
        try:
            with errors():
                async for answer in call:
                    yield answer.chunk
        finally:
            call.cancel()


class SyncCustodyCalls:
    """Part of SyncFootageClient."""

    _stub: Any

    def accesses(self, cameras: Iterable[str] = (), from_ns: int = 0, limit: int = 100) -> list[footage_pb2.Access]:
        """As FootageClient.accesses."""
        request = _access_request(cameras, from_ns)
        found: list[footage_pb2.Access] = []
        while len(found) < limit:
            request.page_size = min(_PAGE, limit - len(found))
            with errors():
                answer = self._stub.ListAccess(request, timeout=DEADLINE_S)
            found += answer.accesses
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        return found

    def segments(self, cameras: Iterable[str] = (), from_ns: int = 0) -> Iterator[footage_pb2.FootageSegment]:
        """As FootageClient.segments."""
        call = self._stub.ListSegments(footage_pb2.ListSegmentsRequest(cameras=cameras, from_ns=from_ns))
        try:
            with errors():
                for answer in call:
                    yield from answer.segments
        finally:
            call.cancel()

    def read_segment(self, camera: str, name: str) -> Iterator[bytes]:
        """As FootageClient.read_segment."""
        call = self._stub.ReadSegment(footage_pb2.ReadSegmentRequest(camera=camera, name=name))
        try:
            with errors():
                for answer in call:
                    yield answer.chunk
        finally:
            call.cancel()


def _access_request(cameras: Iterable[str], from_ns: int) -> footage_pb2.ListAccessRequest:
    return footage_pb2.ListAccessRequest(cameras=cameras, from_ns=from_ns)
