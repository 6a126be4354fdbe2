"""Calls that hand footage out as files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from media_center.export import plan_export, write_export
from media_center.ranges import parse_range
from media_center.room import Room
from mesh.security import principal_of
from trueframe.v1 import footage_pb2


class ExportRoom(Room):
    """Footage as files."""

    async def Export(  # noqa: N802
        self, request: footage_pb2.ExportRequest, context: Any
    ) -> AsyncIterator[footage_pb2.ExportResponse]:
        """One MP4 file."""
        bounds = parse_range(request.range)
        principal = principal_of(context)
        footage = self._footage(principal, bounds.camera)
        plan = await asyncio.to_thread(plan_export, footage, bounds)
        await self._note_range(principal, "export", bounds, plan.file_name)
        yield footage_pb2.ExportResponse(
            header=footage_pb2.ExportHeader(
                file_name=plan.file_name,
                first=plan.first.to_proto(),
                last=plan.last.to_proto(),
                frames=plan.shown,
                lead_in_frames=plan.hidden,
                size_bytes=plan.size_bytes,
            )
        )
        digest = hashlib.sha256()
        chunks = write_export(footage, plan)
        while chunk := await asyncio.to_thread(_next_chunk, chunks, digest):
            yield footage_pb2.ExportResponse(chunk=chunk)
        yield footage_pb2.ExportResponse(summary=footage_pb2.ExportSummary(digest=digest.digest(), gaps=plan.gaps))


def _next_chunk(chunks: Iterator[bytes], digest: Any) -> bytes:
    chunk = next(chunks, b"")
    digest.update(chunk)
    return chunk
