"""Calls about who looked at footage, and those that hand out whole segments for backup and proof."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

from media_center.access_book import Entry, newest_first
from media_center.custody import closed_segments, read_segment
from media_center.room import Room
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.security import Principal, principal_of
from trueframe.v1 import footage_pb2

_MAX_PAGE = 10_000
_DEFAULT_PAGE = 100
_SEGMENTS_PER_MESSAGE = 200


class CustodyRoom(Room):
    """Who looked at what, and segments as they are."""

    async def ListAccess(  # noqa: N802
        self, request: footage_pb2.ListAccessRequest, context: Any
    ) -> footage_pb2.ListAccessResponse:
        """The access log, newest first."""
        principal = principal_of(context)
        if request.from_ns < 0:
            raise InvalidArgument("from_ns", "is before 1970")
        if not 0 <= request.page_size <= _MAX_PAGE:
            raise InvalidArgument("page_size", f"is {request.page_size}; 0 to {_MAX_PAGE} are possible")
        before = _parse_token(request.page_token)
        for camera in request.cameras:
            principal.require(validate_camera_id(camera))
        size = request.page_size or _DEFAULT_PAGE
        # What was asked for before this call is in its answer.
        await asyncio.to_thread(self._access.flush)
        found = await asyncio.to_thread(
            _page,
            newest_first(self._access.folder, before),
            principal,
            frozenset(request.cameras),
            request.from_ns,
            size,
        )
        token = str(found[size - 1].number) if len(found) > size else ""
        return footage_pb2.ListAccessResponse(accesses=map(_access, found[:size]), next_page_token=token)

    async def ListSegments(  # noqa: N802
        self, request: footage_pb2.ListSegmentsRequest, context: Any
    ) -> AsyncIterator[footage_pb2.ListSegmentsResponse]:
        """Closed segments with their seals."""
        if request.from_ns < 0:
            raise InvalidArgument("from_ns", "is before 1970")
        cameras = self._cameras(principal_of(context), request.cameras)
        for camera in cameras:
            found = closed_segments(self._archive.footage(camera), request.from_ns)
            while part := await asyncio.to_thread(list, islice(found, _SEGMENTS_PER_MESSAGE)):
                yield footage_pb2.ListSegmentsResponse(segments=part)

    async def ReadSegment(  # noqa: N802
        self, request: footage_pb2.ReadSegmentRequest, context: Any
    ) -> AsyncIterator[footage_pb2.ReadSegmentResponse]:
        """The bytes of one closed segment."""
        principal = principal_of(context)
        footage = self._footage(principal, request.camera)
        await self._require_unmasked(principal, [request.camera])
        chunks = await asyncio.to_thread(read_segment, footage, request.name)
        self._note(
            principal, "segment", footage.camera, chunks.record.first_ns, chunks.record.last_ns, chunks.record.name
        )
        with chunks:
            while chunk := await asyncio.to_thread(chunks.next):
                yield footage_pb2.ReadSegmentResponse(chunk=chunk)


def _parse_token(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidArgument("page_token", "is not one that this service gave", "Begin without one.")
    return int(text)


def _page(
    entries: Iterator[Entry], principal: Principal, cameras: frozenset[str], from_ns: int, size: int
) -> list[Entry]:
    """Up to one entry more than a page holds, so that it is known whether there is another."""
    found: list[Entry] = []
    for entry in entries:
        if cameras and entry.camera not in cameras:
            continue
        # What concerns every camera is told to those who may see every camera.
        if not (principal.allows(entry.camera) if entry.camera else principal.cameras is None):
            continue
        if entry.at_ns >= from_ns:
            found.append(entry)
        if len(found) > size:
            break
    return found


def _access(entry: Entry) -> footage_pb2.Access:
    lost = f"{entry.missing} accesses before this one could not be written. " if entry.missing else ""
    return footage_pb2.Access(
        at_ns=entry.at_ns, principal=entry.principal, action=entry.action, camera=entry.camera,
        from_ns=max(entry.from_ns, 0), to_ns=max(entry.to_ns, 0), detail=lost + entry.detail,
    )  # fmt: skip
